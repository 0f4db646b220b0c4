//! What changes the state, whoever asks for it: a request, or a person whom the test plays.
//!
//! Each deed happens whole or is refused, notes its effects in the ledger, and does what GitHub does by itself after
//! it: pull requests follow their branches. Whether somebody may ask is decided before.

mod issues;
mod merging;
mod pulls;
mod refs;

pub(super) use issues::{ItemEdit, NewIssue};
pub(super) use merging::MergeHow;
pub(super) use pulls::NewPull;
pub(super) use refs::By;

use super::git::Ident;
use super::state::State;

/// Who does something, and by which request; 0 is none.
#[derive(Debug, Clone)]
pub(super) struct Actor {
    pub(super) request: u64,
    pub(super) login: String,
}

impl Actor {
    /// A person whom the test plays.
    pub(super) fn person(login: &str) -> Self {
        Self { request: 0, login: login.to_owned() }
    }
}

impl State {
    /// How an account signs commits that GitHub makes for it.
    pub(super) fn ident(&self, login: &str) -> Ident {
        let id = self.accounts.user(login).map_or(0, |user| user.id);
        Ident::new(login, &format!("{id}+{login}@users.noreply.github.com"), self.clock.now())
    }

    /// The committer of merges that GitHub makes.
    pub(super) fn web_flow(&self) -> Ident {
        Ident::new("GitHub", "noreply@github.com", self.clock.now())
    }
}
