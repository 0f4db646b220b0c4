//! Policies: business rules, next to the hard floor of the allowlist.
//!
//! A policy is pure: time, attributes, what the run did and what was admitted lately come with the request
//! ([`enact_core::policy::Request`]). So each is tested in one line, without a runtime: see [`Case`].

mod case;
#[cfg(feature = "cases")]
pub mod cases;
#[cfg(feature = "cedar")]
pub mod cedar;

pub use case::Case;
