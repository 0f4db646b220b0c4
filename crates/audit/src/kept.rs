//! A checkpoint as it is kept with its log: the signed note, and what the next one goes on from.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use enact_merkle::{Frontier, Hash};
use serde::{Deserialize, Serialize};

use crate::checkpoint::{BadCheckpoint, Checkpoint};
use crate::key::PublicKeys;
use crate::note::SignedNote;

/// One line of what is kept.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    note: String,
    /// The roots of the full subtrees, the largest first, in base64.
    subtrees: Vec<String>,
}

/// A checkpoint that was kept, with the tree that it signs.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) note: String,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) tree: Frontier,
}

/// A line that is none, or is not to be trusted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadLine {
    /// It was cut off.
    #[error("it is cut off")]
    CutOff,
    #[error("it has not the form of a checkpoint that is kept")]
    Form,
    #[error(transparent)]
    Checkpoint(#[from] BadCheckpoint),
    #[error("its subtrees are not those of the root that is signed")]
    Subtrees,
}

impl Kept {
    /// The line of a checkpoint.
    pub(crate) fn line(note: &SignedNote, tree: &Frontier) -> String {
        let subtrees = tree.roots().iter().map(|root| STANDARD.encode(root)).collect();
        serde_json::json!(Line { note: note.to_string(), subtrees }).to_string()
    }

    /// Reads a line, and gives what it says where a trusted key has signed it.
    pub(crate) fn verify(line: &str, trusted: &PublicKeys) -> Result<Self, BadLine> {
        let line: Line = serde_json::from_str(line)
            .map_err(|error| if error.is_eof() { BadLine::CutOff } else { BadLine::Form })?;
        let checkpoint = Checkpoint::verify(&line.note, trusted)?;
        let root = |text: &String| STANDARD.decode(text).ok().and_then(|root| Hash::try_from(root).ok());
        let roots = line.subtrees.iter().map(root).collect::<Option<_>>().ok_or(BadLine::Form)?;
        let tree = Frontier::from_parts(checkpoint.size, roots);
        let tree = tree.filter(|tree| tree.root() == checkpoint.root).ok_or(BadLine::Subtrees)?;
        Ok(Self { note: line.note, checkpoint, tree })
    }
}
