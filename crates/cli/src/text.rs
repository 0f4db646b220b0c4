//! Reading text files that somebody names: never more of them than there can be of what is wanted.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// The text of a plain file of at most `limit` bytes. Opening anything else, such as a pipe, may take for ever.
///
/// # Errors
/// As [`read`]; where it is no plain file.
pub(crate) fn read_plain(path: &Path, limit: usize) -> io::Result<String> {
    if fs::metadata(path)?.is_file() {
        return read(path, limit);
    }
    Err(io::Error::other("it is no plain file"))
}

/// The text of a file of at most `limit` bytes, which may be a pipe.
///
/// # Errors
/// Those of the system; where there is more, or it is not UTF-8.
pub(crate) fn read(path: &Path, limit: usize) -> io::Result<String> {
    let mut bytes = Vec::new();
    let enough = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path)?.take(enough).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(io::Error::other(format!("it has more than {limit} bytes")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let place = error.utf8_error().valid_up_to();
        io::Error::new(io::ErrorKind::InvalidData, format!("it is not UTF-8 text (byte {place} is not)"))
    })
}
