//! GitHub for tests: its API over real bare git repositories, with faults and with other people.
//!
//! git makes every object, merge and change of a ref; after a test, `git` itself tells what is there. Every request
//! and every answer is checked against the description that GitHub publishes, and what does not fit it fails the test.
//!
//! ```no_run
//! use enact_testkit::github::{Fault, Server};
//!
//! let hub = Server::start();
//! let repo = hub.repo("octo/app").file("README.md", "hi\n").writer("agent").create();
//! let token = hub.user("agent").token(["repo"]);
//! let lost = hub.fault(Fault::drop_after("PUT", "/repos/octo/app/pulls/*/merge"));
//! // … a client of `hub.url()` with `token` merges a pull request, and is cut off …
//! assert!(lost.was_reached());
//! assert_eq!(repo.git(["rev-list", "--count", "main"]), "3");
//! hub.check();
//! ```
//!
//! # What is promised
//! - Requests are served one after the other. Each happens whole or is refused, in the words that GitHub uses.
//! - What has happened is counted here, in [`Server::ledger`], whatever the client was told.
//! - [`Server::check`], and dropping the server, fail where something was asked that GitHub's description does not
//!   know, where an answer did not fit it, and where a fault was never reached.
//! - The API is below [`Server::url`], and below `/api/v3` (GraphQL: `/api/graphql`) as on GitHub Enterprise.
//! - The server has a thread of its own, and waits only where [`Fault::delay`] says so.
//!
//! # What this does not know
//! Comments, reviews, releases, workflows, webhooks, milestones, conditional requests, signatures, git's own protocols,
//! teams and organisations, shortened names of commits, paths that are not UTF-8. Words that GitHub does not publish
//! are those that people have reported, or ours; a client should not depend on them. See `vendor/github-openapi/README.md` for where the published description is not followed.
//!
//! Needs git 2.40 or newer.

#![expect(clippy::panic, reason = "a test without its server ends there, and says why")]

mod account;
mod auth;
mod clock;
mod deeds;
mod exchange;
mod fault;
mod git;
mod graphql;
mod hub;
mod jwt;
mod ledger;
mod limits;
mod openapi;
mod page;
mod people;
mod person;
mod protection;
mod query;
mod reply;
mod repo;
mod rest;
mod server;
mod shape;
mod state;
mod vendor;

use std::fmt::Display;

pub use fault::{Armed, Fault};
pub use hub::Server;
pub use ledger::{Effect, Request, What};
pub use people::{App, User};
pub use person::Person;
pub use protection::{Protection, Ruleset};
pub use repo::{Issue, Pull, Repo, RepoBuilder};
pub use vendor::{graphql_subset, openapi_subset};

use self::reply::Stop;
use crate::or_panic::OrPanic;

impl Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(reply) => {
                let body = reply.body.as_ref().map(ToString::to_string).unwrap_or_default();
                write!(f, "{} {body}", reply.status)
            }
            Self::Broken(why) => f.write_str(why),
        }
    }
}
