//! The event store of enact: the record format, and the store in memory.
//!
//! The journal, the only commit point of the durable store, and the sled volumes behind it are being built beside
//! this; until they are wired in, nothing outlives the process.

#[expect(
    dead_code,
    unreachable_pub,
    reason = "the journal and the volumes, which use the rest of the codec, are not wired in yet"
)]
mod codec;
mod memory;
mod memory_blobs;

use enact_core::ids::Pseudonym;
use sha2::{Digest, Sha256};

pub use memory::MemoryStore;
pub use memory_blobs::MemoryBlobs;

/// The pseudonym of a user under a store's salt. The salt has a fixed size, so that no two pairs of salt and
/// user give the same bytes to the hash.
fn pseudonym(salt: &[u8; 32], user: &str) -> Pseudonym {
    let hash = Sha256::new().chain_update(b"enact.pseudonym.1").chain_update(salt).chain_update(user);
    let mut pseudonym = Pseudonym::default();
    for (to, from) in pseudonym.0.iter_mut().zip(hash.finalize()) {
        *to = from;
    }
    pseudonym
}
