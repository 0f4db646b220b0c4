//! Declarative workflows: YAML with Jinja expressions.
//!
//! A text is read and checked as a whole before anything runs: its keys, its values, the syntax of every
//! expression, and that an expression asks only for what is there when its step comes. [`Declarative`] is such
//! a text; the runtime carries it out step by step. [`Folder`] finds them by name, and [`Loader`] makes them
//! again from the text that their runs keep.
//!
//! # What it promises
//! - A run's text decides alone: carrying on never reads a file again.
//! - Expressions are pure: no time, no randomness, no files, and a bound on their work. What an outside system
//!   said is data and never becomes an expression.
//! - No text, however broken, panics, overflows the stack or takes more than a bounded amount of work. A text
//!   that was once accepted stays acceptable: open runs keep it, so its checks never become stricter.
//!
//! # What it does not know
//! Which connectors and actions exist, which are allowed, and what they do: the runtime's gate tells, step by
//! step.
//!
//! The format is described in `docs/workflows.md`.

mod bounds;
mod declarative;
mod duration;
mod fields;
mod folder;
mod loader;
mod parse;
mod plan;
mod scope;
mod template;
mod value;
mod yaml;

pub use declarative::Declarative;
pub use folder::Folder;
pub use loader::Loader;
pub use plan::PlannedStep;
