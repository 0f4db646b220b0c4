//! What tests of enact stand on.

pub mod connector_suite;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub mod kill_points;
pub mod world;
