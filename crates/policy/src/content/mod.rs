//! A policy on what is written: no tokens, keys and passwords in it.

mod kinds;

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use self::kinds::Kinds;
use crate::builtin::{Builtin, Judged, Judging, Made, Params, Refusal, Rule, policies};
use crate::name::path::Permitted;
use crate::scope::Scope;

/// How many findings a reason names.
const MAX_FINDINGS: usize = 5;

/// No tokens, keys and passwords in what an action passes on: in files, commits, rows, messages, titles and bodies, and
/// whatever else its parameters hold, reads too. Content in base64 is decoded first. The reason says which kind of secret
/// stands where, and never the secret.
///
/// It knows the formats of well-known services, and stops accidents. It does not stop whoever wants to get a secret out:
/// that one can write it in another way.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NoSecretsInContent {
    /// Whether anything that is called a password, secret, token or key and set to a value counts as well.
    pub generic: bool,
    /// Patterns of paths whose files are not looked into, such as `testdata/**`; they permit, and are compared as they are.
    pub except_paths: Vec<String>,
}

policies!(NoSecretsInContent);

/// [`NoSecretsInContent`], by the formats of services alone.
#[must_use]
pub fn no_secrets_in_content() -> Builtin {
    NoSecretsInContent::default().into()
}

impl Params for NoSecretsInContent {
    const NAME: &'static str = "no_secrets_in_content";

    fn rule(&self, _: &Scope) -> Made {
        let except = (!self.except_paths.is_empty()).then(|| Permitted::new(&self.except_paths)).transpose();
        let except = except.map_err(|wrong| format!("'except_paths': {wrong}"))?;
        Ok(Box::new(NoSecrets { kinds: Kinds::new(self.generic)?, except }))
    }
}

#[derive(Debug)]
struct NoSecrets {
    kinds: Kinds,
    except: Option<Permitted>,
}

impl Rule for NoSecrets {
    fn judge(&self, _: &Scope, judging: &Judging<'_>) -> Judged {
        let mut found = Vec::new();
        self.look("", judging.action.params, &mut found)?;
        if found.is_empty() {
            return Ok(());
        }
        let more = found.len().saturating_sub(MAX_FINDINGS);
        found.truncate(MAX_FINDINGS);
        let more = if more == 0 { String::new() } else { format!(", and in {more} more places") };
        Err(format!("there is {}{more}", found.join(", ")).into())
    }
}

impl NoSecrets {
    /// Notes what is found in a value that stands at a place.
    fn look(&self, place: &str, value: &Value, found: &mut Vec<String>) -> Result<(), Refusal> {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
            Value::String(text) => {
                found.extend(self.kinds.of(text.as_bytes()).map(|kind| format!("{kind} in {place}")));
                Ok(())
            }
            Value::Array(items) => items
                .iter()
                .enumerate()
                .try_for_each(|(at, item)| self.look(&format!("{place}[{at}]"), item, found)),
            Value::Object(entries) => self.look_into(place, entries, found),
        }
    }

    fn look_into(
        &self,
        place: &str,
        entries: &Map<String, Value>,
        found: &mut Vec<String>,
    ) -> Result<(), Refusal> {
        let path = entries.get("path").and_then(Value::as_str);
        let is_excepted = path.is_some_and(|path| self.except.as_ref().is_some_and(|paths| paths.has(path)));
        for (key, value) in entries {
            let here = self.place(place, key, path);
            if let Some(kind) = self.kinds.of(key.as_bytes()) {
                found.push(format!(
                    "{kind} in a key of {}",
                    if place.is_empty() { "the parameters" } else { place }
                ));
            }
            match (key.as_str(), value) {
                ("content" | "content_base64", _) if is_excepted => {}
                ("content_base64", Value::String(text)) => {
                    let bytes = STANDARD
                        .decode(text)
                        .map_err(|_| format!("{here} is no base64, so it cannot be judged"))?;
                    found.extend(self.kinds.of(&plain(&bytes)).map(|kind| format!("{kind} in {here}")));
                }
                (key, Value::String(text)) if self.kinds.is_named_secret(key, text) => {
                    found.push(format!("a value that is called a secret in {here}"));
                }
                _ => self.look(&here, value, found)?,
            }
        }
        Ok(())
    }

    /// Where something stands: keys and positions, and the path of a file; without what would give a secret away.
    fn place(&self, place: &str, key: &str, path: Option<&str>) -> String {
        let shown = |text: &str| self.kinds.of(text.as_bytes()).is_none();
        let key = if shown(key) { key } else { "…" };
        let here = if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") };
        match path {
            Some(path) if key.starts_with("content") && shown(path) => format!("{here} of '{path}'"),
            _ => here,
        }
    }
}

/// Bytes as text has them: of text in two bytes a character (UTF-16), those that are not 0.
fn plain(bytes: &[u8]) -> Cow<'_, [u8]> {
    if bytes.contains(&0) { bytes.iter().copied().filter(|byte| *byte != 0).collect() } else { bytes.into() }
}
