//! The actors of enact.
//!
//! A supervisor keeps one connector actor per connector and the saga coordinator alive; the coordinator starts a
//! workflow actor for each run. Workflow code asks, the gate judges, a connector's task captures,
//! waits for the intent to be durable, performs, and reports; the workflow actor is the sole writer of its
//! run's stream and decides by the fold of `enact-core` alone.
//!
//! # What this crate does not know
//! Which connectors exist, how events are encoded and kept, how declarative workflows are written.

mod act;
mod backoff;
mod clock;
mod connector_actor;
mod coordinator;
mod cx;
mod enact;
mod foreseen;
mod gate;
pub mod history;
mod job;
mod locks;
mod observe;
mod plan;
mod recent;
mod recovery;
mod replay;
mod run;
mod shared;
mod supervisor;
mod under_way;
mod workflow;

pub use clock::{Clock, SystemClock};
pub use cx::{Acted, DEFAULT_ATTEMPTS, DEFAULT_TIMEOUT, MAX_PARALLEL, Tool, Tries, WorkflowCx};
pub use enact::{
    Builder, DEFAULT_MAX_RUNS, DEFAULT_MAX_WAITING, Enact, Recovery, Run, RunRequest, Submitted,
};
pub use foreseen::Foreseen;
pub use observe::{Note, Observer, Stage, Step};
pub use plan::{Plan, PlannedAction, Planner};
pub use replay::{Divergence, RecordedRun, Replay};
pub use run::RollbackOptions;
pub use workflow::{DynWorkflow, LoadText, Workflow, erase};
