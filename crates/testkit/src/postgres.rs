//! Real PostgreSQL for tests: clusters that can be killed, a proxy that loses messages, and pgbouncer.
//!
//! [`Server::shared`] is one cluster for all test processes of a run, with a [`Database`] of its own for each test.
//! [`Server::start`] is a cluster for one test, which may kill, stop and pause it. A [`Proxy`] stands between client
//! and server and does to chosen messages what networks do. A [`Bouncer`] is a real pgbouncer in front of a server.
//!
//! ```no_run
//! # async fn example() {
//! use enact_testkit::postgres::{Proxy, Server};
//!
//! let database = Server::shared().database().await;
//! let proxy = Proxy::start(database.server()).await;
//! let lost = proxy.lose_reply("COMMIT");
//! // … a client of `proxy.url(&database)` commits, and is cut off …
//! lost.reached().await;
//! # }
//! ```
//!
//! # What is promised
//! - All parts are the real ones; nothing here answers in place of the server. Where one is missing, the test panics
//!   and says to run `cargo xtask tools`.
//! - Nothing is left behind, not even by a test that is killed: each part has a small shell of its own that outlives
//!   the test, ends the part and removes its folder. One initialised template stays in the temporary folder.
//! - No part holds the standard streams of the test.
//!
//! # What this does not know
//! SIGKILL is not a power cut: the kernel keeps what was written and not synced. So the servers do not sync at all,
//! which no kill can show; `("fsync", "on")` is for who wants it.
//!
//! Needs Linux and the programs `setsid`, `flock` and `ipcrm` of util-linux. As root, the parts run as the user
//! `postgres`, or else `nobody`, because they refuse root.

#![expect(clippy::panic, reason = "a test without its server ends there, and says why")]

mod account;
mod bouncer;
mod cluster;
mod database;
mod place;
mod processes;
mod proxy;
mod reaper;
mod server;
mod shared;
mod template;
mod tls;

use std::fmt::Display;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::or_panic::OrPanic;

pub use bouncer::Bouncer;
pub use database::Database;
pub use proxy::{Fault, Hold, Proxy};
pub use server::Server;

/// How long a part may take to start or to end before a test gives it up.
const PATIENCE: Duration = Duration::from_secs(60);
/// The superuser of every cluster, and the password that it has where passwords are asked for.
const SUPERUSER: &str = "postgres";
/// Polls until `done` gives something, at most for [`PATIENCE`].
fn wait_for<T>(mut done: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = done() {
            return Some(found);
        }
        if Instant::now() > end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A path as it is given to programs; those here have no other than readable ones.
fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_else(|| panic!("{} is not UTF-8", path.display()))
}

/// What is done to `path`, for an error.
fn doing<'a>(what: &'a str, path: &'a Path) -> impl Display + 'a {
    format!("{what} {}", path.display())
}
