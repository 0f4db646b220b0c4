//! stub
use super::auth::Caller;
use super::reply::{Answer, Stop};
use super::state::State;
pub(super) fn first_field(_: &[u8]) -> Option<String> {
    None
}
pub(super) fn answer(_: &mut State, _: u64, _: &str, _: &Caller, _: &[u8]) -> Answer {
    Err(Stop::not_found())
}
