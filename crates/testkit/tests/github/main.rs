//! What the stand-in for GitHub promises to tests of a connector.
#![cfg(feature = "github")]
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

mod access;
mod client;
mod faults;
mod git;
mod graphql;
mod lists;
mod pulls;
mod rules;

use enact_testkit::github::{Repo, Server};

use client::Client;

/// A server, a public repository with one commit, and somebody who may push to it.
fn world() -> (Server, Repo, Client) {
    let hub = Server::start();
    let repo = hub
        .repo("octo/app")
        .file("README.md", "hi\n")
        .file("src/a.txt", "1\n2\n3\n")
        .writer("agent")
        .create();
    let client = Client::new(&hub, &hub.user("agent").token(["repo"]));
    (hub, repo, client)
}
