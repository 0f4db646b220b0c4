//! A policy on what is written: no tokens, keys and passwords in it.

mod kinds;
mod redact;

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use self::kinds::{Kinds, Secret};
use crate::builtin::{Builtin, Judged, Judging, Made, Params, Refusal, Rule, policies};
use crate::name::path::Permitted;
use crate::scope::Scope;

pub use redact::{redacted, redacted_json};

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
    /// Whether anything that is called a password, secret, token or key of some kind (`api_key`, not `key`) and set to a value
    /// counts as well.
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
        let real_path = judging.facts.and_then(|facts| facts.get("real_path")).and_then(Value::as_str);
        self.look(&Place::Top { real_path }, judging.action.params, &mut found)?;
        if found.is_empty() {
            return Ok(());
        }
        let more = found.len().saturating_sub(MAX_FINDINGS);
        found.truncate(MAX_FINDINGS);
        let more = if more == 0 { String::new() } else { format!(", and in {more} more places") };
        Err(format!("there is {}{more}", found.join(", ")).into())
    }
}

/// Where in the parameters something stands.
enum Place<'a> {
    Top {
        /// Where the path really leads, once that was looked at.
        real_path: Option<&'a str>,
    },
    Key(&'a Place<'a>, &'a str),
    Item(&'a Place<'a>, usize),
}

impl NoSecrets {
    /// Notes what is found in a value that stands at a place.
    fn look(&self, place: &Place<'_>, value: &Value, found: &mut Vec<String>) -> Result<(), Refusal> {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
            Value::String(text) => {
                found.extend(self.told(text.as_bytes(), place));
            }
            Value::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    self.look(&Place::Item(place, at), item, found)?;
                }
            }
            Value::Object(entries) => self.look_into(place, entries, found)?,
        }
        Ok(())
    }

    fn look_into(
        &self,
        place: &Place<'_>,
        entries: &Map<String, Value>,
        found: &mut Vec<String>,
    ) -> Result<(), Refusal> {
        let path = entries.get("path").and_then(Value::as_str);
        let real_path = match place {
            Place::Top { real_path } => *real_path,
            _ => None,
        };
        let is_excepted =
            path.is_some_and(|path| self.excepts(path) && real_path.is_none_or(|real| self.excepts(real)));
        for (key, value) in entries {
            let here = &Place::Key(place, key);
            if let Some(secret) = self.kinds.find(key.as_bytes()) {
                found.push(format!("{} in a key of {}", secret.kind, self.shown(place)));
            }
            let found_before = found.len();
            match (key.as_str(), value) {
                ("content" | "content_base64", _) if is_excepted => {}
                ("content_base64", Value::String(text)) => {
                    let no_base64 = |_| format!("{} is no base64, so it cannot be judged", self.shown(here));
                    let bytes = STANDARD.decode(text).map_err(no_base64)?;
                    found.extend(self.told(&plain(&bytes), here));
                }
                (key, Value::String(text)) if self.kinds.is_named_secret(key, text) => {
                    found.push(format!("a value that is called a secret in {}", self.shown(here)));
                }
                _ => self.look(here, value, found)?,
            }
            let path = path.filter(|path| *key != "path" && !self.is_secret(path));
            if let (Some(path), [only]) = (path, found.get_mut(found_before..).unwrap_or_default()) {
                only.push_str(&format!(" of '{path}'"));
            }
        }
        Ok(())
    }

    /// The first secret of a text that stands at a place, in words.
    fn told(&self, text: &[u8], place: &Place<'_>) -> Option<String> {
        let Secret { kind, at } = self.kinds.find(text)?;
        let lines = |text: &[u8]| text.iter().filter(|byte| **byte == b'\n').count();
        let line = match lines(text) {
            0 => String::new(),
            _ => format!("line {} of ", lines(text.get(..at).unwrap_or_default()) + 1),
        };
        Some(format!("{kind} in {line}{}", self.shown(place)))
    }

    fn excepts(&self, path: &str) -> bool {
        self.except.as_ref().is_some_and(|paths| paths.has(path))
    }

    fn is_secret(&self, text: &str) -> bool {
        self.kinds.find(text.as_bytes()).is_some()
    }

    /// A place in words: keys and positions, without a key that would give a secret away.
    fn shown(&self, place: &Place<'_>) -> String {
        match place {
            Place::Top { .. } => "the parameters".to_owned(),
            Place::Item(list, at) => format!("{}[{at}]", self.shown(list)),
            Place::Key(object, key) => {
                let key = if self.is_secret(key) { "…" } else { key };
                if matches!(object, Place::Top { .. }) {
                    key.to_owned()
                } else {
                    format!("{}.{key}", self.shown(object))
                }
            }
        }
    }
}

/// Bytes as text has them: of text in two bytes a character (UTF-16), those that are not 0.
fn plain(bytes: &[u8]) -> Cow<'_, [u8]> {
    if bytes.contains(&0) { bytes.iter().copied().filter(|byte| *byte != 0).collect() } else { bytes.into() }
}
