//! What tests of enact stand on.
