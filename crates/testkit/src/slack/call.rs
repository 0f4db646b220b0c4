//! A request as it was sent, and an answer as it is given.

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::body::Bytes;
use hyper::http::request::Parts;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) number: u64,
    pub(super) method: String,
    pub(super) token: Option<String>,
    pub(super) args: BTreeMap<String, Value>,
    /// What is wrong with the way in which it was sent.
    pub(super) problem: Option<String>,
}

impl Asked {
    pub(super) fn new(number: u64, head: &Parts, body: &Bytes) -> Self {
        let path = head.uri.path();
        let method = path.strip_prefix("/api/").unwrap_or(path).to_owned();
        let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        let token =
            header("authorization").and_then(|value| value.strip_prefix("Bearer ")).map(str::to_owned);
        let mut args = form(head.uri.query().unwrap_or_default());
        let mut problem = None;
        match header("content-type").map(|kind| kind.split(';').next().unwrap_or_default()) {
            _ if body.is_empty() => {}
            Some("application/json") => match serde_json::from_slice::<Map<String, Value>>(body) {
                Ok(object) => args.extend(object),
                Err(error) => problem = Some(format!("its JSON does not read: {error}")),
            },
            Some("application/x-www-form-urlencoded") => args.extend(form(&String::from_utf8_lossy(body))),
            other => problem = Some(format!("its content type is {other:?}")),
        }
        if args.contains_key("token") {
            problem = Some("its token stands among the arguments".to_owned());
        }
        if head.method != "GET" && head.method != "POST" {
            problem = Some(format!("it is sent by {}", head.method));
        }
        Self { number, method, token, args, problem }
    }

    /// An argument as text; an empty one is none.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        match self.args.get(name)? {
            Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
            Value::Null => None,
            other => Some(other.to_string()),
        }
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.text(name).is_some_and(|text| text == "true" || text == "1")
    }

    /// An argument that is JSON, or a text that holds it.
    pub(super) fn json(&self, name: &str) -> Result<Option<Value>, ()> {
        match self.args.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => serde_json::from_str(text).map(Some).map_err(drop),
            Some(value) => Ok(Some(value.clone())),
        }
    }
}

fn form(text: &str) -> BTreeMap<String, Value> {
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8_lossy().into_owned()
    };
    text.split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decode(name), Value::String(decode(value))))
        .collect()
}

/// An answer.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Value,
}

impl Reply {
    /// `ok: true`, and more.
    pub(super) fn ok(mut body: Value) -> Self {
        if let Some(object) = body.as_object_mut() {
            object.insert("ok".into(), json!(true));
        }
        Self { status: 200, headers: Vec::new(), body }
    }

    /// `ok: false` with a code.
    pub(super) fn error(code: &str) -> Self {
        Self { status: 200, headers: Vec::new(), body: json!({ "ok": false, "error": code }) }
    }

    /// 429.
    pub(super) fn too_fast(retry_after_s: u64) -> Self {
        let headers = vec![("retry-after", retry_after_s.to_string())];
        Self { status: 429, headers, body: json!({ "ok": false, "error": "ratelimited" }) }
    }

    /// How long it wants the next request to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let (_, seconds) = self.headers.iter().find(|(name, _)| *name == "retry-after")?;
        seconds.parse().ok().map(Duration::from_secs)
    }

    /// A page for people.
    pub(super) fn page(status: u16) -> Self {
        let body = Value::String(format!("<html><body>{status}</body></html>"));
        Self { status, headers: Vec::new(), body }
    }

    /// `ok`, a code, or a status.
    pub(super) fn word(&self) -> String {
        match self.body.get("error").and_then(Value::as_str) {
            Some(code) => code.to_owned(),
            None if self.status == 200 => "ok".to_owned(),
            None => self.status.to_string(),
        }
    }
}
