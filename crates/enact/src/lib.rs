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
//! # What you write
//!
//! - A [`Workflow`] in Rust, as above, or in YAML (feature `yaml`). It asks for actions through its
//!   [`WorkflowCx`], which also gives it time, randomness, sleep and parallel branches: after a crash the code runs
//!   again, and what it asked for before is handed back without being performed.
//! - A [`Policy`](policy::Policy), where the allowlist is not enough: it judges each run, each action on its exact
//!   parameters, and once more on what was found before the effect. Many are built in: [`policies`], `docs/policies.md`.
//! - A [`Connector`](connector::Connector) of your own: `examples/own_connector/register.rs` is one in under 100 lines.
//! - An [`Observer`], to watch.
//!
//! # Features
//!
//! | feature | brings | by default |
//! |---|---|---|
//! | `filesystem` | the connector to a folder | yes |
//! | `policies` | the built-in policies, [`policies`] | yes |
//! | `cedar` | declarative policies in Cedar, `policies::cedar` | no |
//! | `cases` | files of cases that policies are tested with, `policies::cases` | no |
//! | `github` | the connector to GitHub and GitHub Enterprise | no |
//! | `postgres` | the connector to a PostgreSQL database | no |
//! | `slack` | the connector to Slack | no |
//! | `yaml` | declarative workflows | no |
//! | `testing` | what tests of your workflows and connectors stand on | no |
//!
//! # Versions
//!
//! - **Rust**: 1.89 or newer. A newer minimum comes with a minor version, never with a patch.
//! - **The API** follows [semantic versioning](https://semver.org); before 1.0, a minor version may break it. Crates
//!   whose name begins with `enact-` are parts of this one: depend on `enact` alone.
//! - **Records** have versions of their own. What a released version wrote, every later one reads; an older one
//!   refuses what it does not know, and says so. `docs/adr/0006-versions.md` has the whole of it.
//!
//! # What is promised
//!
//! `docs/guarantees.md` names each guarantee and the test that holds it; `docs/architecture.md` says how it works.

pub use enact_audit as audit;
pub use enact_core::{
    action, blob, catalog, connector, document, error, event, exact, ids, json, person, policy, query, run,
    schemars, store, subscription, time,
};
pub use enact_runtime as runtime;
pub use enact_runtime::{
    Acted, Builder, Clock, DynWorkflow, Enact, Foreseen, LoadText, Note, Observer, Plan, PlannedAction,
    Planner, Recovery, RollbackOptions, Run, RunRequest, Stage, Step, Submitted, SystemClock, Tool, Tries,
    Workflow, WorkflowCx,
};
pub use enact_store::{MasterKey, MemoryStore, SledStore};

/// The filesystem connector.
#[cfg(feature = "filesystem")]
pub use enact_connector_filesystem as filesystem;

/// The GitHub connector.
#[cfg(feature = "github")]
pub use enact_connector_github as github;

/// The Postgres connector.
#[cfg(feature = "postgres")]
pub use enact_connector_postgres as postgres;

/// The Slack connector.
#[cfg(feature = "slack")]
pub use enact_connector_slack as slack;

/// The built-in policies.
///
/// ```
/// use enact::policies;
/// use enact::policies::Case;
/// use enact::prelude::Verdict;
///
/// let push = Case::action("github", "push_commit", serde_json::json!({ "repo": "octo/app", "branch": "fix" }));
/// assert!(matches!(push.judge(&policies::require_branch_prefix("agent/")), Verdict::Deny(_)));
/// ```
#[cfg(feature = "policies")]
pub use enact_policy as policies;

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

/// README's Rust compiles.
#[cfg(all(doctest, feature = "filesystem"))]
#[doc = include_str!("../../../README.md")]
#[derive(Debug)]
pub struct Readme;

/// The page of policies compiles.
#[cfg(all(doctest, feature = "policies"))]
#[doc = include_str!("../../../docs/policies.md")]
#[derive(Debug)]
pub struct PoliciesPage;
