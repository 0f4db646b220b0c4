//! The filesystem connector of enact.
