//! What tests of enact stand on.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub mod kill_points;
