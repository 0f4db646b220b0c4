//! Who asks, and whether it suffices.
//!
//! A repository that is not seen does not exist (404). One that is seen and may not be changed is 403 for tokens with
//! permissions, and 404 for a classic token without the scope, as GitHub answers.

use super::account::{Grant, Kind, Permissions};
use super::jwt;
use super::reply::Stop;
use super::state::{RepoKey, RepoState, Role, State};

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Caller {
    Anonymous,
    /// A token and the login that it acts as.
    Token(String, String),
    /// An app itself, by a signed web token.
    App(u64),
}

/// What a route asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// Nothing.
    Nothing,
    /// Somebody.
    User,
    /// An installation's token.
    Installation,
    /// An app itself.
    App,
    /// To read of a repository, with this permission.
    Read(&'static str),
    /// To take part: open an issue or a pull request, and edit one's own.
    Join(&'static str),
    /// To change a repository, with this permission.
    Write(&'static str),
}

impl Needs {
    /// The permission of a repository, and whether it is to change something.
    pub(super) fn of_repo(self) -> Option<(&'static str, bool)> {
        match self {
            Self::Read(permission) => Some((permission, false)),
            Self::Join(permission) | Self::Write(permission) => Some((permission, true)),
            _ => None,
        }
    }
}

impl Caller {
    /// The login, where there is one.
    pub(super) fn login(&self) -> Option<&str> {
        match self {
            Self::Token(_, login) => Some(login),
            Self::Anonymous | Self::App(_) => None,
        }
    }

    /// Where its rate limit is counted.
    pub(super) fn counter(&self) -> String {
        match self {
            Self::Anonymous => String::new(),
            Self::Token(token, _) => token.clone(),
            Self::App(id) => format!("app {id}"),
        }
    }
}

impl State {
    /// Who sends this header.
    pub(super) fn authenticate(&self, header: Option<&str>) -> Result<Caller, Stop> {
        let Some(header) = header else { return Ok(Caller::Anonymous) };
        let bad = || Stop::refuse(401, "Bad credentials");
        let (scheme, token) = header.split_once(' ').ok_or_else(bad)?;
        if !scheme.eq_ignore_ascii_case("bearer") && !scheme.eq_ignore_ascii_case("token") {
            return Err(bad());
        }
        if token.split('.').count() == 3 {
            return jwt::app(token, self.clock.now(), &self.accounts).map(Caller::App);
        }
        let grant = self.accounts.tokens.get(token).filter(|grant| !grant.revoked && !token.is_empty());
        let grant = grant.ok_or_else(bad)?;
        if let Kind::Installation { expires, .. } = grant.kind
            && expires <= self.clock.now()
        {
            return Err(bad());
        }
        Ok(Caller::Token(token.to_owned(), grant.login.clone()))
    }

    pub(super) fn grant(&self, caller: &Caller) -> Option<&Grant> {
        match caller {
            Caller::Token(token, _) => self.accounts.tokens.get(token),
            Caller::Anonymous | Caller::App(_) => None,
        }
    }

    /// Refuses whom a route that is not about a repository does not want.
    pub(super) fn admit(&self, caller: &Caller, needs: Needs) -> Result<(), Stop> {
        let kind = self.grant(caller).map(|grant| &grant.kind);
        match (needs, caller, kind) {
            (Needs::App, Caller::App(_), _) => Ok(()),
            (Needs::App, ..) => Err(Stop::refuse(401, "A JSON web token could not be decoded")),
            (Needs::Installation, _, Some(Kind::Installation { .. })) => Ok(()),
            (Needs::Installation, ..) => Err(Stop::refuse(
                403,
                "You must authenticate with an installation access token in order to list repositories for an installation.",
            )),
            (Needs::User, Caller::Anonymous, _) => Err(Stop::refuse(401, "Requires authentication")),
            (Needs::User, Caller::App(_), _) => {
                Err(Stop::refuse(403, "Resource not accessible by integration"))
            }
            (Needs::User, _, Some(Kind::Installation { .. })) => {
                Err(Stop::refuse(403, "Resource not accessible by integration"))
            }
            _ => Ok(()),
        }
    }

    /// Whether the repository is there for this caller.
    pub(super) fn sees(&self, caller: &Caller, key: RepoKey) -> bool {
        let Ok(repo) = self.repo(key) else { return false };
        if !repo.private {
            return true;
        }
        let Some(grant) = self.grant(caller) else { return false };
        let of_login = repo.role(&grant.login).is_some();
        match &grant.kind {
            Kind::Classic(scopes) => of_login && has(scopes, "repo"),
            Kind::FineGrained(_, repos) => of_login && holds(repos.as_deref(), repo),
            Kind::Installation { repos, installation, .. } => {
                self.installed(*installation, repo) && holds(repos.as_deref(), repo)
            }
        }
    }

    fn installed(&self, installation: u64, repo: &RepoState) -> bool {
        let found = self.accounts.installation(installation);
        found.is_some_and(|found| found.account.eq_ignore_ascii_case(&repo.owner))
    }

    /// Refuses what the caller may not do to a repository that is there for it.
    pub(super) fn authorize(&self, caller: &Caller, key: RepoKey, needs: Needs) -> Result<(), Stop> {
        let Some((permission, write)) = needs.of_repo() else { return Ok(()) };
        let repo = self.repo(key)?;
        let Some(grant) = self.grant(caller) else {
            return if write { Err(Stop::refuse(401, "Requires authentication")) } else { Ok(()) };
        };
        match &grant.kind {
            Kind::Classic(scopes) => {
                let scope = has(scopes, "repo") || !repo.private && has(scopes, "public_repo");
                if write && !scope {
                    return Err(Stop::not_found());
                }
            }
            Kind::FineGrained(permissions, repos) => {
                let listed = holds(repos.as_deref(), repo);
                if !grants(permissions, permission, write, listed, repo) {
                    return Err(Stop::refuse(403, "Resource not accessible by personal access token"));
                }
            }
            Kind::Installation { permissions, repos, installation, .. } => {
                let listed = self.installed(*installation, repo) && holds(repos.as_deref(), repo);
                if !grants(permissions, permission, write, listed, repo) {
                    return Err(Stop::refuse(403, "Resource not accessible by integration"));
                }
            }
        }
        let installation = matches!(grant.kind, Kind::Installation { .. });
        if matches!(needs, Needs::Write(_)) && !installation && repo.role(&grant.login) < Some(Role::Write) {
            return Err(Stop::refuse(403, "Must have push access to repository."));
        }
        if write && repo.archived {
            return Err(Stop::refuse(403, "Repository was archived so is read-only."));
        }
        Ok(())
    }

    /// Whether the caller may edit what somebody else has made.
    pub(super) fn may_push(&self, caller: &Caller, key: RepoKey) -> bool {
        let Some(grant) = self.grant(caller) else { return false };
        let installation = matches!(grant.kind, Kind::Installation { .. });
        installation || self.repo(key).is_ok_and(|repo| repo.role(&grant.login) >= Some(Role::Write))
    }
}

fn has(scopes: &[String], scope: &str) -> bool {
    scopes.iter().any(|own| own == scope)
}

fn holds(repos: Option<&[String]>, repo: &RepoState) -> bool {
    repos.is_none_or(|names| names.iter().any(|name| name.eq_ignore_ascii_case(&repo.full_name())))
}

fn grants(permissions: &Permissions, name: &str, write: bool, listed: bool, repo: &RepoState) -> bool {
    let level = permissions.get(name).map(String::as_str);
    match (write, listed) {
        (true, true) => matches!(level, Some("write" | "admin")),
        (true, false) => false,
        // What is public is read by everybody.
        (false, _) => !repo.private || level.is_some(),
    }
}
