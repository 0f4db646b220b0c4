//! What tests of workflows and connectors stand on.

pub use enact_runtime::{Divergence, RecordedRun, Replay};
pub use enact_store::{MemoryBlobs, MemoryStore};
pub use enact_testkit::replay::{History, replays};
pub use enact_testkit::{connector_suite, crash_points, world};
