//! Reading a file of rules: what Cedar says of it, and what the annotations ask for.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{Effect, Policy, PolicyId, PolicySet, ValidationMode, Validator};
use enact_core::policy::Approval;
use serde_json::Value;

use super::depth::{self, MAX_DEPTH};
use super::problem::{Problem, Problems, Source};
use super::schema::Schema;
use super::shadow;
use crate::duration;

/// The longest text that is read, in bytes.
const MAX_BYTES: usize = 1024 * 1024;

/// The annotations that a rule may have.
const ANNOTATIONS: [&str; 5] = ["id", "description", "approval", "approvers", "expires_after"];

/// Rules that were read and found good.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) set: PolicySet,
    pub(super) known: BTreeMap<PolicyId, Rule>,
    pub(super) warnings: Vec<Problem>,
    /// How deep the deepest of them is.
    pub(super) depth: usize,
}

/// What a verdict says of a rule.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) description: Option<String>,
    pub(super) approval: Option<Approval>,
}

/// A rule and where it stands.
pub(super) struct Placed {
    pub(super) policy: Policy,
    pub(super) offset: usize,
    pub(super) rule: Rule,
}

/// Reads rules and checks them against the schema, strictly.
pub(super) fn read(source: Source<'_>, schema: &Schema) -> Result<Rules, Problems> {
    if source.text.len() > MAX_BYTES {
        let message = format!("the text has {} bytes; at most {MAX_BYTES} are read", source.text.len());
        return Err(Problems(vec![source.problem(0, None, message)]));
    }
    if source.text.starts_with('\u{feff}') {
        let message = "the text begins with a byte order mark, which Cedar does not read; save it without";
        return Err(Problems(vec![source.problem(0, None, message)]));
    }
    let depth = depth::depth(source.text).map_err(|offset| {
        let message = format!(
            "here the rule is more than {MAX_DEPTH} levels deep; make several rules of it, or of many names a list: \
             [\"a\", \"b\"].contains(principal.id)"
        );
        Problems(vec![source.problem(offset, None, message)])
    })?;
    depth::reading(depth, || checked(source, schema, depth))
}

fn checked(source: Source<'_>, schema: &Schema, depth: usize) -> Result<Rules, Problems> {
    let parsed: PolicySet = source.text.parse().map_err(|errors: cedar_policy::ParseErrors| {
        Problems(errors.iter().map(|error| source.said(None, 0, error)).collect())
    })?;
    let mut problems = Vec::new();
    for template in parsed.templates() {
        let message = "a rule with ?principal or ?resource is a template, and nothing fills it in here";
        problems.push(source.problem(
            0,
            Some(template.annotation("id").unwrap_or(template.id().as_ref())),
            message,
        ));
    }
    let placed = place(source, &parsed, schema, &mut problems);
    let mut set = PolicySet::new();
    for Placed { policy, offset, rule } in &placed {
        if let Err(error) = set.add(policy.clone()) {
            problems.push(source.said(Some(&rule.name), *offset, &error));
        }
    }
    let offsets: BTreeMap<&PolicyId, usize> =
        placed.iter().map(|placed| (placed.policy.id(), placed.offset)).collect();
    let offset = |id: &PolicyId| offsets.get(id).copied().unwrap_or_default();
    let result = Validator::new(schema.cedar.clone()).validate(&set, ValidationMode::Strict);
    let said = result.validation_errors();
    problems.extend(
        said.map(|error| source.said(Some(error.policy_id().as_ref()), offset(error.policy_id()), error)),
    );
    if !problems.is_empty() {
        problems.sort_by_key(|problem| (problem.line, problem.column));
        return Err(Problems(problems));
    }
    let odd = result.validation_warnings();
    let odd = odd
        .map(|warning| source.said(Some(warning.policy_id().as_ref()), offset(warning.policy_id()), warning));
    let mut warnings: Vec<Problem> = odd.collect();
    if !placed.iter().any(|placed| placed.policy.effect() == Effect::Permit) {
        warnings.push(source.problem(0, None, "no rule permits anything, so that everything is denied"));
    }
    warnings.extend(shadow::warnings(source, schema, &placed));
    let known = placed.into_iter().map(|placed| (placed.policy.id().clone(), placed.rule)).collect();
    Ok(Rules { set, known, warnings, depth })
}

/// The rules in the order of the file, each under its `@id`.
fn place(
    source: Source<'_>,
    parsed: &PolicySet,
    schema: &Schema,
    problems: &mut Vec<Problem>,
) -> Vec<Placed> {
    let number = |policy: &Policy| policy.id().to_string().trim_start_matches("policy").parse::<usize>().ok();
    let mut policies: Vec<&Policy> = parsed.policies().collect();
    policies.sort_by_key(|policy| number(policy));
    let mut from = 0;
    let mut placed: Vec<Placed> = Vec::new();
    for policy in policies {
        let text = policy.to_cedar().unwrap_or_default();
        let offset = find(source.text, &text, from);
        from = offset + text.len();
        let name = policy.annotation("id").map_or_else(|| policy.id().to_string(), ToOwned::to_owned);
        let mut report = |message: String| problems.push(source.problem(offset, Some(&name), message));
        if name.is_empty() {
            report("'@id' is empty".to_owned());
        }
        if let Some(first) = placed.iter().find(|placed| placed.rule.name == name) {
            report(format!("line {} has a rule of this name already", first.rule.line));
            continue;
        }
        let approval = approval(policy).unwrap_or_else(|message| {
            report(message);
            None
        });
        match policy.to_json() {
            Ok(rule) => {
                for attribute in asked_for(&rule).difference(&schema.names) {
                    report(format!("'has {attribute}' is never true: nothing has an attribute of this name"));
                }
            }
            Err(error) => report(format!("it cannot be looked at: {error}")),
        }
        let rule = Rule {
            line: source.place(offset).0,
            description: policy.annotation("description").map(ToOwned::to_owned),
            approval,
            name,
        };
        placed.push(Placed { policy: policy.new_id(PolicyId::new(&rule.name)), offset, rule });
    }
    placed
}

/// The attributes that a rule asks for by `has`. Cedar takes any name there, and a `forbid` with a slip in it would never
/// forbid.
fn asked_for(rule: &Value) -> BTreeSet<String> {
    match rule {
        Value::Array(values) => values.iter().flat_map(asked_for).collect(),
        Value::Object(fields) => {
            let mut names: BTreeSet<String> = fields.values().flat_map(asked_for).collect();
            match fields.get("has").and_then(|has| has.get("attr")) {
                Some(Value::String(name)) => drop(names.insert(name.clone())),
                Some(Value::Array(path)) => {
                    names.extend(path.iter().filter_map(Value::as_str).map(ToOwned::to_owned));
                }
                _ => {}
            }
            names
        }
        _ => BTreeSet::new(),
    }
}

/// Where a rule begins: its text, from a place on, and not where it stands in a comment.
fn find(text: &str, rule: &str, from: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    let in_comment = |offset: usize| {
        let before = text.get(..offset).and_then(|before| before.rsplit('\n').next());
        before.is_some_and(|line| line.contains("//"))
    };
    let all: Vec<usize> = rest.match_indices(rule).map(|(place, _)| from + place).collect();
    all.iter().find(|place| !in_comment(**place)).or(all.first()).copied().unwrap_or(from)
}

/// What the annotations of a rule ask for.
fn approval(policy: &Policy) -> Result<Option<Approval>, String> {
    if let Some((stray, _)) = policy.annotations().find(|(name, _)| !ANNOTATIONS.contains(name)) {
        let known = ANNOTATIONS.map(|name| format!("@{name}")).join(", ");
        return Err(format!("'@{stray}' is not known; there is: {known}"));
    }
    let (approvers, expires) = (policy.annotation("approvers"), policy.annotation("expires_after"));
    let Some(reason) = policy.annotation("approval") else {
        return match (approvers, expires) {
            (None, None) => Ok(None),
            _ => {
                Err("'@approvers' and '@expires_after' say more of an '@approval', and there is none"
                    .to_owned())
            }
        };
    };
    if policy.effect() == Effect::Forbid {
        return Err("what is forbidden cannot be approved; put '@approval' on a permit".to_owned());
    }
    if reason.trim().is_empty() {
        return Err("'@approval' says why, to whoever decides; it is empty".to_owned());
    }
    let mut approval = Approval::new(reason);
    if let Some(approvers) = approvers {
        let names: Vec<&str> = approvers.split(',').map(str::trim).collect();
        if names.iter().any(|name| name.is_empty()) {
            return Err(format!(
                "'@approvers': '{approvers}' has an empty name; give names, with commas between"
            ));
        }
        approval = approval.by(names);
    }
    Ok(Some(match expires {
        Some(text) => {
            approval.within(duration::expiry(text).map_err(|wrong| format!("'@expires_after': {wrong}"))?)
        }
        None => approval,
    }))
}
