//! What one connection is talking about: which text an execution runs, and which reply is due next.

use std::collections::{HashMap, VecDeque};

use super::fault::Deed;
use super::wire::{BIND, COPY_IN, EXECUTE, FUNCTION_CALL, Message, PARSE, QUERY, READY, SYNC, take_text};

/// The state of one connection, that both directions see.
#[derive(Debug)]
pub(super) struct Talk {
    /// Texts by the names of statements.
    statements: HashMap<String, String>,
    /// Texts by the names of portals.
    portals: HashMap<String, String>,
    /// The tags of the requests that were sent and whose `ReadyForQuery` is due. The opening counts as one.
    due: VecDeque<u8>,
    /// How many `ReadyForQuery` were given before those that are due.
    given: usize,
    /// What is to be done with which reply, by its number.
    plan: Option<(usize, Deed)>,
}

impl Talk {
    pub(super) fn new() -> Self {
        Self {
            statements: HashMap::new(),
            portals: HashMap::new(),
            due: VecDeque::from([0]),
            given: 0,
            plan: None,
        }
    }

    /// The text of the statement that a message of the client runs, if it runs one.
    pub(super) fn statement(&mut self, message: &Message) -> Option<String> {
        let mut body = message.body.as_slice();
        match message.tag {
            QUERY => take_text(&mut body),
            EXECUTE => self.portals.get(&take_text(&mut body)?).cloned(),
            PARSE => {
                let name = take_text(&mut body)?;
                self.statements.insert(name, take_text(&mut body)?);
                None
            }
            BIND => {
                let portal = take_text(&mut body)?;
                let text = self.statements.get(&take_text(&mut body)?).cloned().unwrap_or_default();
                self.portals.insert(portal, text);
                None
            }
            _ => None,
        }
    }

    /// The message will be sent to the server.
    pub(super) fn sends(&mut self, message: &Message) {
        if [QUERY, SYNC, FUNCTION_CALL].contains(&message.tag) {
            self.due.push_back(message.tag);
        }
    }

    /// The reply to the statement that will be sent next is to be treated so: it ends with the `ReadyForQuery` of the
    /// query itself, or of the next `Sync`.
    pub(super) fn plan_next_reply(&mut self, deed: Deed) {
        self.plan = Some((self.given + self.due.len(), deed));
    }

    /// Whether what the server says now belongs to the reply that something is to be done with.
    pub(super) fn is_planned(&self) -> bool {
        self.plan.as_ref().is_some_and(|(number, _)| *number == self.given)
    }

    /// The server has sent the message. Gives what is to be done with a planned reply when it is complete.
    pub(super) fn receives(&mut self, message: &Message) -> Option<Deed> {
        let planned = self.is_planned();
        match message.tag {
            READY => {
                self.due.pop_front();
                self.given += 1;
                if planned { self.plan.take().map(|(_, deed)| deed) } else { None }
            }
            // The `Sync` that came with the statement is ignored; the one after the data counts.
            COPY_IN if self.due.front() == Some(&SYNC) => {
                self.due.pop_front();
                None
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(tag: u8, body: &str) -> Message {
        Message { tag, body: body.as_bytes().to_vec() }
    }

    #[test]
    fn an_execution_has_the_text_of_what_was_parsed() {
        let mut talk = Talk::new();
        assert_eq!(talk.statement(&message(PARSE, "s1\0INSERT 1\0")), None);
        assert_eq!(talk.statement(&message(PARSE, "s2\0SELECT 2\0")), None);
        assert_eq!(talk.statement(&message(BIND, "\0s1\0")), None);
        assert_eq!(talk.statement(&message(EXECUTE, "\0")).as_deref(), Some("INSERT 1"));
        assert_eq!(talk.statement(&message(BIND, "\0s2\0")), None);
        assert_eq!(talk.statement(&message(EXECUTE, "\0")).as_deref(), Some("SELECT 2"));
        assert_eq!(talk.statement(&message(QUERY, "COMMIT\0")).as_deref(), Some("COMMIT"));
    }

    #[test]
    fn replies_are_counted_by_what_asked_for_them() {
        let mut talk = Talk::new();
        talk.receives(&message(READY, "I"));
        talk.sends(&message(QUERY, "BEGIN\0"));
        talk.sends(&message(EXECUTE, "\0"));
        assert!(!talk.is_planned());
        talk.receives(&message(READY, "T"));
        talk.sends(&message(SYNC, ""));
        talk.sends(&message(SYNC, ""));
        talk.receives(&message(COPY_IN, ""));
        talk.receives(&message(READY, "T"));
        assert!(talk.due.is_empty(), "{talk:?}");
    }
}
