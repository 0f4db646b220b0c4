//! What goes wrong, when, and how a test knows that it did.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

use super::call::Reply;
use super::server::Shared;

/// A fault for requests of a method, or of any where it is `*`. It happens to the first one, or the one that
/// [`nth`](Self::nth) says, and once, or as often as [`times`](Self::times) says.
#[derive(Debug)]
pub struct Fault {
    method: String,
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
    /// Nothing happens, and this is the answer.
    Reply(Reply),
    /// Nothing happens, and no answer comes.
    HangBefore,
    /// It happens, and no answer comes.
    HangAfter,
    /// The connection ends, and it happens when the test says so.
    Late,
    /// Somebody else is faster. Then it goes on.
    Before(Option<Box<dyn FnOnce() + Send>>),
}

impl fmt::Debug for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DropBefore => "dropped before",
            Self::DropAfter => "dropped after",
            Self::ReplyAfter(_) => "another answer after",
            Self::Reply(_) => "refused",
            Self::HangBefore => "left hanging before",
            Self::HangAfter => "left hanging after",
            Self::Late => "late",
            Self::Before(_) => "somebody was faster",
        })
    }
}

impl Fault {
    fn new(method: &str, deed: Deed) -> Self {
        Self { method: method.to_owned(), nth: 1, times: 1, deed }
    }

    /// The connection is closed before the effect.
    #[must_use]
    pub fn drop_before(method: &str) -> Self {
        Self::new(method, Deed::DropBefore)
    }

    /// The effect happens, and the connection is closed without an answer.
    #[must_use]
    pub fn drop_after(method: &str) -> Self {
        Self::new(method, Deed::DropAfter)
    }

    /// Nothing happens, and the answer is `ok: false` with this code.
    #[must_use]
    pub fn error(method: &str, code: &str) -> Self {
        Self::new(method, Deed::Reply(Reply::error(code)))
    }

    /// The effect happens, and the answer is `ok: false` with this code.
    #[must_use]
    pub fn error_after(method: &str, code: &str) -> Self {
        Self::new(method, Deed::ReplyAfter(Reply::error(code)))
    }

    /// Nothing happens, and the answer is a page of a machine in between.
    #[must_use]
    pub fn status(method: &str, status: u16) -> Self {
        Self::new(method, Deed::Reply(Reply::page(status)))
    }

    /// The effect happens, and the answer is a page of a machine in between.
    #[must_use]
    pub fn status_after(method: &str, status: u16) -> Self {
        Self::new(method, Deed::ReplyAfter(Reply::page(status)))
    }

    /// 429, with how long to wait. A request that comes earlier is refused again, and fails the test.
    #[must_use]
    pub fn rate_limited(method: &str, retry_after_s: u64) -> Self {
        Self::new(method, Deed::Reply(Reply::too_fast(retry_after_s)))
    }

    /// Nothing happens, and no answer comes as long as the client waits.
    #[must_use]
    pub fn hang_before(method: &str) -> Self {
        Self::new(method, Deed::HangBefore)
    }

    /// The effect happens, and no answer comes as long as the client waits.
    #[must_use]
    pub fn hang_after(method: &str) -> Self {
        Self::new(method, Deed::HangAfter)
    }

    /// The connection is closed, and the effect happens when [`Armed::land`] is called.
    #[must_use]
    pub fn late(method: &str) -> Self {
        Self::new(method, Deed::Late)
    }

    /// Just before such a request is looked at, somebody does something: it is called on the server's thread, and may
    /// use everything that a [`Channel`](super::Channel) and a [`Person`](super::Person) offer.
    #[must_use]
    pub fn just_before(method: &str, act: impl FnOnce() + Send + 'static) -> Self {
        Self::new(method, Deed::Before(Some(Box::new(act))))
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
    reached: watch::Sender<bool>,
}

impl Waiting {
    pub(super) fn new(id: u64, fault: Fault) -> (Self, watch::Receiver<bool>) {
        let (reached, seen) = watch::channel(false);
        (Self { id, fault, seen: 0, reached }, seen)
    }

    /// Counts a request; what is to be done if it is its turn.
    pub(super) fn meet(&mut self, method: &str) -> Option<&mut Deed> {
        let Fault { method: wanted, nth, times, deed } = &mut self.fault;
        if wanted != "*" && wanted != method {
            return None;
        }
        self.seen += 1;
        (self.seen >= *nth && self.seen < *nth + *times).then_some(deed)
    }

    /// Tells the test.
    pub(super) fn reached(&self) {
        self.reached.send_replace(true);
    }

    /// Whether it is somebody's act, and no fault.
    pub(super) fn is_act(&self) -> bool {
        matches!(self.fault.deed, Deed::Before(_))
    }

    pub(super) fn was_reached(&self) -> bool {
        *self.reached.borrow()
    }

    pub(super) fn describe(&self) -> String {
        format!("{:?}: {}", self.fault.deed, self.fault.method)
    }
}

/// A fault that the test has armed and can ask about. One that was never reached fails the test in
/// [`Server::check`](super::Server::check).
#[derive(Debug)]
pub struct Armed {
    pub(super) id: u64,
    pub(super) reached: watch::Receiver<bool>,
    pub(super) shared: Arc<Shared>,
}

impl Armed {
    /// Whether it has happened.
    #[must_use]
    pub fn was_reached(&self) -> bool {
        *self.reached.borrow()
    }

    /// Waits until it has happened: what was to happen is done.
    ///
    /// # Panics
    /// If the server ends before that.
    pub async fn reached(&self) {
        let reached = self.reached.clone().wait_for(|reached| *reached).await.map(drop);
        assert!(reached.is_ok(), "the server has ended, and the fault was not reached");
    }

    /// Lets the effect of a [`late`](Fault::late) request happen now. It gives `ok` or the code that nobody will see.
    ///
    /// # Panics
    /// Where no such request has come, or it has happened already.
    pub fn land(&self) -> String {
        self.shared.land(self.id).unwrap_or_else(|| panic!("no late request waits"))
    }

    /// Takes the fault back.
    pub fn disarm(&self) {
        self.shared.faults.lock().retain(|waiting| waiting.id != self.id);
    }
}
