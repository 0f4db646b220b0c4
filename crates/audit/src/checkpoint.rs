//! The signed head of a log, as <https://c2sp.org/tlog-checkpoint> describes it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use enact_merkle::Hash;

use crate::key::{BadKey, PublicKey, PublicKeys, SigningKey};
use crate::note::{BadNote, SignedNote};

/// What a line begins with that names the key which signs from now on. Lines behind the root are for such extensions.
const SUCCESSOR: &str = "successor ";

/// What a checkpoint says of a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// Which log. It is the name of the keys that sign it.
    pub origin: String,
    /// How many records it has.
    pub size: u64,
    /// The root over all of them.
    pub root: Hash,
    /// The key that signs checkpoints behind this one, and this one too: whoever trusts a key that has signed this one can trust it,
    /// and nothing behind it that other keys sign.
    pub successor: Option<PublicKey>,
}

/// What is not a checkpoint, or not one that is trusted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadCheckpoint {
    /// The note is bad.
    #[error(transparent)]
    Note(#[from] BadNote),
    /// What the note says is not a checkpoint.
    #[error("it is no checkpoint: {0}")]
    Form(&'static str),
    /// It is signed under another name than that of its log.
    #[error("it is of the log '{origin}', and signed by '{signer}'")]
    Signer {
        /// The log.
        origin: String,
        /// The name of a key that signed it.
        signer: String,
    },
}

impl Checkpoint {
    /// Signs it with each of the keys.
    ///
    /// # Errors
    /// [`BadKey::Name`], where the origin is not one that a key can be named by.
    pub fn sign(&self, keys: &[&SigningKey]) -> Result<SignedNote, BadKey> {
        let mut text = format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root));
        if let Some(successor) = &self.successor {
            text += &format!("{SUCCESSOR}{successor}\n");
        }
        SignedNote::sign(text, &self.origin, keys)
    }

    /// What a note says. No signature is looked at: this is for showing, and for notes that were verified. Lines after the root, which
    /// others may add, are passed over but for a successor.
    ///
    /// # Errors
    /// [`BadCheckpoint::Form`].
    pub fn read(note: &SignedNote) -> Result<Self, BadCheckpoint> {
        let mut lines = note.text().lines();
        let mut line =
            |missing| lines.next().filter(|line| !line.is_empty()).ok_or(BadCheckpoint::Form(missing));
        let origin = line("it does not name its log")?.to_owned();
        let (size, root) = (line("it does not say how large the log is")?, line("it does not say its root")?);
        let is_number = size == "0" || size.starts_with(|digit: char| ('1'..='9').contains(&digit));
        let size = size.parse().ok().filter(|_| is_number);
        let size = size.ok_or(BadCheckpoint::Form("its size is no number"))?;
        let root = STANDARD.decode(root).ok().and_then(|root| root.try_into().ok());
        let root = root.ok_or(BadCheckpoint::Form("its root is not 32 bytes in base64"))?;
        let mut successor = None;
        for line in lines {
            let Some(key) = line.strip_prefix(SUCCESSOR) else {
                if line.is_empty() {
                    return Err(BadCheckpoint::Form("it has an empty line"));
                }
                continue;
            };
            let key: PublicKey =
                key.parse().map_err(|_| BadCheckpoint::Form("its successor is no public key"))?;
            if key.name() != origin || successor.replace(key).is_some() {
                return Err(BadCheckpoint::Form("its successor is not one key of its log"));
            }
        }
        Ok(Self { origin, size, root, successor })
    }

    /// Reads a note, and gives what it says where a trusted key of the log that it names has signed it.
    ///
    /// # Errors
    /// A [`BadCheckpoint`].
    pub fn verify(note: &str, trusted: &PublicKeys) -> Result<Self, BadCheckpoint> {
        let note = SignedNote::parse(note)?;
        let signers = note.verify(trusted)?;
        let checkpoint = Self::read(&note)?;
        if let Some(key) = signers.iter().find(|key| key.name() != checkpoint.origin) {
            let signer = key.name().to_owned();
            return Err(BadCheckpoint::Signer { origin: checkpoint.origin, signer });
        }
        match &checkpoint.successor {
            Some(key) if note.verify(&PublicKeys::from(key.clone())).is_err() => {
                Err(BadCheckpoint::Form("its successor has not signed it"))
            }
            _ => Ok(checkpoint),
        }
    }
}
