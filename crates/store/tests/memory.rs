//! The store in memory keeps the contract of every event store.

use enact_store::MemoryStore;
use enact_testkit::store_suite::Stores;

struct InMemory;

impl Stores for InMemory {
    type Store = MemoryStore;

    async fn fresh(&self) -> MemoryStore {
        MemoryStore::new()
    }

    async fn reopen(&self, store: MemoryStore) -> MemoryStore {
        store.reopen()
    }

    async fn crash(&self, store: MemoryStore) -> MemoryStore {
        store.crash()
    }
}

enact_testkit::store_suite!(InMemory);
