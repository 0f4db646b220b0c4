//! Text with signatures, as <https://c2sp.org/signed-note> describes it.

use std::fmt::{self, Display};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::key::{BadKey, PublicKey, PublicKeys, SigningKey};

/// The largest note that is read, in bytes.
const MAX_BYTES: usize = 1_000_000;
/// The most signatures of a note.
const MAX_SIGNATURES: usize = 100;
/// What a line with a signature begins with: an em dash and a space.
const DASH: &str = "\u{2014} ";

/// What is not a note, or not one that is trusted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadNote {
    /// It has not the form of a note.
    #[error("it is no signed note: {0}")]
    Form(&'static str),
    /// A signature that says to be of a key that is trusted is not.
    #[error("the signature of '{name}' is not one of this text")]
    Signature {
        /// The name of the key.
        name: String,
    },
    /// None of the signatures is of a key that is trusted.
    #[error("it has no signature of a key that is trusted, but of {}", list(.0))]
    Unknown(Vec<String>),
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ")
}

/// A text and its signatures.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignedNote {
    text: String,
    signatures: Vec<Signature>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Signature {
    name: String,
    hash: [u8; 4],
    bytes: Vec<u8>,
}

impl SignedNote {
    /// Signs a text, which ends with a line feed and has no other control characters, with each of the keys under a name.
    ///
    /// # Errors
    /// [`BadKey::Name`].
    pub(crate) fn sign(text: String, name: &str, keys: &[&SigningKey]) -> Result<Self, BadKey> {
        let sign = |key: &&SigningKey| {
            let (name, hash) = (name.to_owned(), key.public(name)?.hash());
            Ok(Signature { name, hash, bytes: key.sign(text.as_bytes()) })
        };
        let signatures = keys.iter().map(sign).collect::<Result<_, BadKey>>()?;
        Ok(Self { text, signatures })
    }

    /// Reads one. No signature is looked at.
    ///
    /// # Errors
    /// [`BadNote::Form`].
    pub fn parse(note: &str) -> Result<Self, BadNote> {
        if note.len() > MAX_BYTES {
            return Err(BadNote::Form("it has over 1,000,000 bytes"));
        }
        if note.chars().any(|letter| letter < ' ' && letter != '\n') {
            return Err(BadNote::Form("it has control characters"));
        }
        let end = note.rfind("\n\n").ok_or(BadNote::Form("there is no empty line before its signatures"))?;
        let (text, signatures) = note.split_at(end + 1);
        let signatures = signatures.strip_prefix('\n').and_then(|lines| lines.strip_suffix('\n'));
        let signatures = signatures.ok_or(BadNote::Form("it does not end with a line of a signature"))?;
        let signatures: Vec<_> = signatures
            .split('\n')
            .take(MAX_SIGNATURES + 1)
            .map(Signature::parse)
            .collect::<Option<_>>()
            .ok_or(BadNote::Form("a line after its text is no signature"))?;
        if signatures.len() > MAX_SIGNATURES {
            return Err(BadNote::Form("it has over 100 signatures"));
        }
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// A text with lines of signatures, which may be long. No signature is looked at.
    ///
    /// # Errors
    /// [`BadNote::Form`].
    pub(crate) fn of(text: String, lines: &[String]) -> Result<Self, BadNote> {
        if lines.len() > MAX_SIGNATURES {
            return Err(BadNote::Form("it has over 100 signatures"));
        }
        let signatures = lines.iter().map(|line| Signature::parse(line)).collect::<Option<_>>();
        let signatures = signatures.ok_or(BadNote::Form("what ought to be a signature is none"))?;
        Ok(Self { text, signatures })
    }

    /// Its lines of signatures.
    pub(crate) fn signatures(&self) -> Vec<String> {
        self.signatures.iter().map(ToString::to_string).collect()
    }

    /// The text, with the line feed at its end.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Which of the trusted keys have signed it; one at least. Signatures of other keys are passed over.
    ///
    /// # Errors
    /// [`BadNote::Signature`], also where another signature would be good; [`BadNote::Unknown`].
    pub fn verify<'a>(&'a self, trusted: &'a PublicKeys) -> Result<Vec<&'a PublicKey>, BadNote> {
        let mut signers = Vec::new();
        for signature in &self.signatures {
            for key in trusted.named(&signature.name, signature.hash) {
                if !key.has_signed(self.text.as_bytes(), &signature.bytes) {
                    return Err(BadNote::Signature { name: signature.name.clone() });
                }
                signers.push(key);
            }
        }
        if signers.is_empty() {
            return Err(BadNote::Unknown(self.signatures.iter().map(|by| by.name.clone()).collect()));
        }
        Ok(signers)
    }
}

impl Signature {
    fn parse(line: &str) -> Option<Self> {
        let (name, signature) = line.strip_prefix(DASH)?.split_once(' ')?;
        let signature = STANDARD.decode(signature).ok()?;
        let (hash, bytes) = signature.split_first_chunk::<4>()?;
        let is_named =
            !name.is_empty() && !name.contains(|letter: char| letter == '+' || letter.is_whitespace());
        (is_named && !bytes.is_empty()).then(|| Self {
            name: name.to_owned(),
            hash: *hash,
            bytes: bytes.to_vec(),
        })
    }
}

impl Display for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|by| writeln!(f, "{by}"))
    }
}

impl Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{DASH}{} {}", self.name, STANDARD.encode([&self.hash[..], &self.bytes].concat()))
    }
}
