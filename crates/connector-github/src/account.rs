//! Whose name the connector acts in, and what its credentials lack.

use enact_core::connector::{Cx, Identity};
use enact_core::{Error, ErrorCode};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::GitHub;
use crate::auth::Auth;
use crate::client::{Client, Request};
use crate::repo::Login;

/// What GitHub says to who speaks for no user.
const NO_USER: &str = "Resource not accessible by integration";

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

/// Who made what this connector makes.
pub(crate) enum Us<'a> {
    /// A user, by the number that stays whatever the user is called.
    User(u64),
    /// What an app acts as.
    Bot(&'a str),
    /// Not known: a token that speaks for no user.
    Unknown,
}

impl Us<'_> {
    /// Whether what an account made may be ours.
    pub(crate) fn may_be(&self, by: Option<&Login>) -> bool {
        match self {
            Self::User(id) => by.is_some_and(|by| by.id == *id),
            Self::Bot(login) => by.is_some_and(|by| by.login.eq_ignore_ascii_case(login)),
            Self::Unknown => true,
        }
    }
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
                // Any other refusal, as by a list of addresses, says nothing of whose token it is.
                if answer.status == StatusCode::FORBIDDEN && answer.words().contains(NO_USER) {
                    return Ok(Account::Nobody);
                }
                let answer = request.check(answer)?;
                Ok(Account::User(request.read(&answer)?))
            })
            .await
    }

    /// Who this connector is for others.
    pub(crate) async fn us(&self, cx: &Cx) -> Result<Us<'_>, Error> {
        if matches!(self.auth, Auth::App(_)) {
            let bot = self.bot.get_or_try_init(|| async {
                let request = Request::look("/app", "see what the app is called");
                let answer = self.as_app(Some(cx), &request).await?;
                #[derive(Deserialize)]
                struct App {
                    slug: String,
                }
                let App { slug } = request.read(&answer)?;
                Ok::<_, Error>(format!("{slug}[bot]"))
            });
            return Ok(Us::Bot(bot.await?));
        }
        Ok(match self.account(Some(cx)).await? {
            Account::User(user) => Us::User(user.id),
            Account::Nobody => Us::Unknown,
        })
    }

    /// The author of commits at a time; `None` where GitHub fills it in, and signs for it: commits of apps.
    pub(crate) async fn author(&self, cx: &Cx, date: &str) -> Result<Option<Value>, Error> {
        Ok(match self.account(Some(cx)).await? {
            Account::User(user) => Some(user.author(date)),
            Account::Nobody => None,
        })
    }

    /// Server and account, by what never changes of them: a login may.
    pub(crate) async fn identity(&self) -> Result<Identity, Error> {
        let who = match (&self.auth, self.account(None).await?) {
            (Auth::App(app), _) => format!("app {} installation {}", app.id, app.installation),
            (_, Account::User(user)) => format!("user {}", user.id),
            (_, Account::Nobody) => "a token of no user".into(),
        };
        Ok(Identity(format!("{} as {who}", self.place())))
    }
}

/// What an action takes of a fine-grained token or an app: a permission, its level, and the actions that need it, with
/// their undos. docs.md has the same table.
const NEEDS: [(&str, &str, &[&str]); 5] = [
    ("contents", "write", &["create_branch", "delete_branch", "merge_pr", "push_commit"]),
    ("contents", "read", &["create_pr"]),
    ("pull_requests", "write", &["create_pr", "delete_branch"]),
    ("pull_requests", "read", &["create_branch", "merge_pr", REVERTED_PUSH]),
    ("issues", "write", &["create_issue"]),
];

/// Pushes, where their undo is allowed.
const REVERTED_PUSH: &str = "revert_push";

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
        let has = |permission: &str, level: &str| {
            let granted = answer.body.pointer(&format!("/permissions/{permission}")).and_then(Value::as_str);
            granted.is_some_and(|granted| granted == level || matches!(granted, "write" | "admin"))
        };
        let mut allowed = allowed.to_vec();
        if self.revert_pushes && allowed.contains(&"push_commit") {
            allowed.push(REVERTED_PUSH);
        }
        let lacking = NEEDS.iter().filter_map(|(permission, level, actions)| {
            let needy: Vec<&str> = allowed.iter().copied().filter(|name| actions.contains(name)).collect();
            (!needy.is_empty() && !has(permission, level)).then(|| {
                format!(
                    "the app lacks the permission '{permission}: {level}', which {} and their undos need",
                    needy.join(", ")
                )
            })
        });
        Ok(lacking.collect())
    }
}
