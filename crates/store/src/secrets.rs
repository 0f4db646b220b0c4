//! The keys that content is encrypted under: a master key that is kept elsewhere, the store's keys that it wraps, and
//! the key of each run, which a store's key wraps.
//!
//! Whoever has the disk and not the master key has ciphertext. Whoever takes a wrapped run key away takes the run's
//! content away, whatever copies of the ciphertext there are. Exchanging the master key wraps the store's keys anew
//! and begins a new one, so one small file changes and no run key does.
//!
//! This module alone knows the ciphers: ChaCha20-Poly1305 for content and wrapping, HMAC-SHA256 for deriving. It knows
//! no files.

use std::fmt::{self, Debug};
use std::path::Path;

use enact_core::ids::RunId;
use enact_core::store::StoreError;
use enact_merkle::Hash;
use rand::RngCore;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use secrecy::{ExposeSecret, SecretBox, SecretString};

const KEY: usize = 32;
pub(crate) const TAG: usize = 16;
/// A nonce, a key, and the tag that says that it is the right one.
pub(crate) const WRAPPED_KEY: usize = NONCE_LEN + KEY + TAG;
/// A wrapped run key: the number of the store's key that wraps it, and the key.
pub(crate) const WRAPPED: usize = 2 + WRAPPED_KEY;
/// By how much content grows when it is sealed.
pub(crate) const SEAL: usize = NONCE_LEN + TAG;

/// A run's key as files have it.
pub(crate) type Wrapped = [u8; WRAPPED];
/// A key of the store as its file has it.
pub(crate) type WrappedKey = [u8; WRAPPED_KEY];
/// Tells master keys apart, and says nothing of them.
pub(crate) type Fingerprint = [u8; 8];

/// A key does not open what it was to open: it is another one, or the bytes are not those that were sealed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("it does not open under this key")]
pub(crate) struct DoesNotOpen;

/// A key of 32 bytes.
struct Key(SecretBox<[u8; KEY]>);

impl Key {
    fn random() -> Self {
        Self(SecretBox::init_with_mut(|key: &mut [u8; KEY]| rand::rng().fill_bytes(key)))
    }

    fn of(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; KEY] = bytes.try_into().ok()?;
        Some(Self(SecretBox::init_with_mut(|key: &mut [u8; KEY]| *key = *bytes)))
    }

    fn derived(&self, label: &[u8], from: &[u8]) -> Hash {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, self.0.expose_secret()));
        context.update(label);
        context.update(from);
        let mut derived = [0; 32];
        derived.iter_mut().zip(context.sign().as_ref()).for_each(|(to, from)| *to = *from);
        derived
    }

    fn cipher(&self) -> Result<LessSafeKey, DoesNotOpen> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, self.0.expose_secret()).map_err(|_| DoesNotOpen)?;
        Ok(LessSafeKey::new(key))
    }

    /// Seals under a random nonce, which stands in front.
    fn seal(&self, bound_to: &[u8], content: &[u8]) -> Result<Vec<u8>, DoesNotOpen> {
        let mut nonce = [0; NONCE_LEN];
        rand::rng().fill_bytes(&mut nonce);
        let mut sealed = Vec::with_capacity(content.len() + SEAL);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(content);
        let body = sealed.get_mut(NONCE_LEN..).unwrap_or_default();
        let tag = self.cipher()?.seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(bound_to),
            body,
        );
        sealed.extend_from_slice(tag.map_err(|_| DoesNotOpen)?.as_ref());
        Ok(sealed)
    }

    fn open(&self, bound_to: &[u8], sealed: &[u8]) -> Result<Vec<u8>, DoesNotOpen> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(DoesNotOpen)?;
        let mut content = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.cipher()?.open_in_place(nonce, Aad::from(bound_to), &mut content);
        let length = opened.map_err(|_| DoesNotOpen)?.len();
        content.truncate(length);
        Ok(content)
    }
}

/// The key that everything in a store is encrypted under in the end: 32 random bytes that are kept where the store is
/// not. Whoever loses it has lost the content of every run; whoever has it and the store can read both.
///
/// Nothing prints it, and its memory is cleared when it is dropped.
pub struct MasterKey(Key);

impl MasterKey {
    /// A new one.
    #[must_use]
    pub fn random() -> Self {
        Self(Key::random())
    }

    /// Reads the form of [`MasterKey::to_text`]; blank space around it is left out. `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = SecretBox::new(Box::new(crate::blobs::hash_of(text.trim())?));
        let key = Key::of(bytes.expose_secret()).map(Self);
        zero(&mut bytes);
        key
    }

    /// As 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn to_text(&self) -> SecretString {
        crate::digits(self.0.0.expose_secret()).into()
    }

    /// Tells master keys apart and says nothing of them: what messages name a key by, 16 hexadecimal digits.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        crate::digits(&self.print())
    }

    pub(crate) fn print(&self) -> Fingerprint {
        let mut print = Fingerprint::default();
        let derived = self.0.derived(b"enact.master-key.fingerprint.1", &[]);
        print.iter_mut().zip(derived).for_each(|(to, from)| *to = from);
        print
    }
}

impl Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", self.fingerprint())
    }
}

impl Clone for MasterKey {
    fn clone(&self) -> Self {
        let key = self.0.0.expose_secret();
        Self(Key(SecretBox::init_with_mut(|copy: &mut [u8; KEY]| *copy = *key)))
    }
}

fn zero(bytes: &mut SecretBox<[u8; KEY]>) {
    *secrecy::ExposeSecretMut::expose_secret_mut(bytes) = [0; KEY];
}

/// The key of one run.
pub(crate) struct RunKey {
    key: Key,
    /// As files have it.
    pub(crate) wrapped: Wrapped,
}

impl Debug for RunKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RunKey")
    }
}

impl RunKey {
    /// Encrypts; what it is bound to is needed again to decrypt.
    pub(crate) fn seal(&self, bound_to: &[u8], content: &[u8]) -> Result<Vec<u8>, DoesNotOpen> {
        self.key.seal(bound_to, content)
    }

    /// Decrypts.
    pub(crate) fn open(&self, bound_to: &[u8], sealed: &[u8]) -> Result<Vec<u8>, DoesNotOpen> {
        self.key.open(bound_to, sealed)
    }

    /// What a blob of the run is called whose content has this hash: only who has the key can tell one from the other.
    pub(crate) fn blob_name(&self, hash: &Hash) -> Hash {
        self.key.derived(b"enact.blob.name.1", hash)
    }

    /// The key under which the digest of something of the run is made that others see.
    pub(crate) fn salt(&self, label: &str) -> Hash {
        self.key.derived(b"enact.receipt.salt.1", label.as_bytes())
    }

    /// The key of one blob of the run; the salt is the blob's own.
    pub(crate) fn blob(&self, salt: &[u8; 32]) -> Result<BlobKey, DoesNotOpen> {
        let mut derived = SecretBox::new(Box::new(self.key.derived(b"enact.blob.key.1", salt)));
        let key = Key::of(derived.expose_secret()).ok_or(DoesNotOpen)?.cipher();
        zero(&mut derived);
        key.map(BlobKey)
    }
}

/// The key of one blob. Its chunks are sealed by their numbers, and the last one as such, so that none can be left
/// out, added or exchanged.
pub(crate) struct BlobKey(LessSafeKey);

impl Debug for BlobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlobKey")
    }
}

impl BlobKey {
    /// Encrypts a chunk in place, and puts its tag behind it.
    pub(crate) fn seal(&self, number: u64, is_last: bool, chunk: &mut Vec<u8>) -> Result<(), DoesNotOpen> {
        let nonce = chunk_nonce(number, is_last);
        self.0.seal_in_place_append_tag(nonce, Aad::empty(), chunk).map_err(|_| DoesNotOpen)
    }

    /// Decrypts a chunk in place.
    pub(crate) fn open(&self, number: u64, is_last: bool, chunk: &mut Vec<u8>) -> Result<(), DoesNotOpen> {
        let opened = self.0.open_in_place(chunk_nonce(number, is_last), Aad::empty(), chunk);
        let length = opened.map_err(|_| DoesNotOpen)?.len();
        chunk.truncate(length);
        Ok(())
    }
}

/// No two chunks of a blob have the same, and each blob has a key of its own.
fn chunk_nonce(number: u64, is_last: bool) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    let bytes = number.to_le_bytes().into_iter().chain([u8::from(is_last)]);
    nonce.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    Nonce::assume_unique_for_key(nonce)
}

/// Whether the content of a store can be read and written, and with which keys.
#[derive(Debug)]
pub(crate) enum Unlocked {
    /// It is not encrypted.
    Plain,
    /// It is, under the master key with this fingerprint, which was not given: hashes can be read, content cannot.
    Locked(String),
    /// It is, and these are its keys.
    Open(KeyRing),
}

impl Unlocked {
    /// The keys of the store in `path`; `None` where it has none.
    ///
    /// # Errors
    /// [`StoreError::WrongKey`], where it has some and they are locked.
    pub(crate) fn keys(&self, path: &Path) -> Result<Option<&KeyRing>, StoreError> {
        match self {
            Self::Plain => Ok(None),
            Self::Open(ring) => Ok(Some(ring)),
            Self::Locked(needed) => {
                Err(StoreError::WrongKey { path: path.to_owned(), needed: needed.clone(), given: None })
            }
        }
    }
}

/// The keys of a store, by their numbers; the last one wraps new run keys.
pub(crate) struct KeyRing {
    store: [u8; 16],
    keys: Vec<Key>,
}

impl Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing({} keys)", self.keys.len())
    }
}

impl KeyRing {
    /// Unwraps the keys of a store.
    pub(crate) fn open(
        master: &MasterKey,
        store: [u8; 16],
        wrapped: &[WrappedKey],
    ) -> Result<Self, DoesNotOpen> {
        let open = |(number, key): (u16, &WrappedKey)| {
            Key::of(&master.0.open(&store_binding(&store, number), key)?).ok_or(DoesNotOpen)
        };
        let keys = (0..).zip(wrapped).map(open).collect::<Result<_, _>>()?;
        Ok(Self { store, keys })
    }

    /// A key for other uses, which stays the same when the master key is exchanged.
    pub(crate) fn derived(&self, label: &[u8], from: &[u8]) -> Hash {
        self.keys.first().map_or([0; 32], |key| key.derived(label, from))
    }

    /// How many keys there are.
    pub(crate) fn count(&self) -> usize {
        self.keys.len()
    }

    /// Begins a key for the runs to come.
    pub(crate) fn begin(&mut self) {
        self.keys.push(Key::random());
    }

    /// Of a store that has no keys yet.
    pub(crate) fn new(store: [u8; 16]) -> Self {
        Self { store, keys: vec![Key::random()] }
    }

    /// Wraps the keys under a master key.
    pub(crate) fn wrap(&self, master: &MasterKey) -> Result<Vec<WrappedKey>, DoesNotOpen> {
        let wrap = |(number, key): (u16, &Key)| {
            let sealed = master.0.seal(&store_binding(&self.store, number), key.0.expose_secret())?;
            sealed.try_into().map_err(|_| DoesNotOpen)
        };
        (0..).zip(&self.keys).map(wrap).collect()
    }

    /// Makes the key of a new run.
    pub(crate) fn new_run(&self, run: RunId) -> Result<RunKey, DoesNotOpen> {
        let (wrapping, key) = (self.keys.last().ok_or(DoesNotOpen)?, Key::random());
        let number = u16::try_from(self.keys.len().saturating_sub(1)).map_err(|_| DoesNotOpen)?;
        let sealed = wrapping.seal(&self.run_binding(run, number), key.0.expose_secret())?;
        let mut wrapped = [0; WRAPPED];
        let bytes = number.to_le_bytes().into_iter().chain(sealed);
        wrapped.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        Ok(RunKey { key, wrapped })
    }

    /// Unwraps the key of a run.
    pub(crate) fn run(&self, run: RunId, wrapped: &Wrapped) -> Result<RunKey, DoesNotOpen> {
        let (number, sealed) = wrapped.split_first_chunk::<2>().ok_or(DoesNotOpen)?;
        let number = u16::from_le_bytes(*number);
        let wrapping = self.keys.get(usize::from(number)).ok_or(DoesNotOpen)?;
        let key = Key::of(&wrapping.open(&self.run_binding(run, number), sealed)?).ok_or(DoesNotOpen)?;
        Ok(RunKey { key, wrapped: *wrapped })
    }

    fn run_binding(&self, run: RunId, number: u16) -> Vec<u8> {
        [&b"enact.run-key.1"[..], &self.store, run.as_bytes(), &number.to_le_bytes()].concat()
    }
}

fn store_binding(store: &[u8; 16], number: u16) -> Vec<u8> {
    [&b"enact.store-key.1"[..], store, &number.to_le_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_key_opens_under_its_master_key_and_for_its_run_alone() {
        let (master, store) = (MasterKey::random(), [7; 16]);
        let ring = KeyRing::new(store);
        let (run, other) = (RunId::from_bytes([1; 16]), RunId::from_bytes([2; 16]));
        let key = ring.new_run(run).unwrap();
        let sealed = key.seal(b"place", b"content").unwrap();
        let kept = ring.wrap(&master).unwrap();
        let again = KeyRing::open(&master, store, &kept).unwrap();
        let read = again.run(run, &key.wrapped).unwrap();
        assert_eq!(read.open(b"place", &sealed).unwrap(), b"content");
        assert!(read.open(b"another", &sealed).is_err());
        assert!(again.run(other, &key.wrapped).is_err());
        assert!(KeyRing::open(&MasterKey::random(), store, &kept).is_err());
        assert!(KeyRing::open(&master, [8; 16], &kept).is_err());
        for byte in 0..WRAPPED {
            let mut flipped = key.wrapped;
            flipped[byte] ^= 1;
            assert!(again.run(run, &flipped).is_err(), "byte {byte}");
        }
    }

    #[test]
    fn a_master_key_reads_back_from_its_text_and_nothing_prints_it() {
        let key = MasterKey::random();
        let text = key.to_text();
        let read = MasterKey::parse(&format!(" {}\n", text.expose_secret())).unwrap();
        assert_eq!(read.fingerprint(), key.fingerprint());
        assert!(!format!("{key:?}").contains(text.expose_secret()));
        assert!(!text.expose_secret().contains(&key.fingerprint()));
        for bad in ["", "00", &"g".repeat(64), &"0".repeat(65)] {
            assert!(MasterKey::parse(bad).is_none(), "{bad}");
        }
    }
}
