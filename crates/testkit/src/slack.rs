//! Slack for tests: the methods of its Web API that a connector for messages needs, with faults and with other people.
//!
//! Shapes and words are those of Slack's published method documentation (docs.slack.dev/reference/methods).
//!
//! ```no_run
//! use enact_testkit::slack::{Fault, Server};
//!
//! let slack = Server::start();
//! let bot = slack.bot("agent");
//! let general = slack.channel("general").invite(&bot);
//! let token = bot.token(["chat:write", "channels:history"]);
//! let lost = slack.fault(Fault::drop_after("chat.postMessage"));
//! // … a client of `slack.url()` with `token` posts a message, and is cut off …
//! assert!(lost.was_reached());
//! assert_eq!(general.messages().len(), 1);
//! slack.check();
//! ```
//!
//! # What is promised
//! - Requests are served one after the other. Each happens whole or is refused, in the words that Slack uses.
//! - What has happened is counted here, in [`Server::ledger`], whatever the client was told.
//! - [`Server::check`], and dropping the server, fail where a method or an argument was asked for that the
//!   documentation does not know, where a token stood elsewhere than in its header, where a request came before the
//!   `Retry-After` of [`Fault::rate_limited`] was over, and where a fault was never reached.
//! - The server has a thread of its own and never waits.
//!
//! # What this does not know
//! Files, reactions, attachments, scheduled and ephemeral messages, events, several workspaces. How Slack rewrites a text
//! is done for what its page on formatting says (`&`, `<`, `>`, addresses), not for emoji.

#![expect(clippy::panic, reason = "a test without its server ends there, and says why")]

mod call;
mod channel;
mod fault;
mod hub;
mod ledger;
mod methods;
mod post;
mod read;
mod server;
mod shape;
mod state;
mod text;

pub use channel::{Channel, Person};
pub use fault::{Armed, Fault};
pub use hub::{Bot, Server};
pub use ledger::{Effect, Request, What};
pub use state::Message;
