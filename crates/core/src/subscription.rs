//! Following the log: every durable event, in the order of positions, from any position on.
//!
//! The one mechanism by which the log is read as a whole, also by who only wants what is there now. It stands on
//! [`EventStore`] alone, so whoever has a store can follow it, with or without a runtime.

use std::collections::VecDeque;
use std::fmt::{self, Debug};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::Stream;
use futures::future::{BoxFuture, Either, FutureExt as _, select};

use crate::event::StoredEvent;
use crate::ids::{EventSeq, Position, RunId};
use crate::store::{EventStore, MAX_PAGE, StoreError};

/// What a subscription gives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Delivered {
    /// An event. Where the content of its run was erased, it is [`Event::PayloadErased`](crate::event::Event::PayloadErased).
    Event(StoredEvent),
    /// Here were events that are pruned: nobody can read them any more.
    Pruned {
        /// The first position.
        first: Position,
        /// The last position.
        last: Position,
    },
}

impl Delivered {
    /// The position up to which the log was delivered with this. A subscription from the next one misses nothing and
    /// repeats nothing.
    #[must_use]
    pub fn position(&self) -> Position {
        match self {
            Self::Event(event) => event.position,
            Self::Pruned { last, .. } => *last,
        }
    }
}

/// The events of a log, those that are there and those to come. A [`Stream`], and also to be asked by
/// [`next`](Self::next).
///
/// # Contract
/// - **Durable events only**, each once, in the order of positions. What was delivered survives any crash; so whoever
///   keeps the position of what it is done with, and begins anew at the one behind it, misses nothing and repeats
///   nothing. [`position`](Self::position) is where to go on behind all that was delivered.
/// - **Nothing is left out silently.** Where events are pruned, it says which positions.
/// - **Bounded.** One page of the log is held ([`MAX_PAGE`] events, and 16 MiB or one event), and read when that is
///   used up. A slow consumer holds up nobody: not the store, not runs, not others that follow; it reads later.
/// - **It ends** (`None`) when the store is closed, or the runtime that gave it has shut down and all was delivered that
///   was durable then. After an error it ends too, having lost nothing: a new one goes on from
///   [`position`](Self::position). It has the store until it has ended or is dropped.
/// - Dropping the future of [`next`](Self::next) loses nothing.
///
/// # Errors
/// Those of the store: [`StoreError::Poisoned`], where nothing more becomes durable; [`StoreError::Corrupt`];
/// [`StoreError::Io`].
pub struct Subscription {
    /// None while a page is read.
    idle: Option<Reading>,
    busy: Option<BoxFuture<'static, (Reading, Result<(), StoreError>)>>,
    next: Position,
}

impl Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("position", &self.next).finish_non_exhaustive()
    }
}

impl Subscription {
    /// Follows a store from a position on; 1 is the first. One that is not there yet is waited for.
    pub fn new(store: Arc<dyn EventStore>, from: Position) -> Self {
        let next = Position(from.0.max(1));
        let reading = Reading {
            store,
            run: None,
            catching_up: None,
            next,
            page: VecDeque::new(),
            last: None,
            stop: None,
            ended: false,
        };
        Self { idle: Some(reading), busy: None, next }
    }

    /// Only what of it is of one run. Of a run that is pruned meanwhile it says so, with all positions behind the last
    /// one that was delivered.
    #[must_use]
    pub fn of_run(mut self, run: RunId) -> Self {
        if let Some(reading) = &mut self.idle {
            reading.run = Some(run);
            reading.catching_up =
                Some(CatchingUp { seq: EventSeq(1), to: reading.store.durable(), was_there: false });
        }
        self
    }

    /// Only what is durable now; then it ends.
    #[must_use]
    pub fn up_to_now(mut self) -> Self {
        if let Some(reading) = &mut self.idle {
            reading.end_now();
        }
        self
    }

    /// When that has come about, only what is durable then is delivered, and then it ends.
    #[must_use]
    pub fn until(mut self, stop: impl Future<Output = ()> + Send + 'static) -> Self {
        if let Some(reading) = &mut self.idle {
            reading.stop = Some(Box::pin(stop));
        }
        self
    }

    /// Where a new subscription has to begin to go on behind all that this one delivered.
    #[must_use]
    pub fn position(&self) -> Position {
        self.next
    }

    /// The next of it; waits until there is one. `None`: it has ended.
    pub async fn next(&mut self) -> Option<Result<Delivered, StoreError>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// What is there without reading; `None`, where it has to be read.
    fn at_hand(&mut self) -> Option<Option<Result<Delivered, StoreError>>> {
        let reading = self.idle.as_mut()?;
        if let Some(delivered) = reading.page.pop_front() {
            self.next = delivered.position().next();
            return Some(Some(Ok(delivered)));
        }
        if reading.ended {
            // The store is not ours any more.
            self.idle = None;
            return Some(None);
        }
        None
    }
}

impl Stream for Subscription {
    type Item = Result<Delivered, StoreError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(at_hand) = self.at_hand() {
                return Poll::Ready(at_hand);
            }
            if let Some(mut reading) = self.idle.take() {
                self.busy = Some(Box::pin(async move {
                    let read = reading.read().await;
                    (reading, read)
                }));
            }
            let Some(busy) = &mut self.busy else { return Poll::Ready(None) };
            let Poll::Ready((reading, read)) = busy.as_mut().poll(cx) else { return Poll::Pending };
            self.busy = None;
            let Err(error) = read else {
                self.idle = Some(reading);
                continue;
            };
            // With it go the store and what of the page nobody was given.
            drop(reading);
            let has_closed = matches!(error, StoreError::Closed);
            return Poll::Ready((!has_closed).then_some(Err(error)));
        }
    }
}

struct Reading {
    store: Arc<dyn EventStore>,
    /// The only run that is wanted.
    run: Option<RunId>,
    /// How far that run was read by itself, which spares reading all others.
    catching_up: Option<CatchingUp>,
    /// The first position that is not in any page yet.
    next: Position,
    page: VecDeque<Delivered>,
    /// Where it ends.
    last: Option<Position>,
    stop: Option<BoxFuture<'static, ()>>,
    ended: bool,
}

#[derive(Clone, Copy)]
struct CatchingUp {
    /// The next number of the run.
    seq: EventSeq,
    /// The log is read from behind there.
    to: Position,
    /// Whether the run was seen.
    was_there: bool,
}

impl Reading {
    fn end_now(&mut self) {
        let durable = self.store.durable();
        self.last = Some(self.last.map_or(durable, |last| last.min(durable)));
    }

    fn is_wanted(&self, position: Position) -> bool {
        self.last.is_none_or(|last| position <= last)
    }

    /// Reads a page, or waits until there is something to read.
    async fn read(&mut self) -> Result<(), StoreError> {
        if self.stop.as_mut().is_some_and(|stop| stop.now_or_never().is_some()) {
            self.stop = None;
            self.end_now();
        }
        match self.catching_up {
            Some(at) => self.read_run(at).await,
            None if !self.is_wanted(self.next) => {
                self.ended = true;
                Ok(())
            }
            None => self.read_log().await,
        }
    }

    async fn read_log(&mut self) -> Result<(), StoreError> {
        // First what is durable: all of that is in the page, or is pruned.
        let durable = self.store.durable();
        if durable < self.next {
            return self.wait().await;
        }
        let events = self.store.read_all(self.next, MAX_PAGE).await?;
        if events.is_empty() {
            self.pruned_up_to(durable).await?;
        }
        for event in events {
            if event.position > self.next {
                self.pruned_up_to(Position(event.position.0 - 1)).await?;
            }
            if !self.is_wanted(event.position) {
                break;
            }
            self.next = event.position.next();
            if self.run.is_none_or(|run| run == event.run_id) {
                self.page.push_back(Delivered::Event(event));
            }
        }
        Ok(())
    }

    /// Up to there is nothing any more.
    async fn pruned_up_to(&mut self, last: Position) -> Result<(), StoreError> {
        let (first, wanted) = (self.next, self.last.map_or(last, |end| end.min(last)));
        self.next = last.next();
        // The run that is wanted was perhaps not there.
        let is_missed = match self.run {
            Some(run) => self.store.read(run, EventSeq(1), 1).await?.is_empty(),
            None => true,
        };
        if is_missed && first <= wanted {
            self.page.push_back(Delivered::Pruned { first, last: wanted });
        }
        Ok(())
    }

    async fn read_run(&mut self, mut at: CatchingUp) -> Result<(), StoreError> {
        let Some(run) = self.run else { return Ok(()) };
        let events = self.store.read(run, at.seq, MAX_PAGE).await?;
        if events.is_empty() && at.was_there && self.next <= at.to {
            self.pruned_up_to(at.to).await?;
        }
        let is_last = events.last().is_none_or(|event| event.position >= at.to);
        for event in events {
            (at.seq, at.was_there) = (event.event_seq.next(), true);
            if event.position >= self.next && event.position <= at.to && self.is_wanted(event.position) {
                self.next = event.position.next();
                self.page.push_back(Delivered::Event(event));
            }
        }
        if is_last {
            self.next = self.next.max(at.to.next());
        }
        self.catching_up = Some(at).filter(|_| !is_last);
        Ok(())
    }

    /// Waits until the log goes on, or it is to end.
    async fn wait(&mut self) -> Result<(), StoreError> {
        let beyond = self.store.beyond(Position(self.next.0.saturating_sub(1)));
        let Some(stop) = &mut self.stop else { return beyond.await.map(drop) };
        let has_to_end = match select(stop, beyond).await {
            Either::Left(_) => true,
            Either::Right((beyond, _)) => {
                beyond?;
                false
            }
        };
        if has_to_end {
            self.stop = None;
            self.end_now();
        }
        Ok(())
    }
}
