//! The words and the rules of enact.
//!
//! An agent asks for an [`action`] on a [`connector`]; what happens is recorded as [`event`]s in an
//! [event store](store::EventStore); the state of a run is a pure [fold](run) over its events, and nothing
//! else decides what comes next.
//!
//! # What this crate does not know
//! It has no clock, no randomness, no input or output and no async runtime; it does not know how records are
//! encoded, where they are kept, or which connectors exist.

pub mod action;
pub mod blob;
pub mod catalog;
pub mod connector;
pub mod content;
pub mod document;

mod erased;
pub mod error;
pub mod event;
pub mod exact;
pub mod ids;
pub mod json;
pub mod person;
pub mod policy;
pub mod query;
pub mod run;
pub mod store;
pub mod subscription;
pub mod time;

pub use erased::{Capture, Prepared, Ready, UndoAction};
pub use error::{Error, ErrorCode};
// Its derive is what a connector's actions carry; no other version of it will do.
pub use schemars;
