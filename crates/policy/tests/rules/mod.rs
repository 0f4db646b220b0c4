//! Rules in Cedar over every connector that there is, and cases for them.
#![allow(dead_code, reason = "each test takes some of them")]

use std::sync::Arc;

use enact_core::json::JsonText;
use enact_core::policy::Verdict;
use enact_policy::Case;
use enact_policy::cedar::{Cedar, Problems, Schema};
use serde_json::{Value, json};

use crate::kinds::catalogs;

pub(crate) fn schema() -> Arc<Schema> {
    let catalogs = catalogs();
    Arc::new(Schema::new(catalogs.iter().map(|(name, catalog)| (name.as_str(), catalog))).unwrap())
}

pub(crate) fn rules(text: &str) -> Cedar {
    Cedar::new(text, "policies.cedar", schema()).unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

pub(crate) fn problems(text: &str) -> Problems {
    Cedar::new(text, "policies.cedar", schema()).expect_err(text)
}

/// A case on an action, with the target and the effect that the connector gives it.
pub(crate) fn act(name: &str, params: Value) -> Case {
    let (connector, action) = name.split_once('.').unwrap();
    let catalogs = catalogs();
    let catalog = &catalogs[connector];
    let judged = catalog.judged(action, &JsonText::encode(&params).unwrap()).unwrap();
    Case::action(catalog.kind(), action, judged.params.value())
        .connector(connector)
        .target(judged.target)
        .effect(judged.effect)
}

pub(crate) fn pr(extra: Value) -> Case {
    let mut params = json!({ "repo": "acme/app", "title": "It", "head": "agent/a" });
    params.as_object_mut().unwrap().extend(extra.as_object().cloned().unwrap());
    act("github.create_pr", params)
}

pub(crate) fn denied(verdict: Verdict) -> String {
    match verdict {
        Verdict::Deny(reason) => reason,
        other => panic!("{other:?} is no denial"),
    }
}
