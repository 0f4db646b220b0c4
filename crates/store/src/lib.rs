//! The event store of enact: a journal as the only commit point, sled volumes behind it, blobs beside it, and
//! an in-memory twin for tests.

pub mod memory_blobs;

pub use memory_blobs::MemoryBlobs;
