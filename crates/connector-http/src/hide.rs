//! What a server says back of the secret that it was sent, as debugging proxies do with headers: it is hidden before
//! anything else sees the answer, so that it gets into no error, no record and no log.

use http::{HeaderMap, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

/// What stands in the place of a secret.
const HIDDEN: &str = "[secret]";

/// Hides a secret wherever an answer has it.
pub fn hide(secret: &SecretString, headers: &mut HeaderMap, body: &mut Value) {
    let secret = secret.expose_secret();
    if secret.is_empty() {
        return;
    }
    for value in headers.values_mut() {
        let text = value.to_str().ok().filter(|text| text.contains(secret));
        if let Some(text) = text.map(|text| text.replace(secret, HIDDEN)) {
            *value = HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(HIDDEN));
        }
    }
    hide_in(secret, body);
}

fn hide_in(secret: &str, body: &mut Value) {
    match body {
        Value::String(text) if text.contains(secret) => *text = text.replace(secret, HIDDEN),
        Value::Array(items) => items.iter_mut().for_each(|item| hide_in(secret, item)),
        Value::Object(fields) => {
            if fields.keys().any(|name| name.contains(secret)) {
                let named = std::mem::take(fields).into_iter();
                *fields = named.map(|(name, value)| (name.replace(secret, HIDDEN), value)).collect();
            }
            fields.values_mut().for_each(|value| hide_in(secret, value));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_is_hidden_wherever_it_stands() {
        let secret = SecretString::from("t0ken");
        let mut headers = HeaderMap::new();
        headers.insert("location", "https://a.b/?t=t0ken&x".parse().unwrap());
        headers.insert("date", "today".parse().unwrap());
        let mut body =
            json!({ "message": "bad Bearer t0ken", "errors": [{ "t0ken": ["t0kent0ken"] }], "n": 1 });
        hide(&secret, &mut headers, &mut body);
        assert_eq!(
            body,
            json!({ "message": "bad Bearer [secret]", "errors": [{ "[secret]": ["[secret][secret]"] }], "n": 1 })
        );
        assert_eq!(headers["location"], "https://a.b/?t=[secret]&x");
        assert_eq!(headers["date"], "today");
    }
}
