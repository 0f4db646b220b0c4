//! stub
use super::query::Query;
use super::reply::Reply;
use super::rest::Route;
use serde_json::Value;
use std::collections::BTreeMap;
pub(super) struct Wrong;
impl Wrong {
    pub(super) fn text(&self) -> String {
        String::new()
    }
    pub(super) fn refusal(&self) -> Option<String> {
        None
    }
}
pub(super) fn check_request(
    _: &Route,
    _: &BTreeMap<&'static str, String>,
    _: &Query,
    _: &Value,
) -> Vec<Wrong> {
    vec![]
}
pub(super) fn check_reply(_: &Route, _: &Reply) -> Vec<String> {
    vec![]
}
