//! Events with what proves them to those who do not have the log.

use std::fmt::{self, Debug};

use enact_core::event::StoredEvent;
use enact_core::ids::{EventSeq, RunId};
use enact_core::store::{MAX_PAGE, StoreError};
use enact_merkle::Hash;

use super::SledStore;
use crate::codec::{self, HASHED_BYTES, Record};
use crate::secrets::RunKey;

/// An event, and what its leaf of the log is made of. That tells nothing of what happened but the clear header, so it can be given
/// to others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProvableEvent {
    /// The event.
    pub event: StoredEvent,
    /// The header of its record, as far as the leaf hash covers it; [`RecordHeader::parse`](crate::RecordHeader::parse) reads it.
    pub header: [u8; HASHED_BYTES],
    /// The hash of its payload as it is stored, which is encrypted where the store is.
    pub payload: Hash,
}

impl ProvableEvent {
    fn of(event: StoredEvent, record: &Record<'_>) -> Self {
        Self { event, header: record.hashed_header(), payload: record.payload_hash() }
    }

    /// The leaf hash that a record with this header and the hash of this payload has.
    #[must_use]
    pub fn leaf_of(header: &[u8; HASHED_BYTES], payload: &Hash) -> Hash {
        codec::leaf(header, payload)
    }
}

/// Keys for the digests of what a run holds, which nobody can make who has not the run's key. They are gone when the run is
/// erased; then a digest tells nothing more, also to those who guess right what it is of.
pub struct Salts(RunKey);

impl Salts {
    /// The key for what is called so within the run. Whoever is given it can make this one digest.
    #[must_use]
    pub fn of(&self, label: &str) -> Hash {
        self.0.salt(label)
    }
}

impl Debug for Salts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salts")
    }
}

impl SledStore {
    /// As [`EventStore::read`](enact_core::store::EventStore::read), with what proves each event.
    ///
    /// # Errors
    /// As there.
    pub async fn read_provable(
        &self,
        run: RunId,
        from: EventSeq,
        limit: usize,
    ) -> Result<Vec<ProvableEvent>, StoreError> {
        self.reading(move |volumes| volumes.read_run_as(run, from, limit.min(MAX_PAGE), ProvableEvent::of))
            .await
    }

    /// The salts of a run; `None` where its content is not encrypted, so that there is no key to make them with, or where there is no such
    /// run.
    ///
    /// # Errors
    /// [`StoreError::Erased`]; [`StoreError::WrongKey`], where the store was opened without its master key; those of the disk.
    pub async fn salts(&self, run: RunId) -> Result<Option<Salts>, StoreError> {
        Ok(self.secret_of(run).await?.map(Salts))
    }
}
