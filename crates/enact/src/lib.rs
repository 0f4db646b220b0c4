//! A durable middleman between agents and the outside world.
//!
//! An agent never calls GitHub, Postgres, the disk or Slack itself: it asks for an action on a connector. `enact`
//! limits what can be asked for, records what is about to happen before it happens, and can undo it.
//!
//! ```
//! use std::sync::Arc;
//! use enact::prelude::*;
//! use enact::filesystem::{Filesystem, WriteFile};
//!
//! struct Note;
//!
//! impl Workflow for Note {
//!     const NAME: &'static str = "note";
//!     const VERSION: u32 = 1;
//!     type Input = String;
//!     type Output = String;
//!
//!     async fn run(&self, cx: &WorkflowCx, text: String) -> Result<String, Error> {
//!         let files = cx.connector::<Filesystem>("files")?;
//!         let written = files.act(WriteFile::new("note.md", text)).await?;
//!         Ok(written.sha256)
//!     }
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let scratch = tempfile::tempdir()?;
//! # let root = &scratch.path().join("workspace");
//! # std::fs::create_dir(root)?;
//! let enact = Enact::builder()
//!     .store(Arc::new(SledStore::open(scratch.path().join("log"))?))
//!     .connector("files", Filesystem::new(root)?.allow(["read_file", "write_file"])?)
//!     .workflow(Note)
//!     .start()
//!     .await?; // recovers what a crash interrupted
//!
//! let run = enact.run(Note, "agent@company.com", "hello".to_owned()).await?;
//! assert_eq!(std::fs::read_to_string(root.join("note.md"))?, "hello");
//!
//! enact.rollback(run.id, RollbackOptions::by("me@company.com")).await?;
//! assert!(!root.join("note.md").exists());
//! # enact.shutdown(std::time::Duration::from_secs(5)).await;
//! # Ok(())
//! # }
//! ```
//!
//! What is promised, and the test that holds it, is in `docs/guarantees.md`; how it works in
//! `docs/architecture.md`.

pub use enact_core::{action, blob, connector, document, error, event, ids, json, policy, run, store, time};
pub use enact_runtime as runtime;
pub use enact_runtime::{
    Acted, Builder, Clock, DynWorkflow, Enact, LoadText, Observer, Recovery, RollbackOptions, Run,
    RunRequest, Stage, Step, Submitted, SystemClock, Tool, Tries, Workflow, WorkflowCx,
};
pub use enact_store::{MemoryStore, SledStore};

/// The filesystem connector.
#[cfg(feature = "filesystem")]
pub use enact_connector_filesystem as filesystem;

/// Declarative workflows in YAML.
#[cfg(feature = "yaml")]
pub use enact_workflow as yaml;

#[cfg(feature = "testing")]
pub mod testing;

/// What most users need.
pub mod prelude {
    pub use enact_core::action::{Action, EffectClass};
    pub use enact_core::connector::{Allow, Connector, Perform, Toolbox};
    pub use enact_core::error::{Error, ErrorCode};
    pub use enact_core::policy::{Policy, Request, Verdict};
    pub use enact_core::run::RunStatus;
    pub use enact_runtime::{Enact, Recovery, RollbackOptions, Run, RunRequest, Tries, Workflow, WorkflowCx};
    pub use enact_store::{MemoryStore, SledStore};
}
