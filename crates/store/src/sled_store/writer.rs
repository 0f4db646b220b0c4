//! The one thread that writes the journal.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use enact_core::ids::Position;
use enact_core::store::StoreError;

use super::mark::Mark;
use super::order::{Order, Ordered};
use crate::group::Content;
use crate::journal::{Journal, WriteError, frame};
use crate::volume::backlog::{Backlog, Group};
use crate::watermark::Watermark;

/// What the writer works with.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) order: Arc<Order>,
    pub(crate) journal: Journal,
    pub(crate) mark: Mark,
    pub(crate) durable: Arc<Watermark>,
    pub(crate) backlog: Arc<Backlog>,
}

impl Writer {
    /// Writes groups until the store is closed or poisoned, and gives the journal back. A panic poisons the store.
    pub(crate) fn run(self) -> Option<Journal> {
        let (order, durable, backlog) =
            (Arc::clone(&self.order), Arc::clone(&self.durable), Arc::clone(&self.backlog));
        let written = catch_unwind(AssertUnwindSafe(|| self.write_all()));
        if written.is_err() {
            let why = StoreError::Poisoned("the thread of the journal panicked".into());
            durable.stop(&why);
            order.poison(&why);
            backlog.close(&why);
        }
        written.ok()
    }

    fn write_all(mut self) -> Journal {
        while let Some(group) = self.order.take_group() {
            if let Err(why) = self.write(group) {
                tracing::error!(%why, "the store stopped");
                break;
            }
        }
        let why = self.order.why_stopped();
        self.backlog.close(&why);
        self.durable.stop(&why);
        self.journal
    }

    fn write(&mut self, group: Vec<Ordered>) -> Result<(), StoreError> {
        if let Err(why) = self.backlog.room() {
            self.order.take_back(group, &why);
            return Ok(());
        }
        let mut buffer = Vec::with_capacity(group.iter().map(size).sum::<usize>() + frame::SECTOR * 2);
        frame::begin(&mut buffer);
        for append in &group {
            append.header.write(&append.events, &mut buffer);
        }
        let body = frame::FRAME_HEADER..buffer.len();
        let last = group.last().map_or(Position(0), |append| append.header.last());
        // What an erasure takes away is in the segments before, and goes with them.
        let erases = group.iter().any(|append| append.header.content == Content::Erased);
        match self.journal.write(&mut buffer, last, erases) {
            Ok(()) => {}
            Err(WriteError::Refused(error)) => {
                tracing::warn!(%error, "there is no room for more in the journal; appends are refused until there is");
                let why = StoreError::io("the journal has no room for more; nothing was appended", error);
                self.order.take_back(group, &why);
                return Ok(());
            }
            Err(WriteError::Fatal(why)) => {
                let why = StoreError::Poisoned(why);
                // First, so that whoever is told of it finds the store poisoned.
                self.durable.stop(&why);
                self.order.poison(&why);
                self.order.release(&group);
                group.into_iter().for_each(|append| append.done(Err(why.clone())));
                return Err(why);
            }
        }
        self.mark.set(last);
        self.durable.raise(last);
        self.order.release(&group);
        group.into_iter().for_each(|append| append.done(Ok(())));
        self.backlog.push(Group::new(buffer, body, last));
        Ok(())
    }
}

fn size(append: &Ordered) -> usize {
    let records: usize = append.events.iter().map(crate::codec::Prepared::record_bytes).sum();
    records + append.header.overhead()
}
