//! Faults: the side that waits in the proxy, and the side that the test has.

use tokio::sync::{oneshot, watch};

/// A fault that the test has armed and can ask about.
#[derive(Debug)]
pub struct Fault(Reached);

/// A message that is kept, or will be. Dropping it cuts the connection, or disarms it where nothing has come yet.
#[derive(Debug)]
pub struct Hold {
    reached: Reached,
    release: oneshot::Sender<()>,
}

#[derive(Debug)]
struct Reached(watch::Receiver<bool>);

impl Fault {
    /// Waits until it has happened: the connection is cut.
    ///
    /// # Panics
    /// If the proxy ends before that.
    pub async fn reached(&self) {
        self.0.wait().await;
    }

    /// Whether it has happened.
    #[must_use]
    pub fn was_reached(&self) -> bool {
        *self.0.0.borrow()
    }
}

impl Hold {
    /// Waits until something is held.
    ///
    /// # Panics
    /// If the proxy ends before that.
    pub async fn reached(&self) {
        self.reached.wait().await;
    }

    /// Whether something is held.
    #[must_use]
    pub fn was_reached(&self) -> bool {
        *self.reached.0.borrow()
    }

    /// Lets it go on its way. Where nothing has come yet, nothing will be held.
    pub fn release(self) {
        // An error is that the connection has ended by itself.
        self.release.send(()).ok();
    }

    /// Cuts the connection on both sides instead.
    pub fn cut(self) {}
}

impl Reached {
    async fn wait(&self) {
        let reached = self.0.clone().wait_for(|reached| *reached).await.map(drop);
        assert!(reached.is_ok(), "the proxy or the connection has ended, and the fault was not reached");
    }
}

/// A fault that waits for its statement.
#[derive(Debug)]
pub(super) struct Armed {
    word: String,
    kind: Kind,
    reached: watch::Sender<bool>,
}

#[derive(Debug)]
enum Kind {
    LoseRequest,
    LoseReply,
    HoldRequest(oneshot::Receiver<()>),
    HoldReply(oneshot::Receiver<()>),
}

/// What is to be done with a request or its reply.
#[derive(Debug)]
pub(super) enum Deed {
    /// Cut the connection, then say so.
    Lose(Said),
    /// Say so, wait, and then send it on or cut the connection.
    Keep(Said, oneshot::Receiver<()>),
}

/// To whom it happens.
#[derive(Debug)]
pub(super) enum Victim {
    /// The statement is not sent on.
    Request(Deed),
    /// The answer is not sent on.
    Reply(Deed),
}

/// Says to the test that the fault was reached.
#[derive(Debug)]
pub(super) struct Said(watch::Sender<bool>);

impl Said {
    pub(super) fn reached(self) {
        self.0.send_replace(true);
    }
}

fn pair(word: &str, kind: Kind) -> (Armed, Reached) {
    let (reached, seen) = watch::channel(false);
    (Armed { word: word.to_owned(), kind, reached }, Reached(seen))
}

pub(super) fn losing_request(word: &str) -> (Armed, Fault) {
    let (armed, reached) = pair(word, Kind::LoseRequest);
    (armed, Fault(reached))
}

pub(super) fn losing_reply(word: &str) -> (Armed, Fault) {
    let (armed, reached) = pair(word, Kind::LoseReply);
    (armed, Fault(reached))
}

pub(super) fn holding_request(word: &str) -> (Armed, Hold) {
    let (release, released) = oneshot::channel();
    let (armed, reached) = pair(word, Kind::HoldRequest(released));
    (armed, Hold { reached, release })
}

pub(super) fn holding_reply(word: &str) -> (Armed, Hold) {
    let (release, released) = oneshot::channel();
    let (armed, reached) = pair(word, Kind::HoldReply(released));
    (armed, Hold { reached, release })
}

impl Armed {
    /// Whether the statement is one that it waits for.
    pub(super) fn fits(&self, statement: &str) -> bool {
        begins_with(statement, &self.word)
    }

    /// Whether the test has released or dropped what was to be held.
    pub(super) fn is_given_up(&mut self) -> bool {
        match &mut self.kind {
            Kind::LoseRequest | Kind::LoseReply => false,
            Kind::HoldRequest(released) | Kind::HoldReply(released) => {
                released.try_recv() != Err(oneshot::error::TryRecvError::Empty)
            }
        }
    }

    pub(super) fn victim(self) -> Victim {
        let said = Said(self.reached);
        match self.kind {
            Kind::LoseRequest => Victim::Request(Deed::Lose(said)),
            Kind::LoseReply => Victim::Reply(Deed::Lose(said)),
            Kind::HoldRequest(released) => Victim::Request(Deed::Keep(said, released)),
            Kind::HoldReply(released) => Victim::Reply(Deed::Keep(said, released)),
        }
    }
}

/// Whether a statement begins with a word, and not only with a longer one.
pub(super) fn begins_with(statement: &str, word: &str) -> bool {
    let statement = statement.trim_start();
    let Some((start, rest)) = statement.split_at_checked(word.len()) else { return false };
    let goes_on = rest.starts_with(|next: char| next.is_alphanumeric() || next == '_');
    start.eq_ignore_ascii_case(word) && !goes_on
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_at_the_beginning_alone_and_whole() {
        for found in ["COMMIT", "commit;", " \n Commit AND CHAIN", "COMMIT--"] {
            assert!(begins_with(found, "commit"), "{found}");
        }
        for other in ["", "COMM", "COMMITTED", "COMMIT_", "SELECT 'COMMIT'", "é"] {
            assert!(!begins_with(other, "COMMIT"), "{other}");
        }
        assert!(begins_with("INSERT INTO a(b) VALUES (1)", "insert into a"));
    }

    #[test]
    fn what_was_dropped_or_released_before_it_came_is_not_held() {
        let (mut armed, hold) = holding_request("SELECT");
        assert!(!armed.is_given_up());
        drop(hold);
        assert!(armed.is_given_up());
        let (mut armed, hold) = holding_reply("SELECT");
        hold.release();
        assert!(armed.is_given_up());
    }
}
