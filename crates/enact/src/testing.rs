//! What tests of workflows and connectors stand on.

pub use enact_store::{MemoryBlobs, MemoryStore};
pub use enact_testkit::connector_suite;
