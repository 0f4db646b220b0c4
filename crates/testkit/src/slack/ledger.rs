//! What has happened, as the server counts it: effects, and requests.

/// Something that has changed for others to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// The number of the request that caused it, as in [`Request::number`]; 0 for a person.
    pub request: u64,
    /// The id of the user who did it.
    pub by: String,
    /// The id of the conversation.
    pub channel: String,
    /// The message.
    pub ts: String,
    /// What it was.
    pub what: What,
}

/// The kinds of effects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// A message came to be.
    Posted,
    /// A message was changed.
    Edited,
    /// A message went.
    Deleted,
}

/// A request that has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// From 1 on, in the order in which they came.
    pub number: u64,
    /// `chat.postMessage`, …
    pub method: String,
    /// The id of the user who asked, where that is known.
    pub by: Option<String>,
    /// What the server decided: `ok` or a code; the client may not have seen it. `None` where it did nothing with it.
    pub decided: Option<String>,
    /// The HTTP status that the client got; `None` where it got nothing.
    pub status: Option<u16>,
    /// The fault that it met.
    pub fault: Option<String>,
}
