//! What is behind an error of a library.

use std::error::Error;

/// The error and what caused it, outermost first.
pub fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    let chain = std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    });
    // No chain is this long; a ring would be for ever.
    chain.take(32)
}

/// What is at the bottom, without the repetitions above it.
pub fn innermost(error: &(dyn Error + 'static)) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}
