//! Who the connector is for GitHub: a personal access token, or an installation of an app with tokens that last an hour.

use std::fmt::{self, Debug};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use enact_connector_http::secret;
use enact_core::time::Timestamp;
use enact_core::{Error, ErrorCode};
use http::HeaderValue;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use tokio::sync::Mutex;

use crate::error::wrong;

/// How long a signed claim is good for; GitHub takes ten minutes at most.
const CLAIM: Duration = Duration::from_secs(9 * 60);

/// How far the two clocks may be apart.
const SKEW: Duration = Duration::from_secs(60);

/// A token that ends sooner is not used for another request.
const LEAST_LEFT: Duration = Duration::from_secs(5 * 60);

/// What the connector proves itself by.
pub(crate) enum Auth {
    /// A personal access token, classic or fine-grained.
    Token(SecretString),
    /// An installation of an app.
    App(Box<App>),
}

impl Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(_) => f.write_str("a token"),
            Self::App(app) => write!(f, "app {} installation {}", app.id, app.installation),
        }
    }
}

/// An app, one of its installations, and the token that it has at the moment.
pub(crate) struct App {
    pub(crate) id: u64,
    pub(crate) installation: u64,
    key: RsaKeyPair,
    token: Mutex<Option<Lent>>,
}

/// A token of an installation.
#[derive(Clone)]
pub(crate) struct Lent {
    pub(crate) token: SecretString,
    pub(crate) until: Timestamp,
}

impl Auth {
    /// A personal access token. Its text is in no error.
    pub(crate) fn token(token: &str) -> Result<Self, Error> {
        Ok(Self::Token(secret::token(token)?))
    }
}

impl App {
    /// An app by its private key, as GitHub gives it out: PEM, RSA.
    pub(crate) fn new(id: u64, installation: u64, pem: &SecretString) -> Result<Self, Error> {
        let unreadable = || wrong("it is not the private key of an app: an RSA key in PEM");
        let der = PrivateKeyDer::from_pem_slice(pem.expose_secret().as_bytes()).map_err(|_| unreadable())?;
        let key = match &der {
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
            PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
            _ => return Err(unreadable()),
        };
        Ok(Self { id, installation, key: key.map_err(|_| unreadable())?, token: Mutex::new(None) })
    }

    /// What the app says of itself, signed, to get a token. Source: GitHub's "Generating a JSON Web Token (JWT) for a
    /// GitHub App".
    pub(crate) fn claim(&self, now: Timestamp) -> Result<SecretString, Error> {
        let now_s = now.unix_ms() / 1000;
        let claims = json!({
            "iat": now_s.saturating_sub(SKEW.as_secs()),
            "exp": now_s.saturating_add(CLAIM.as_secs()),
            "iss": self.id.to_string(),
        });
        let header = json!({ "alg": "RS256", "typ": "JWT" });
        let mut text = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).map_err(
            |_| Error::new(ErrorCode::Internal, "the app's claim cannot be signed").left_nothing(),
        )?;
        text.push('.');
        text.push_str(&URL_SAFE_NO_PAD.encode(signature));
        Ok(SecretString::from(text))
    }

    /// The installation's token; a new one, asked for by `fetch`, where there is none that lasts. One request for all
    /// who wait.
    pub(crate) async fn token(
        &self,
        now: Timestamp,
        fetch: impl Future<Output = Result<Lent, Error>>,
    ) -> Result<SecretString, Error> {
        let mut held = self.token.lock().await;
        if let Some(lent) = held.as_ref().filter(|lent| lent.until > now.after(LEAST_LEFT)) {
            return Ok(lent.token.clone());
        }
        let lent = fetch.await?;
        let token = lent.token.clone();
        *held = Some(lent);
        Ok(token)
    }

    /// Forgets a token that GitHub does not take any more.
    pub(crate) async fn forget(&self) {
        *self.token.lock().await = None;
    }
}

/// The header that carries a secret; marked, so that nothing prints it.
pub(crate) fn bearer(secret: &SecretString) -> Result<HeaderValue, Error> {
    let text = SecretString::from(format!("Bearer {}", secret.expose_secret()));
    let mut value = HeaderValue::from_str(text.expose_secret())
        .map_err(|_| wrong("the token has characters that no header takes"))?;
    value.set_sensitive(true);
    Ok(value)
}
