//! A program that writes a store and checks one, for whoever puts stores through power cuts, kills and bit flips.
//!
//! ```text
//! store-exerciser write DIR [COUNT]    writes until it is killed, or COUNT events; prints `ack N` for each that is durable
//! store-exerciser check DIR            opens DIR as after a crash; prints what is there
//! ```
//! Event N is the one at position N of the log, so that events are acknowledged in their order and without a gap; a later
//! `write` goes on behind what it finds. What is in an event follows from its run and its number in it, so that `check` knows
//! each byte without having seen it written. Several streams are written at a time, in groups of many sizes, some of them
//! without waiting for the disk; some events are large, some refer to a blob; volumes and segments are small. All is encrypted, under a
//! key that is no secret.
//!
//! `check` prints one line for each finding, and ends with 0 only where there is one `have` and nothing else:
//!
//! ```text
//! have 1..N          these are there, each as it was written, and so are their streams and blobs
//! missing A..B       others behind them are there, these are not
//! corrupt WHAT       something is damaged, and the store says so, or an event is not what was written
//! ```
//! It promises nothing of events that were not acknowledged: they may be there. `write` ends with 1 and a message where the store
//! refuses an append; what it printed before holds. `check` ends with 2 where another process has the store and keeps it.

mod check;
mod content;
mod write;

use std::path::Path;
use std::process::ExitCode;

use enact_core::store::StoreError;
use enact_store::{MasterKey, SledStore};

const USAGE: &str = "usage: store-exerciser write DIR [COUNT] | store-exerciser check DIR";

#[tokio::main]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let count = |text: &str| text.parse::<u64>().ok();
    match *words.as_slice() {
        ["write", dir] => write::write(Path::new(dir), u64::MAX).await,
        ["write", dir, text] if count(text).is_some() => {
            write::write(Path::new(dir), count(text).unwrap_or_default()).await
        }
        ["check", dir] => check::check(Path::new(dir)).await,
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// Opens a store whose volumes and segments are small.
fn open(dir: &Path) -> Result<SledStore, StoreError> {
    let mut options = SledStore::options().volume_bytes(256 * 1024).segment_bytes(128 * 1024);
    if let Some(key) = MasterKey::parse(&"e7".repeat(32)) {
        options = options.master_key(key);
    }
    options.open(dir)
}
