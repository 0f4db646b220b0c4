//! The web token by which an app says that it is itself.
//!
//! Every app has the same key, which is for tests alone.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rsa::KeyPair;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::Value;

use super::account::Accounts;
use super::reply::Stop;

/// The key of every app, in the form in which GitHub gives it out.
pub(super) const KEY: &str = include_str!("app-key.pem");
/// How long after now a token may end.
const MAX_SECONDS: i64 = 600;

/// The app that a token is of.
pub(super) fn app(token: &str, now: i64, accounts: &Accounts) -> Result<u64, Stop> {
    let undecodable = || Stop::refuse(401, "A JSON web token could not be decoded");
    let (signed, signature) = token.rsplit_once('.').ok_or_else(undecodable)?;
    let (head, claims) = signed.split_once('.').ok_or_else(undecodable)?;
    let read = |part: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
        serde_json::from_slice::<Value>(&bytes).ok()
    };
    let (head, claims) = (read(head).ok_or_else(undecodable)?, read(claims).ok_or_else(undecodable)?);
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| undecodable())?;
    let rs256 = head.get("alg").and_then(Value::as_str) == Some("RS256");
    let public = public_key().ok_or_else(|| Stop::Broken("the key of apps cannot be read".to_owned()))?;
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public);
    if !rs256 || key.verify(signed.as_bytes(), &signature).is_err() {
        return Err(undecodable());
    }
    check_times(&claims, now)?;
    let issuer = match claims.get("iss") {
        Some(Value::Number(number)) => number.as_u64(),
        Some(Value::String(text)) => text.parse().ok(),
        _ => None,
    };
    let known = issuer.and_then(|id| accounts.app(id));
    known.map(|app| app.id).ok_or_else(|| Stop::refuse(404, "Integration not found"))
}

fn check_times(claims: &Value, now: i64) -> Result<(), Stop> {
    let time = |name: &str| claims.get(name).and_then(Value::as_i64);
    let refuse = |message: &str| Err(Stop::refuse(401, message));
    // GitHub lets clocks differ by a minute.
    match time("iat") {
        Some(issued) if issued <= now + 60 => {}
        _ => {
            return refuse(
                "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued",
            );
        }
    }
    match time("exp") {
        Some(ends) if ends > now + MAX_SECONDS => {
            refuse("'Expiration time' claim ('exp') is too far in the future")
        }
        Some(ends) if ends > now => Ok(()),
        _ => refuse(
            "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires",
        ),
    }
}

/// The public half of the key.
fn public_key() -> Option<Vec<u8>> {
    let text: String = KEY.lines().filter(|line| !line.starts_with("-----")).collect();
    let pair = KeyPair::from_der(&STANDARD.decode(text).ok()?).ok()?;
    Some(pair.public().as_ref().to_vec())
}
