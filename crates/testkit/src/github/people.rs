//! Who can ask: people and apps, and the tokens that they get.

use std::sync::Arc;

use super::account::{App as AppState, Grant, Installation, Kind, Permissions, permissions};
use super::jwt;
use super::server::Shared;

/// A person.
#[derive(Debug, Clone)]
pub struct User {
    shared: Arc<Shared>,
    login: String,
}

/// A GitHub App.
#[derive(Debug, Clone)]
pub struct App {
    shared: Arc<Shared>,
    id: u64,
    slug: String,
}

impl User {
    pub(super) fn new(shared: Arc<Shared>, login: &str) -> Self {
        Self { shared, login: login.to_owned() }
    }

    /// The login.
    #[must_use]
    pub fn login(&self) -> &str {
        &self.login
    }

    /// A classic token with scopes such as `repo` or `public_repo`; none is a token that may only read what is public.
    #[must_use]
    pub fn token<'a>(&self, scopes: impl IntoIterator<Item = &'a str>) -> String {
        self.grant("ghp", Kind::Classic(scopes.into_iter().map(str::to_owned).collect()))
    }

    /// A fine-grained token for all repositories, with permissions such as `contents:write` or `issues:read`.
    #[must_use]
    pub fn fine_grained<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> String {
        self.grant("github_pat", Kind::FineGrained(permissions(words), None))
    }

    /// A fine-grained token for some repositories.
    #[must_use]
    pub fn fine_grained_for<'a>(
        &self,
        repos: impl IntoIterator<Item = &'a str>,
        words: impl IntoIterator<Item = &'a str>,
    ) -> String {
        let repos = repos.into_iter().map(str::to_owned).collect();
        self.grant("github_pat", Kind::FineGrained(permissions(words), Some(repos)))
    }

    fn grant(&self, prefix: &str, kind: Kind) -> String {
        let mut state = self.shared.state.lock();
        let id = state.id();
        let token = format!("{prefix}_{id:036}");
        state.accounts.tokens.insert(token.clone(), Grant::new(id, &self.login, kind, 5000));
        token
    }

    /// Makes a token worthless.
    pub fn revoke(&self, token: &str) {
        if let Some(grant) = self.shared.state.lock().accounts.tokens.get_mut(token) {
            grant.revoked = true;
        }
    }

    /// Leaves a token so many requests until its hour ends.
    pub fn leave_requests(&self, token: &str, remaining: u64) {
        let caller = super::auth::Caller::Token(token.to_owned(), self.login.clone());
        self.shared.state.lock().leave(&caller, remaining);
    }
}

impl App {
    pub(super) fn create<'a>(
        shared: Arc<Shared>,
        slug: &str,
        words: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let permissions: Permissions = permissions(words);
        let mut state = shared.state.lock();
        state.ensure_user("octo", false);
        state.ensure_user(&format!("{slug}[bot]"), true);
        let id = state.id();
        let app = AppState { id, slug: slug.to_owned(), owner: "octo".to_owned(), permissions };
        state.accounts.apps.push(app);
        drop(state);
        Self { shared, id, slug: slug.to_owned() }
    }

    /// Its number, which is the issuer of its web tokens.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The login that it acts as: `slug[bot]`.
    #[must_use]
    pub fn login(&self) -> String {
        format!("{}[bot]", self.slug)
    }

    /// Its private key as PEM (PKCS#1). It is the same for all apps, published with these tests, and good for nothing
    /// else.
    #[must_use]
    pub fn private_key_pem(&self) -> &'static str {
        jwt::KEY
    }

    /// Installs it at an account, for all repositories there, and gives the installation's number.
    #[must_use]
    pub fn install(&self, account: &str) -> u64 {
        let mut state = self.shared.state.lock();
        state.ensure_user(account, false);
        let id = state.id();
        let new = Installation { id, app: self.id, account: account.to_owned(), suspended: false };
        state.accounts.installations.push(new);
        id
    }

    /// Suspends an installation: it gets no tokens any more, and those that it has are worthless.
    pub fn suspend(&self, installation: u64) {
        let mut state = self.shared.state.lock();
        for found in state.accounts.installations.iter_mut().filter(|found| found.id == installation) {
            found.suspended = true;
        }
        for grant in state.accounts.tokens.values_mut() {
            if matches!(grant.kind, Kind::Installation { installation: of, .. } if of == installation) {
                grant.revoked = true;
            }
        }
    }
}
