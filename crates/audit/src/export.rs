//! The log as lines of JSON, for other people's tools.
//!
//! docs/export.md has the form. It is versioned by its first line; a form that was released gets new fields at most.

use std::collections::HashMap;
use std::fmt::{self, Debug};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use enact_core::document;
use enact_core::event::{Event, StoredEvent};
use enact_core::ids::{EventSeq, Position, RunId};
use enact_core::run::is_same_person;
use enact_core::store::{EventStore, MAX_PAGE, StoreError};
use enact_core::subscription::{Delivered, Subscription};
use enact_core::time::Timestamp;
use enact_merkle::Hash;
use enact_store::SledStore;
use serde::Serialize;

use crate::notary::origin;

/// The form of an export.
const FORMAT: &str = "enact.export.v1";
/// Of how many runs it is remembered whose they are.
const REMEMBERED: usize = 10_000;

/// Which events are exported: those for which all that is given holds. By default all.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
pub struct Filter {
    /// Those of one of these runs; of any, where there are none.
    pub runs: Vec<RunId>,
    /// Those of runs of this user. A run whose content was erased is nobody's.
    pub user: Option<String>,
    /// Those of runs of this workflow. A run whose content was erased is of none.
    pub workflow: Option<String>,
    /// Those of one of these kinds; of any, where there are none. What is erased is of the kind that it was.
    pub kinds: Vec<String>,
    /// Those of this time or later.
    pub since: Option<Timestamp>,
    /// Those from before this time.
    pub before: Option<Timestamp>,
}

/// A line of an export.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Line {
    /// The first one.
    Begin {
        /// Which log.
        log: String,
        /// The first position that was looked at.
        from: Position,
        /// What was asked for.
        filter: Filter,
    },
    /// An event, with its leaf hash.
    Event(Box<StoredEvent>, Hash),
    /// Here were events that are pruned.
    Pruned {
        /// The first position.
        first: Position,
        /// The last position.
        last: Position,
    },
    /// The last one: all up to here was looked at. Where it is missing, the export was cut off.
    End {
        /// An export from the position behind this one goes on without a gap, and repeats nothing.
        position: Position,
        /// How many events were exported.
        events: u64,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Shown<'a> {
    Begin {
        format: &'static str,
        log: &'a str,
        from: Position,
        filter: &'a Filter,
    },
    Event {
        leaf: String,
        #[serde(flatten)]
        event: &'a StoredEvent,
    },
    Pruned {
        first: Position,
        position: Position,
    },
    End {
        position: Position,
        events: u64,
    },
}

impl Line {
    /// The line as JSON. `whole`: with binary content of any size as it was recorded; else it is shown as `enact events` does.
    ///
    /// # Errors
    /// None that is known of.
    pub fn to_json(&self, whole: bool) -> serde_json::Result<String> {
        let shown = match self {
            Self::Begin { log, from, filter } => Shown::Begin { format: FORMAT, log, from: *from, filter },
            Self::Event(event, leaf) => Shown::Event { leaf: STANDARD.encode(leaf), event },
            Self::Pruned { first, last } => Shown::Pruned { first: *first, position: *last },
            Self::End { position, events } => Shown::End { position: *position, events: *events },
        };
        if whole { serde_json::to_string(&shown) } else { document::line(&shown) }
    }
}

/// An export of what is durable when it begins.
pub struct Export {
    store: Arc<SledStore>,
    log: Subscription,
    filter: Filter,
    begin: Option<Line>,
    whose: HashMap<RunId, Option<Whose>>,
    leaves: (Position, Vec<Hash>),
    /// The last position that was durable when it began.
    last: Position,
    events: u64,
    ended: bool,
}

impl Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Export").field("log", &self.log).field("filter", &self.filter).finish_non_exhaustive()
    }
}

/// Whose run it is.
#[derive(Clone, Debug)]
struct Whose {
    user: String,
    workflow: String,
}

impl Export {
    /// Begins one from a position on; 1 is the first.
    #[must_use]
    pub fn new(store: Arc<SledStore>, from: Position, filter: Filter) -> Self {
        let from = Position(from.0.max(1));
        // First: what becomes durable in between is exported, and the end says so.
        let last = store.durable().max(Position(from.0 - 1));
        let mut log = Subscription::new(Arc::clone(&store) as Arc<dyn EventStore>, from).up_to_now();
        if let [run] = filter.runs[..] {
            log = log.of_run(run);
        }
        let begin = Line::Begin { log: origin(&store), from, filter: filter.clone() };
        Self {
            last,
            store,
            log,
            filter,
            begin: Some(begin),
            whose: HashMap::new(),
            leaves: (Position(0), Vec::new()),
            events: 0,
            ended: false,
        }
    }

    /// The next line; `None` behind the last one, and behind an error.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn next(&mut self) -> Option<Result<Line, StoreError>> {
        if let Some(begin) = self.begin.take() {
            return Some(Ok(begin));
        }
        if self.ended {
            return None;
        }
        let line = self.look_for_next().await;
        self.ended = !matches!(line, Ok(Line::Event(..) | Line::Pruned { .. }));
        Some(line)
    }

    async fn look_for_next(&mut self) -> Result<Line, StoreError> {
        while let Some(delivered) = self.log.next().await {
            match delivered? {
                Delivered::Pruned { first, last } => return Ok(Line::Pruned { first, last }),
                Delivered::Event(event) if self.is_wanted(&event).await? => {
                    let leaf = self.leaf(event.position).await?;
                    self.events += 1;
                    return Ok(Line::Event(Box::new(event), leaf));
                }
                Delivered::Event(_) => {}
            }
        }
        let position = self.last.max(Position(self.log.position().0 - 1));
        Ok(Line::End { position, events: self.events })
    }

    async fn is_wanted(&mut self, event: &StoredEvent) -> Result<bool, StoreError> {
        let Filter { runs, user, workflow, kinds, since, before } = &self.filter;
        let kind = match &event.event {
            Event::PayloadErased(erased) => erased.was.as_str(),
            event => event.name(),
        };
        let holds = (runs.is_empty() || runs.contains(&event.run_id))
            && (kinds.is_empty() || kinds.iter().any(|wanted| wanted == kind))
            && since.is_none_or(|since| event.at >= since)
            && before.is_none_or(|before| event.at < before);
        if !holds || (user.is_none() && workflow.is_none()) {
            return Ok(holds);
        }
        let (user, workflow) = (user.clone(), workflow.clone());
        Ok(self.whose(event.run_id).await?.is_some_and(|whose| {
            user.is_none_or(|user| is_same_person(&whose.user, &user))
                && workflow.is_none_or(|workflow| whose.workflow == workflow)
        }))
    }

    /// Whose run it is, which its first event says.
    async fn whose(&mut self, run: RunId) -> Result<Option<Whose>, StoreError> {
        if let Some(known) = self.whose.get(&run) {
            return Ok(known.clone());
        }
        let first = self.store.read(run, EventSeq(1), 1).await?.into_iter().next();
        let whose = first.and_then(|first| match first.event {
            Event::RunAccepted(accepted) => {
                Some(Whose { user: accepted.user.clone(), workflow: accepted.workflow.clone() })
            }
            _ => None,
        });
        if self.whose.len() >= REMEMBERED {
            self.whose.clear();
        }
        self.whose.insert(run, whose.clone());
        Ok(whose)
    }

    async fn leaf(&mut self, position: Position) -> Result<Hash, StoreError> {
        let place = |first: Position| usize::try_from(position.0.checked_sub(first.0)?).ok();
        if place(self.leaves.0).and_then(|place| self.leaves.1.get(place)).is_none() {
            self.leaves = (position, self.store.leaves(position, MAX_PAGE).await?);
        }
        let leaf = place(self.leaves.0).and_then(|place| self.leaves.1.get(place));
        leaf.copied().ok_or_else(|| StoreError::Corrupt {
            path: self.store.path().to_owned(),
            what: format!("there is an event at position {position}, and no leaf hash of it"),
        })
    }
}
