//! Keys that sign, and those that verify.

use std::fmt::{self, Debug, Display};
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::RngCore;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// Ed25519, as signed notes number it.
const ED25519_TYPE: u8 = 1;
/// What is before the seed of an Ed25519 key in PKCS#8 (RFC 8410, section 7).
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
/// The most keys in a set.
const MAX_KEYS: usize = 1000;

/// A key that does not read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadKey {
    /// It is no Ed25519 key in PKCS#8 and PEM.
    #[error("it is no Ed25519 key in PKCS#8 and PEM, such as `openssl genpkey -algorithm ed25519` makes")]
    NotPem,
    /// A public key is not `name+hash+key`.
    #[error("line {line} is no public key of the form name+hash+key: {why}")]
    NotPublic {
        /// The line of the text, from 1.
        line: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// There is no public key.
    #[error("there is no public key in it")]
    None,
    /// There are too many public keys.
    #[error("there are over {MAX_KEYS} public keys in it")]
    TooMany,
    /// A key cannot have this name.
    #[error("a key cannot be named '{0}': a name is not empty and has no spaces, control characters or '+'")]
    Name(String),
}

/// The secret key under which checkpoints and receipts are signed: Ed25519.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    pem: SecretString,
}

impl Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

impl SigningKey {
    /// A new random one.
    #[must_use]
    pub fn generate() -> Self {
        loop {
            let mut der = Zeroizing::new(PKCS8_PREFIX.to_vec());
            let mut seed = Zeroizing::new([0; 32]);
            rand::rng().fill_bytes(&mut *seed);
            der.extend_from_slice(&*seed);
            let base64 = Zeroizing::new(STANDARD.encode(&der));
            let text =
                format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", base64.as_str());
            // Every seed is a key.
            if let Ok(key) = Self::from_pem(SecretString::from(text)) {
                return key;
            }
        }
    }

    /// Reads one in PKCS#8 and PEM.
    ///
    /// # Errors
    /// [`BadKey::NotPem`].
    pub fn from_pem(pem: SecretString) -> Result<Self, BadKey> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.expose_secret().as_bytes());
        let der = der.map_err(|_| BadKey::NotPem)?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der());
        Ok(Self { pair: pair.map_err(|_| BadKey::NotPem)?, pem })
    }

    /// The key in PKCS#8 and PEM, to be kept where nobody else can read it.
    #[must_use]
    pub fn pem(&self) -> &SecretString {
        &self.pem
    }

    /// Its public key, under the name of what it signs.
    ///
    /// # Errors
    /// [`BadKey::Name`].
    pub fn public(&self, name: &str) -> Result<PublicKey, BadKey> {
        let key: &[u8] = self.pair.public_key().as_ref();
        let key = key.try_into().map_err(|_| BadKey::NotPem)?;
        PublicKey::new(name, key)
    }

    /// A signature of `message`.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }
}

/// A public key with the name of what it signs. As text it is a "vkey" of [signed
/// notes](https://c2sp.org/signed-note#verifier-keys): `name+hash+key`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublicKey {
    name: String,
    key: [u8; 32],
}

impl PublicKey {
    fn new(name: &str, key: [u8; 32]) -> Result<Self, BadKey> {
        let is_bad = |letter: char| letter == '+' || letter.is_whitespace() || letter.is_control();
        if name.is_empty() || name.contains(is_bad) {
            return Err(BadKey::Name(name.to_owned()));
        }
        Ok(Self { name: name.to_owned(), key })
    }

    /// The name of what it signs.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The hash by which signatures name it: of its name, type and bytes.
    #[must_use]
    pub fn hash(&self) -> [u8; 4] {
        let [first, second, third, fourth, ..]: [u8; 32] = Sha256::new()
            .chain_update(&self.name)
            .chain_update([b'\n', ED25519_TYPE])
            .chain_update(self.key)
            .finalize()
            .into();
        [first, second, third, fourth]
    }

    /// Whether it is a signature of `message` by this key.
    #[must_use]
    pub fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.key).verify(message, signature).is_ok()
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(hash), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err("it has not three parts");
        };
        let key = STANDARD.decode(key).map_err(|_| "its key is not base64")?;
        let Some((&ED25519_TYPE, key)) = key.split_first() else { return Err("it is not an Ed25519 key") };
        let key = key.try_into().map_err(|_| "its key has not 32 bytes")?;
        let key = Self::new(name, key).map_err(|_| "its name has spaces or is empty")?;
        if hash != digits(key.hash()) {
            return Err("its hash is not that of its name and key");
        }
        Ok(key)
    }
}

fn digits(hash: [u8; 4]) -> String {
    format!("{:08x}", u32::from_be_bytes(hash))
}

impl Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![ED25519_TYPE];
        key.extend_from_slice(&self.key);
        write!(f, "{}+{}+{}", self.name, digits(self.hash()), STANDARD.encode(key))
    }
}

impl FromStr for PublicKey {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<Self, BadKey> {
        Self::parse(text).map_err(|why| BadKey::NotPublic { line: 1, why })
    }
}

/// The public keys that who verifies trusts; one at least. As text it is one on each line, and lines that begin with `#` say
/// something to people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublicKeys(Vec<PublicKey>);

impl PublicKeys {
    /// Reads them.
    ///
    /// # Errors
    /// A [`BadKey`].
    pub fn parse(text: &str) -> Result<Self, BadKey> {
        let lines = (1..).zip(text.lines().map(str::trim));
        let keys = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let keys: Vec<_> = keys
            .map(|(line, text)| PublicKey::parse(text).map_err(|why| BadKey::NotPublic { line, why }))
            .take(MAX_KEYS + 1)
            .collect::<Result<_, _>>()?;
        match keys.len() {
            0 => Err(BadKey::None),
            1..=MAX_KEYS => Ok(Self(keys)),
            _ => Err(BadKey::TooMany),
        }
    }

    /// Each of them, in the order of the text.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &PublicKey> {
        self.0.iter()
    }

    /// Whether it is among them.
    #[must_use]
    pub fn contains(&self, key: &PublicKey) -> bool {
        self.0.contains(key)
    }

    /// Trusts another key too.
    pub(crate) fn add(&mut self, key: PublicKey) {
        if !self.contains(&key) {
            self.0.push(key);
        }
    }

    /// Trusts those alone that are not among `others`.
    pub(crate) fn remove(&mut self, others: &[&PublicKey]) {
        self.0.retain(|key| !others.contains(&key));
    }

    /// Those that a signature names.
    pub(crate) fn named<'a>(&'a self, name: &'a str, hash: [u8; 4]) -> impl Iterator<Item = &'a PublicKey> {
        self.0.iter().filter(move |key| key.name == name && key.hash() == hash)
    }
}

impl From<PublicKey> for PublicKeys {
    fn from(key: PublicKey) -> Self {
        Self(vec![key])
    }
}

impl Display for PublicKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|key| writeln!(f, "{key}"))
    }
}
