//! Content of the outside world as pre-states keep it: in the record where it is small, in a blob where it is
//! not. Documents show binary content in the same form.
//!
//! It knows the form that documents show and how to read the bytes back. It does not know what the bytes are, nor any
//! action: it tells binary content from text by what stands beside it.

use std::fmt::{self, Debug};
use std::io::{self, Cursor, Read};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

use crate::blob::BlobRef;
use crate::connector::Cx;
use crate::exact::Exact;
use crate::json::JsonText;

/// Content up to this many bytes stands in the record itself; more is kept in a blob.
pub const INLINE_BYTES: usize = 64 * 1024;

/// Some bytes of the outside world: `{"base64", "size", "sha256"}`, above [`INLINE_BYTES`] only `size` and
/// `sha256`, which then name a blob.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    #[serde(default, rename = "base64", skip_serializing_if = "Option::is_none")]
    inline: Option<Base64>,
    size: u64,
    sha256: String,
}

impl Content {
    /// Keeps all that `content` gives: here where it is small, else durably in a blob. Memory does not grow
    /// with it. Blocks on files.
    ///
    /// # Errors
    /// Those of reading and of [`Cx::keep`].
    pub fn keep(cx: &Cx, content: &mut dyn Read) -> io::Result<Self> {
        let mut start = Vec::new();
        content.take(INLINE_BYTES as u64 + 1).read_to_end(&mut start)?;
        if start.len() <= INLINE_BYTES {
            return Ok(Self::shown(start));
        }
        let BlobRef { sha256, size } = cx.keep(&mut Cursor::new(start).chain(content))?;
        Ok(Self { inline: None, size, sha256 })
    }

    /// Bytes as documents show them.
    fn shown(bytes: Vec<u8>) -> Self {
        Self {
            size: bytes.len() as u64,
            sha256: format!("{:x}", Sha256::digest(&bytes)),
            inline: (bytes.len() <= INLINE_BYTES).then(|| Base64(bytes.into())),
        }
    }

    /// Opens it for reading from its beginning. Blocks on files.
    ///
    /// # Errors
    /// As [`Cx::open`].
    pub fn open(&self, cx: &Cx) -> io::Result<Box<dyn Read + Send>> {
        match &self.inline {
            Some(Base64(bytes)) => Ok(Box::new(Cursor::new(Arc::clone(bytes)))),
            None => cx.open(&BlobRef { sha256: self.sha256.clone(), size: self.size }),
        }
    }

    /// The bytes, where there are at most [`INLINE_BYTES`] of them.
    #[must_use]
    pub fn inline(&self) -> Option<&[u8]> {
        self.inline.as_ref().map(|Base64(bytes)| &**bytes)
    }

    /// The lower-case hexadecimal SHA-256 of the bytes.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The number of bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }
}

// The bytes themselves do not belong in traces.
impl Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{} ({} bytes)", self.sha256, self.size)
    }
}

/// Puts binary content into the form of [`Content`] wherever it stands in a value as base64 text, and says whether there
/// was any. Binary content is a text in base64
///
/// - in a field whose name ends in `_base64`;
/// - in the field `content` of an object that has the `size` and the `sha256` of the bytes beside it: the output of who
///   was asked for base64. A text has other ones than its decoded bytes, so it is never taken for them.
pub(crate) fn show_binary(value: &mut Exact) -> bool {
    match value {
        Exact::List(items) => items.iter_mut().fold(false, |any, item| show_binary(item) | any),
        Exact::Object(_) => {
            let described = described(value);
            let Exact::Object(fields) = value else { return false };
            fields.iter_mut().fold(false, |any, (name, field)| match shown(name, field, described.as_ref()) {
                Some(shown) => {
                    *field = shown;
                    true
                }
                None => show_binary(field) | any,
            })
        }
        Exact::Null | Exact::Bool(_) | Exact::Number(_) | Exact::Text(_) => false,
    }
}

/// The size and the SHA-256 that an object names.
fn described(object: &Exact) -> Option<(u64, String)> {
    let Exact::Number(size) = object.get("size")? else { return None };
    Some((size.parse().ok()?, object.get("sha256")?.as_text()?.to_owned()))
}

/// The form of a field that is binary content.
fn shown(name: &str, field: &Exact, described: Option<&(u64, String)>) -> Option<Exact> {
    let is_named_so = name.ends_with("_base64");
    if !is_named_so && (name != "content" || described.is_none()) {
        return None;
    }
    let content = Content::shown(STANDARD.decode(field.as_text()?).ok()?);
    let is_described = described.is_some_and(|(size, sha)| (*size, sha) == (content.size, &content.sha256));
    if is_named_so || is_described { JsonText::encode(&content).ok().map(|text| text.exact()) } else { None }
}

#[derive(Clone, PartialEq, Eq)]
struct Base64(Arc<[u8]>);

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        STANDARD.decode(text).map(|bytes| Self(bytes.into())).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use parking_lot::Mutex;
    use serde_json::{Value, json};

    use super::*;
    use crate::blob::BlobStore;
    use crate::ids::{Direction, EffectId, RunId, Seq};

    #[derive(Debug, Default)]
    struct Blobs(Mutex<HashMap<String, Vec<u8>>>);

    impl BlobStore for Blobs {
        fn put(&self, content: &mut dyn Read) -> io::Result<BlobRef> {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes)?;
            let blob = BlobRef { sha256: format!("{:x}", Sha256::digest(&bytes)), size: bytes.len() as u64 };
            self.0.lock().insert(blob.sha256.clone(), bytes);
            Ok(blob)
        }

        fn open(&self, blob: &BlobRef) -> io::Result<Box<dyn Read + Send>> {
            let bytes = self.0.lock().get(&blob.sha256).cloned();
            Ok(Box::new(Cursor::new(bytes.ok_or(io::ErrorKind::NotFound)?)))
        }
    }

    fn cx() -> Cx {
        let run = RunId::from_parts(1, [0; 10]);
        let effect = EffectId { run, seq: Seq(1), attempt: 1, direction: Direction::Forward, undo_try: 0 };
        Cx::new(effect, false, Arc::new(Blobs::default()))
    }

    /// What becomes of a value, and whether it was changed.
    fn shown_of(value: &Value) -> (Value, bool) {
        let mut exact = JsonText::encode(value).unwrap().exact();
        let changed = show_binary(&mut exact);
        (JsonText::encode(&exact).unwrap().value(), changed)
    }

    /// The names of an object's fields, sorted: whoever else is built along may keep their order.
    fn names_of(object: &Value) -> Vec<&str> {
        let mut names: Vec<_> = object.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    fn read(content: &Content, cx: &Cx) -> Vec<u8> {
        let mut bytes = Vec::new();
        content.open(cx).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn small_content_stands_in_the_record() {
        let cx = cx();
        let bytes = vec![0xff; INLINE_BYTES];
        let content = Content::keep(&cx, &mut bytes.as_slice()).unwrap();
        assert!(cx.kept().is_empty());
        let text = JsonText::encode(&content).unwrap();
        let shown = text.value();
        let names = names_of(&shown);
        assert_eq!(names, ["base64", "sha256", "size"]);
        assert_eq!((&shown["size"], INLINE_BYTES), (&65_536.into(), 65_536));
        let again: Content = text.decode().unwrap();
        assert_eq!(again, content);
        assert_eq!(read(&again, &cx), bytes);
    }

    #[test]
    fn binary_content_is_shown_by_what_stands_beside_it_and_text_is_left_alone() {
        let bytes = [0, 159, 146, 150];
        let (text, sha256) = (STANDARD.encode(bytes), format!("{:x}", Sha256::digest(bytes)));
        let shown = json!({ "base64": text, "sha256": sha256, "size": 4 });
        let value = json!({
            "params": [{ "content_base64": text }],
            "output": { "content": text, "sha256": sha256, "size": 4 },
        });
        let (value, changed) = shown_of(&value);
        assert!(changed);
        assert_eq!(value["params"][0]["content_base64"], shown);
        assert_eq!(value["output"], json!({ "content": shown, "sha256": sha256, "size": 4 }));
        assert!(!shown_of(&value).1, "it is shown already");

        let of_text = format!("{:x}", Sha256::digest(&text));
        for text in [
            json!({ "content": text }),
            json!({ "content": text, "sha256": of_text, "size": text.len() }),
            json!({ "content": text, "sha256": sha256, "size": 5 }),
            json!({ "content_base64": "not base64!" }),
            json!({ "content_base64": 3, "base64": text }),
            json!(text),
        ] {
            assert_eq!(shown_of(&text), (text.clone(), false), "{text}");
        }
    }

    #[test]
    fn binary_content_above_the_limit_is_shown_by_size_and_hash_alone() {
        for (length, names) in
            [(INLINE_BYTES, &["base64", "sha256", "size"][..]), (INLINE_BYTES + 1, &["sha256", "size"])]
        {
            let bytes = vec![7; length];
            let sha256 = format!("{:x}", Sha256::digest(&bytes));
            let text = STANDARD.encode(bytes);
            let value = json!({ "content_base64": text, "content": text, "size": length, "sha256": sha256 });
            let (value, changed) = shown_of(&value);
            assert!(changed);
            for field in ["content_base64", "content"] {
                let shown = &value[field];
                assert_eq!(names_of(shown), names);
                assert_eq!((&shown["size"], &shown["sha256"]), (&json!(length), &json!(sha256)));
            }
        }
    }

    #[test]
    fn large_content_is_a_blob_that_the_record_names() {
        let cx = cx();
        let bytes = vec![7; INLINE_BYTES + 1];
        let content = Content::keep(&cx, &mut bytes.as_slice()).unwrap();
        let text = JsonText::encode(&content).unwrap();
        assert_eq!(cx.kept(), [text.decode::<BlobRef>().unwrap()]);
        let shown = text.value();
        let names = names_of(&shown);
        assert_eq!(names, ["sha256", "size"]);
        assert_eq!(read(&content, &cx), bytes);
    }
}
