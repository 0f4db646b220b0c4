//! What has happened, as the server counts it: effects, and requests.

/// Something that has changed for others to see.
///
/// Objects (blobs, trees, commits) are not effects: nobody sees them until a ref leads to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// The number of the request that caused it, as in [`Request::number`]; 0 for a person.
    pub request: u64,
    /// "owner/name" as it was called then.
    pub repo: String,
    /// The login of who did it.
    pub by: String,
    /// What it was.
    pub what: What,
}

/// The kinds of effects.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// A ref came to be.
    RefCreated {
        /// `refs/heads/…`
        name: String,
        /// Where it leads.
        sha: String,
    },
    /// A ref moved.
    RefUpdated {
        /// `refs/heads/…`
        name: String,
        /// Where it led.
        before: String,
        /// Where it leads.
        after: String,
        /// Whether it lost commits by that.
        forced: bool,
    },
    /// A ref went.
    RefDeleted {
        /// `refs/heads/…`
        name: String,
        /// Where it led.
        sha: String,
    },
    /// A pull request came to be.
    PullOpened(u64),
    /// Title, body or base changed.
    PullEdited(u64),
    /// A pull request was closed without a merge, also because its branch went.
    PullClosed(u64),
    /// A pull request is open again.
    PullReopened(u64),
    /// A pull request was merged.
    PullMerged {
        /// Its number.
        number: u64,
        /// The commit that the base led to after it.
        sha: String,
        /// `merge`, `squash`, `rebase`, or `push` where a push brought its commits.
        method: String,
    },
    /// An issue came to be.
    IssueOpened(u64),
    /// Title, body, labels or assignees changed.
    IssueEdited(u64),
    /// An issue was closed.
    IssueClosed(u64),
    /// An issue is open again.
    IssueReopened(u64),
    /// An issue was deleted.
    IssueDeleted(u64),
    /// An installation got a token.
    TokenIssued,
}

/// A request that has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// From 1 on, in the order in which they came.
    pub number: u64,
    /// `GET`, …
    pub method: String,
    /// As it was sent, still encoded, without a leading `/api/v3`. For GraphQL `/graphql#updateRefs`: the first field.
    pub path: String,
    /// As it was sent, without the `?`.
    pub query: String,
    /// The login of who asked, where that is known.
    pub by: Option<String>,
    /// What the server decided; the client may not have seen it. `None` where it did nothing with the request.
    pub decided: Option<u16>,
    /// What the client got; `None` where it got nothing.
    pub status: Option<u16>,
    /// The fault that it met.
    pub fault: Option<String>,
}
