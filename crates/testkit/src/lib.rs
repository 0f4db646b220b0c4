//! What tests of enact stand on.

pub mod connector_suite;
pub mod crash_points;
#[cfg(feature = "github")]
pub mod github;
#[cfg(any(feature = "github", feature = "slack"))]
mod http;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub mod kill_points;
#[cfg(any(feature = "github", feature = "postgres", feature = "slack"))]
mod or_panic;
#[cfg(all(feature = "postgres", target_os = "linux"))]
pub mod postgres;
pub mod replay;
#[cfg(feature = "slack")]
pub mod slack;
pub mod store_suite;
pub mod world;
