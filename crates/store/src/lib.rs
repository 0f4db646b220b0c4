//! The event store of enact: the record format, the durable store on disk, and its twin in memory.

mod blobs;
mod codec;
mod files;
mod group;
mod identity;
mod journal;
mod lock;
mod memory;
mod memory_blobs;
mod run_index;
mod secrets;
mod sled_store;
mod volume;
mod watermark;

use enact_core::ids::Pseudonym;
use enact_core::person;

pub use codec::{HASHED_BYTES, RecordHeader};
pub use memory::MemoryStore;
pub use memory_blobs::MemoryBlobs;
pub use secrets::MasterKey;
pub use sled_store::{
    Held, HeldBy, Ledger, LedgerLines, MAX_LEAVES, Options, ProvableEvent, Pruned, Salts, SledStore, Verified,
};

/// Bytes as lower-case hexadecimal digits.
fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The pseudonym of a user under a store's salt, whatever the spelling of their name. The salt has a fixed size, so that
/// no two pairs of salt and user give the same bytes to the hash.
fn pseudonym(salt: &[u8; 32], user: &str) -> Pseudonym {
    let user = person::folded(user);
    let hash = enact_merkle::sha256(&[b"enact.pseudonym.1", salt, user.as_bytes()]);
    let mut pseudonym = Pseudonym::default();
    for (to, from) in pseudonym.0.iter_mut().zip(hash) {
        *to = from;
    }
    pseudonym
}
