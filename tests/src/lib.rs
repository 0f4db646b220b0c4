//! Tests of the whole, through its public interfaces. They are in `tests/`.
