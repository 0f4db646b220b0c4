//! Placeholder until the first member lands.
