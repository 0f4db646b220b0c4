//! Whose name the connector acts in, and what its credentials lack.

use enact_core::connector::{Cx, Identity};
use enact_core::{Error, ErrorCode};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::GitHub;
use crate::auth::Auth;
use crate::client::{Client, Request};

/// The account of a personal access token.
#[derive(Clone, Debug)]
pub(crate) enum Account {
    /// A user.
    User(User),
    /// A token that speaks for no user: an app's, or one of a workflow of GitHub Actions.
    Nobody,
}

/// A user, as far as commits name them.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct User {
    pub(crate) login: String,
    pub(crate) id: u64,
    name: Option<String>,
    email: Option<String>,
}

impl User {
    /// As the author of a commit at a time; the address is GitHub's own where the user shows none.
    fn author(&self, date: &str) -> Value {
        let name = self.name.as_ref().filter(|name| !name.trim().is_empty()).unwrap_or(&self.login);
        let hidden = format!("{}+{}@users.noreply.github.com", self.id, self.login);
        let email = self.email.as_ref().filter(|email| !email.is_empty()).unwrap_or(&hidden);
        json!({ "name": name, "email": email, "date": date })
    }
}

impl Client {
    /// The account, asked for once.
    pub(crate) async fn account(&self, cx: Option<&Cx>) -> Result<&Account, Error> {
        self.account
            .get_or_try_init(|| async {
                if matches!(self.auth, Auth::App(_)) {
                    return Ok(Account::Nobody);
                }
                let request = Request::look("/user", "see whose token it is");
                let answer = self.send(cx, &request).await?;
                if answer.status == StatusCode::FORBIDDEN {
                    return Ok(Account::Nobody);
                }
                let answer = request.check(answer)?;
                Ok(Account::User(answer.read(&request.doing)?))
            })
            .await
    }

    /// The login that deeds of this connector are shown under, where that can be known.
    pub(crate) async fn login(&self, cx: &Cx) -> Result<Option<&str>, Error> {
        if matches!(self.auth, Auth::App(_)) {
            let bot = self.bot.get_or_try_init(|| async {
                let request = Request::look("/app", "see what the app is called");
                let answer = self.as_app(Some(cx), &request).await?;
                let slug = answer.body.get("slug").and_then(Value::as_str).unwrap_or_default();
                Ok::<_, Error>(format!("{slug}[bot]"))
            });
            return Ok(Some(bot.await?));
        }
        Ok(match self.account(Some(cx)).await? {
            Account::User(user) => Some(&user.login),
            Account::Nobody => None,
        })
    }

    /// The author of commits at a time; `None` where GitHub fills it in, and signs for it: commits of apps.
    pub(crate) async fn author(&self, cx: &Cx, date: &str) -> Result<Option<Value>, Error> {
        Ok(match self.account(Some(cx)).await? {
            Account::User(user) => Some(user.author(date)),
            Account::Nobody => None,
        })
    }

    pub(crate) async fn identity(&self) -> Result<Identity, Error> {
        let who = match (&self.auth, self.account(None).await?) {
            (Auth::App(app), _) => format!("app {} installation {}", app.id, app.installation),
            (_, Account::User(user)) => format!("user {} ({})", user.login, user.id),
            (_, Account::Nobody) => "a token of no user".into(),
        };
        Ok(Identity(format!("{} as {who}", self.place())))
    }
}

/// What an action takes of a fine-grained token or an app: a permission and the actions, with their undos, that need it.
const NEEDS: [(&str, &[&str]); 3] = [
    ("contents", &["create_branch", "delete_branch", "merge_pr", "push_commit"]),
    ("pull_requests", &["create_pr", "create_branch", "delete_branch", "merge_pr"]),
    ("issues", &["create_issue"]),
];

impl GitHub {
    /// What the credentials lack for the allowed actions and their undos, as far as GitHub tells.
    pub(crate) async fn lacking(&self, allowed: &[&str]) -> Result<Vec<String>, Error> {
        let mut warnings = match &self.client.auth {
            Auth::Token(_) => self.token_lacks(allowed).await?,
            Auth::App(app) => self.app_lacks(app.installation, allowed).await?,
        };
        warnings.extend(self.settle().warning());
        Ok(warnings)
    }

    /// Classic tokens have scopes, and every answer names them; fine-grained ones say nothing of themselves.
    async fn token_lacks(&self, allowed: &[&str]) -> Result<Vec<String>, Error> {
        // Whatever it says, the scopes are in its headers; servers without rate limits say 404.
        let request = Request::look("/rate_limit", "see what the token may do");
        let answer = self.client.send(None, &request).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            return Ok(vec![request.refused(&answer).message().to_owned()]);
        }
        let Some(scopes) = answer.header("x-oauth-scopes") else { return Ok(Vec::new()) };
        let has = |wanted: &str| scopes.split(',').any(|scope| scope.trim() == wanted);
        let actions = allowed.join(", ");
        Ok(if allowed.is_empty() || has("repo") {
            Vec::new()
        } else if has("public_repo") {
            vec![format!(
                "the token has the scope 'public_repo' and not 'repo': {actions} and their undos work in public \
                 repositories only"
            )]
        } else {
            let has = if scopes.trim().is_empty() { "no scope".into() } else { format!("only '{scopes}'") };
            vec![format!(
                "the token lacks the scope 'repo' (it has {has}), which {actions} and their undos need"
            )]
        })
    }

    /// An installation says what it may do.
    async fn app_lacks(&self, installation: u64, allowed: &[&str]) -> Result<Vec<String>, Error> {
        let request = Request::look(format!("/app/installations/{installation}"), "see what the app may do");
        let answer = match self.client.as_app(None, &request).await {
            Err(error) if matches!(error.code(), ErrorCode::Unauthenticated | ErrorCode::NotFound) => {
                return Ok(vec![error.message().to_owned()]);
            }
            answer => answer?,
        };
        let has = |permission: &str| {
            let pointer = format!("/permissions/{permission}");
            matches!(answer.body.pointer(&pointer).and_then(Value::as_str), Some("write" | "admin"))
        };
        let lacking = NEEDS.iter().filter_map(|(permission, actions)| {
            let needy: Vec<&str> = allowed.iter().copied().filter(|name| actions.contains(name)).collect();
            (!needy.is_empty() && !has(permission)).then(|| {
                format!(
                    "the app lacks the permission '{permission}: write', which {} and their undos need",
                    needy.join(", ")
                )
            })
        });
        Ok(lacking.collect())
    }
}
