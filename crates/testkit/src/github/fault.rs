//! What goes wrong, when, and how a test knows that it did.

use std::fmt;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use super::limits::secondary;
use super::protection::fits;
use super::reply::Reply;

/// A fault for requests that fit. It happens to the first one, or the one that [`nth`](Self::nth) says, and once, or
/// as often as [`times`](Self::times) says.
///
/// The method may be `*`, for any. The path is as it is sent, still encoded, without a leading `/api/v3`; `*` stands for
/// anything but a slash and `**` for anything. For GraphQL it is `/graphql#updateRefs`: the operation's first field.
#[derive(Debug)]
pub struct Fault {
    method: String,
    path: String,
    nth: usize,
    times: usize,
    deed: Deed,
}

/// What is done to a request.
pub(super) enum Deed {
    /// The connection ends, and nothing has happened.
    DropBefore,
    /// It happens, and the connection ends.
    DropAfter,
    /// It happens, and this is the answer.
    ReplyAfter(Reply),
    /// It happens, and the connection ends in the middle of the answer.
    CutAfter,
    /// Nothing happens, and this is the answer.
    Reply(Reply),
    /// It happens and is answered after a while.
    Delay(Duration),
    /// Nothing happens, and no answer comes.
    HangBefore,
    /// It happens, and no answer comes.
    HangAfter,
    /// The connection ends, and it happens later.
    Late(Late),
    /// The rate limit is used up.
    Limited(u16),
    /// Somebody else is faster. Then it goes on.
    Before(Option<Box<dyn FnOnce() + Send>>),
}

/// When it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Late {
    /// When the test says so.
    Told,
    /// Before the request that comes after so many others.
    Requests(u64),
    /// When the server's clock has gone on so far.
    Seconds(i64),
}

impl fmt::Debug for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DropBefore => "dropped before",
            Self::DropAfter => "dropped after",
            Self::CutAfter => "cut after",
            Self::ReplyAfter(_) => "another answer after",
            Self::Reply(_) => "refused",
            Self::Delay(_) => "delayed",
            Self::HangBefore => "left hanging before",
            Self::HangAfter => "left hanging after",
            Self::Late(_) => "late",
            Self::Limited(_) => "rate limit",
            Self::Before(_) => "somebody was faster",
        })
    }
}

impl Fault {
    fn new(method: &str, path: &str, deed: Deed) -> Self {
        Self { method: method.to_owned(), path: path.to_owned(), nth: 1, times: 1, deed }
    }

    /// The connection is closed before the effect.
    #[must_use]
    pub fn drop_before(method: &str, path: &str) -> Self {
        Self::new(method, path, Deed::DropBefore)
    }

    /// The effect happens, and the connection is closed without an answer.
    #[must_use]
    pub fn drop_after(method: &str, path: &str) -> Self {
        Self::new(method, path, Deed::DropAfter)
    }

    /// The effect happens, and the answer is an error of a machine in between, such as 502.
    #[must_use]
    pub fn status_after(method: &str, path: &str, status: u16) -> Self {
        Self::new(method, path, Deed::ReplyAfter(Reply::error(status, "Server Error")))
    }

    /// The effect happens, and the answer is a web page with this status, as machines in between give it.
    #[must_use]
    pub fn page_after(method: &str, path: &str, status: u16) -> Self {
        let page = Value::String(
            "<html><body><h1>This page is taking too long to load.</h1></body></html>".to_owned(),
        );
        Self::new(method, path, Deed::ReplyAfter(Reply::new(status, page)))
    }

    /// The effect happens, and the connection ends in the middle of the answer.
    #[must_use]
    pub fn cut_after(method: &str, path: &str) -> Self {
        Self::new(method, path, Deed::CutAfter)
    }

    /// Nothing happens, and the answer is this status.
    #[must_use]
    pub fn status(method: &str, path: &str, status: u16) -> Self {
        Self::new(method, path, Deed::Reply(Reply::error(status, "Server Error")))
    }

    /// Nothing happens, and this is the answer, as odd as it may be: `merged: false` with 200, a refusal in other words.
    #[must_use]
    pub fn answer(method: &str, path: &str, status: u16, body: Value) -> Self {
        Self::new(method, path, Deed::Reply(Reply::new(status, body)))
    }

    /// 403: the primary rate limit is used up until its hour ends. GraphQL says so with 200, whatever the status.
    #[must_use]
    pub fn rate_limited(method: &str, path: &str) -> Self {
        Self::new(method, path, Deed::Limited(403))
    }

    /// 429: as before, with the other status that GitHub uses for it.
    #[must_use]
    pub fn too_many_requests(method: &str, path: &str) -> Self {
        Self::new(method, path, Deed::Limited(429))
    }

    /// 403: the secondary limit, with or without a `retry-after` in seconds.
    #[must_use]
    pub fn secondary(method: &str, path: &str, retry_after_s: Option<u64>) -> Self {
        Self::new(method, path, Deed::Reply(secondary(retry_after_s)))
    }

    /// The effect happens and is answered after this time: the only thing here that waits.
    #[must_use]
    pub fn delay(method: &str, path: &str, time: Duration) -> Self {
        Self::new(method, path, Deed::Delay(time))
    }

    /// Nothing happens, and no answer comes as long as the client waits.
    #[must_use]
    pub fn hang_before(method: &str, path: &str) -> Self {
        Self::new(method, path, Deed::HangBefore)
    }

    /// The effect happens, and no answer comes as long as the client waits.
    #[must_use]
    pub fn hang_after(method: &str, path: &str) -> Self {
        Self::new(method, path, Deed::HangAfter)
    }

    /// The connection is closed, and the effect happens when [`Armed::land`] is called.
    #[must_use]
    pub fn late(method: &str, path: &str) -> Self {
        Self::new(method, path, Deed::Late(Late::Told))
    }

    /// The connection is closed, and the effect happens after so many other requests have come.
    #[must_use]
    pub fn late_by_requests(method: &str, path: &str, requests: u64) -> Self {
        Self::new(method, path, Deed::Late(Late::Requests(requests)))
    }

    /// The connection is closed, and the effect happens when the server's clock has gone on by so much.
    #[must_use]
    pub fn late_by_seconds(method: &str, path: &str, seconds: i64) -> Self {
        Self::new(method, path, Deed::Late(Late::Seconds(seconds)))
    }

    /// Just before such a request is looked at, somebody does something: it is called on the server's thread, and may
    /// use everything that a [`Repo`](super::Repo) and a [`Person`](super::Person) offer.
    #[must_use]
    pub fn just_before(method: &str, path: &str, act: impl FnOnce() + Send + 'static) -> Self {
        Self::new(method, path, Deed::Before(Some(Box::new(act))))
    }

    /// It happens to the so-manieth request that fits; 1 is the first.
    #[must_use]
    pub fn nth(mut self, nth: usize) -> Self {
        self.nth = nth;
        self
    }

    /// It happens to so many requests, one after the other. What somebody else does happens once.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }
}

/// A fault that waits in the server.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) id: u64,
    fault: Fault,
    seen: usize,
    /// The last request that it has counted.
    counted: u64,
    reached: watch::Sender<bool>,
}

impl Waiting {
    pub(super) fn new(id: u64, fault: Fault) -> (Self, watch::Receiver<bool>) {
        let (reached, seen) = watch::channel(false);
        (Self { id, fault, seen: 0, counted: 0, reached }, seen)
    }

    /// Counts a request; what is to be done if it is its turn.
    pub(super) fn meet(&mut self, method: &str, path: &str) -> Option<&mut Deed> {
        let Fault { method: wanted, path: pattern, nth, times, deed } = &mut self.fault;
        let whole = path.split_once('#').map_or(path, |(start, _)| start);
        if wanted != "*" && wanted != method || !fits(pattern, path) && !fits(pattern, whole) {
            return None;
        }
        self.seen += 1;
        (self.seen >= *nth && self.seen - *nth < *times).then(|| {
            self.reached.send_replace(true);
            deed
        })
    }

    /// Whether this request was not counted yet.
    pub(super) fn counts(&mut self, number: u64) -> bool {
        std::mem::replace(&mut self.counted, number) != number
    }

    /// Whether it is somebody's act, and no fault.
    pub(super) fn is_act(&self) -> bool {
        matches!(self.fault.deed, Deed::Before(_))
    }

    pub(super) fn was_reached(&self) -> bool {
        *self.reached.borrow()
    }

    pub(super) fn describe(&self) -> String {
        format!("{:?}: {} {}", self.fault.deed, self.fault.method, self.fault.path)
    }
}

/// A fault that the test has armed and can ask about. One that was never reached fails the test in
/// [`Server::check`](super::Server::check).
#[derive(Debug)]
pub struct Armed {
    pub(super) id: u64,
    pub(super) reached: watch::Receiver<bool>,
    pub(super) shared: std::sync::Arc<super::server::Shared>,
}

impl Armed {
    /// Whether it has happened.
    #[must_use]
    pub fn was_reached(&self) -> bool {
        *self.reached.borrow()
    }

    /// Waits until it has happened.
    ///
    /// # Panics
    /// If the server ends before that.
    pub async fn reached(&self) {
        let reached = self.reached.clone().wait_for(|reached| *reached).await.map(drop);
        assert!(reached.is_ok(), "the server has ended, and the fault was not reached");
    }

    /// Lets the effect of a [`late`](Fault::late) request happen now. It answers with the status that nobody will see.
    ///
    /// # Panics
    /// Where no such request has come, or it has happened already.
    pub fn land(&self) -> u16 {
        let status = self.shared.land(|late| late.id == self.id).first().copied();
        status.unwrap_or_else(|| panic!("no late request waits"))
    }

    /// Takes the fault back.
    pub fn disarm(&self) {
        self.shared.faults.lock().retain(|waiting| waiting.id != self.id);
    }
}
