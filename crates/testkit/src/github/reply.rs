//! What is answered: a status, headers and a document; and the forms of GitHub's refusals.

use serde_json::{Value, json};

/// An answer. Refusals are answers too, and handlers return them as errors.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Option<Value>,
}

/// Why a handler ends early.
#[derive(Debug)]
pub(super) enum Stop {
    /// GitHub refuses the request.
    Refused(Box<Reply>),
    /// The stand-in itself has failed, which is never the fault of who asked.
    Broken(String),
}

pub(super) type Answer = Result<Reply, Stop>;

impl Reply {
    pub(super) fn new(status: u16, body: Value) -> Self {
        Self { status, headers: Vec::new(), body: Some(body) }
    }

    pub(super) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: None }
    }

    #[must_use]
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// GitHub's form of an error.
    pub(super) fn error(status: u16, message: &str) -> Self {
        let docs = "https://docs.github.com/rest";
        Self::new(
            status,
            json!({"message": message, "documentation_url": docs, "status": status.to_string()}),
        )
    }
}

impl Stop {
    pub(super) fn refuse(status: u16, message: &str) -> Self {
        Self::Refused(Box::new(Reply::error(status, message)))
    }

    pub(super) fn not_found() -> Self {
        Self::refuse(404, "Not Found")
    }

    /// 422 with what is wrong, field by field.
    pub(super) fn invalid(errors: Vec<Value>) -> Self {
        let mut reply = Reply::error(422, "Validation Failed");
        if let Some(Value::Object(body)) = &mut reply.body {
            body.insert("errors".to_owned(), Value::Array(errors));
        }
        Self::Refused(Box::new(reply))
    }

    /// 422 for one field: `code` is `missing`, `missing_field`, `invalid` or `already_exists`.
    pub(super) fn invalid_field(resource: &str, field: &str, code: &str) -> Self {
        Self::invalid(vec![json!({"resource": resource, "field": field, "code": code})])
    }

    /// 422 with a sentence.
    pub(super) fn custom(resource: &str, field: Option<&str>, message: &str) -> Self {
        let mut error = json!({"resource": resource, "code": "custom", "message": message});
        if let (Some(field), Some(error)) = (field, error.as_object_mut()) {
            error.insert("field".to_owned(), json!(field));
        }
        Self::invalid(vec![error])
    }
}

impl From<Reply> for Stop {
    fn from(reply: Reply) -> Self {
        Self::Refused(Box::new(reply))
    }
}
