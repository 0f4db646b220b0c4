//! Rules that ask for an approval which nobody is ever asked for, because another permits the same and asks for nothing.
//!
//! It tells only what is certain: the other rule has no condition, or the same to the letter, and its scope covers this one's.

use std::collections::BTreeSet;

use cedar_policy::{ActionConstraint, Effect, EntityUid, Policy, PrincipalConstraint, ResourceConstraint};
use serde_json::Value;

use super::problem::{Problem, Source};
use super::rules::Placed;
use super::schema::Schema;

/// A warning for each rule whose approval is never asked for.
pub(super) fn warnings(source: Source<'_>, schema: &Schema, placed: &[Placed]) -> Vec<Problem> {
    let permits = || placed.iter().filter(|placed| placed.policy.effect() == Effect::Permit);
    let asking = permits().filter(|placed| placed.rule.approval.is_some());
    let shadowed = asking.filter_map(|asks| {
        let free = permits()
            .find(|other| other.rule.approval.is_none() && covers(schema, &other.policy, &asks.policy))?;
        let message = format!(
            "nobody is ever asked for this approval: '{}' (line {}) permits all of it and asks for nothing; make that one narrower",
            free.rule.name, free.rule.line
        );
        Some(source.problem(asks.offset, Some(&asks.rule.name), message))
    });
    shadowed.collect()
}

/// Whether whatever the one permits is permitted by the other, for certain.
fn covers(schema: &Schema, other: &Policy, one: &Policy) -> bool {
    let (principal, resource) = (other.principal_constraint(), other.resource_constraint());
    (is_everybody(&principal) || principal == one.principal_constraint())
        && (resource == ResourceConstraint::Any || resource == one.resource_constraint())
        && actions(schema, &one.action_constraint()).is_subset(&actions(schema, &other.action_constraint()))
        && (!other.has_non_scope_constraint() || conditions(other) == conditions(one))
}

/// There are no principals but users.
fn is_everybody(principal: &PrincipalConstraint) -> bool {
    matches!(principal, PrincipalConstraint::Any | PrincipalConstraint::Is(_))
}

/// The actions that a rule is about: groups have theirs.
fn actions(schema: &Schema, about: &ActionConstraint) -> BTreeSet<EntityUid> {
    let Ok(all) = schema.cedar.action_entities() else { return BTreeSet::new() };
    let is_meant = |action: &EntityUid| match about {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(named) => named == action,
        ActionConstraint::In(groups) => {
            groups.iter().any(|group| group == action || all.is_ancestor_of(group, action))
        }
    };
    all.iter().map(cedar_policy::Entity::uid).filter(is_meant).collect()
}

fn conditions(rule: &Policy) -> Option<Value> {
    rule.to_json().ok()?.get("conditions").cloned()
}
