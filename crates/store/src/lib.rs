//! The event store of enact: a journal as the only commit point, sled volumes behind it, blobs beside it, and
//! an in-memory twin for tests.

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
