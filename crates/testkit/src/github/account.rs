//! Who there is: people, apps, installations, and their tokens.
//!
//! It knows what each is granted. What that suffices for is in [`auth`](super::auth).

use std::collections::BTreeMap;

/// A person, or what an app acts as.
#[derive(Debug, Clone)]
pub(super) struct User {
    pub(super) id: u64,
    pub(super) login: String,
    pub(super) bot: bool,
}

/// A token, and what it is granted.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    pub(super) id: u64,
    pub(super) login: String,
    pub(super) kind: Kind,
    pub(super) revoked: bool,
    pub(super) used: u64,
    pub(super) limit: u64,
    /// When the present hour of the rate limit ends.
    pub(super) reset: i64,
}

/// The kinds of tokens.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// A classic token has scopes.
    Classic(Vec<String>),
    /// A fine-grained one has permissions, and repositories that it is for ("owner/name"; `None` is all).
    FineGrained(Permissions, Option<Vec<String>>),
    /// One of an app's installation: it ends at a time.
    Installation { installation: u64, permissions: Permissions, repos: Option<Vec<String>>, expires: i64 },
}

/// `contents` → `write`, …
pub(super) type Permissions = BTreeMap<String, String>;

/// An app. Its key is in [`jwt`](super::jwt).
#[derive(Debug, Clone)]
pub(super) struct App {
    pub(super) id: u64,
    pub(super) slug: String,
    pub(super) owner: String,
    pub(super) permissions: Permissions,
}

/// An app at an account.
#[derive(Debug, Clone)]
pub(super) struct Installation {
    pub(super) id: u64,
    pub(super) app: u64,
    pub(super) account: String,
    pub(super) suspended: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    pub(super) users: Vec<User>,
    pub(super) tokens: BTreeMap<String, Grant>,
    pub(super) apps: Vec<App>,
    pub(super) installations: Vec<Installation>,
}

impl Accounts {
    pub(super) fn user(&self, login: &str) -> Option<&User> {
        self.users.iter().find(|user| user.login.eq_ignore_ascii_case(login))
    }

    pub(super) fn app(&self, id: u64) -> Option<&App> {
        self.apps.iter().find(|app| app.id == id)
    }

    pub(super) fn installation(&self, id: u64) -> Option<&Installation> {
        self.installations.iter().find(|installation| installation.id == id)
    }
}

/// Permissions from words such as `contents:write`; `metadata:read` comes with any.
pub(super) fn permissions<'a>(words: impl IntoIterator<Item = &'a str>) -> Permissions {
    let pair = |word: &str| {
        let (name, level) = word.split_once(':').unwrap_or((word, "read"));
        (name.to_owned(), level.to_owned())
    };
    let mut all: Permissions = words.into_iter().map(pair).collect();
    all.entry("metadata".to_owned()).or_insert_with(|| "read".to_owned());
    all
}
