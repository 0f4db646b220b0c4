//! Declarative rules in [Cedar](https://www.cedarpolicy.com): who may do what, with which parameters.
//!
//! [`Schema`] is generated from the actions' own types, [`Cedar`] holds rules that were checked against it, and is a
//! [`Policy`]. docs/policies-cedar.md is the page for whoever writes rules; `shape.rs` says how values enter.
//!
//! # What it promises
//! - Default deny: what no rule permits is denied. A `forbid` wins over every `permit`.
//! - Whatever Cedar cannot evaluate denies. By itself Cedar skips a rule that errs, a `forbid` too.
//! - A request that does not fit the schema is denied, never judged in part.
//!
//! # What it does not know
//! Allowlists: what is permitted here may be refused there.

mod attribute;
mod depth;
mod problem;
mod request;
mod rules;
mod schema;
mod shadow;
mod shape;

use std::fmt::{self, Debug};
use std::sync::Arc;

use cedar_policy::{Authorizer, Decision, PolicyId, Response};
use enact_core::policy::{Approval, Policy, Request, Verdict};

pub use self::attribute::Attribute;
use self::problem::Source;
pub use self::problem::{Problem, Problems};
use self::rules::{Rule, Rules};
pub use self::schema::Schema;

/// Rules in Cedar, as one policy with the name `cedar`.
pub struct Cedar {
    text: Arc<str>,
    file: String,
    schema: Arc<Schema>,
    rules: Rules,
    authorizer: Authorizer,
}

impl Debug for Cedar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cedar({}, {} rules)", self.file, self.rules.known.len())
    }
}

impl Cedar {
    /// Reads rules and checks them against the schema. `file` is how messages name the text.
    ///
    /// # Errors
    /// All that is wrong with them, each with its place.
    pub fn new(text: impl Into<Arc<str>>, file: &str, schema: Arc<Schema>) -> Result<Self, Problems> {
        let text = text.into();
        let rules = rules::read(Source { file, text: &text }, &schema)?;
        Ok(Self { text, file: file.to_owned(), schema, rules, authorizer: Authorizer::new() })
    }

    /// What is odd about the rules: one that can never apply, an approval that is never asked for, names that look like others.
    #[must_use]
    pub fn warnings(&self) -> &[Problem] {
        &self.rules.warnings
    }

    /// How many rules there are.
    #[must_use]
    pub fn rules(&self) -> usize {
        self.rules.known.len()
    }

    fn verdict(&self, request: &Request<'_>, response: &Response) -> Verdict {
        let diagnostics = response.diagnostics();
        if let Some(error) = diagnostics.errors().next() {
            return Verdict::deny(format!(
                "a rule could not be evaluated, so that nothing is permitted: {error}"
            ));
        }
        let rules = self.named(diagnostics.reason());
        let names = rules.iter().map(|rule| self.shown(rule)).collect::<Vec<_>>().join(", ");
        match response.decision() {
            Decision::Deny if rules.is_empty() => {
                Verdict::deny(format!("no rule of {} permits {}", self.file, what(request)))
            }
            Decision::Deny => Verdict::deny(format!("forbidden by {names}")),
            Decision::Allow => {
                match rules.iter().map(|rule| rule.approval.as_ref()).collect::<Option<Vec<_>>>() {
                    Some(approvals) if !approvals.is_empty() => {
                        Verdict::NeedsApproval(joined(&approvals, &names))
                    }
                    _ => Verdict::Pass,
                }
            }
        }
    }

    /// The rules, in the order of the file.
    fn named<'a>(&self, ids: impl Iterator<Item = &'a PolicyId>) -> Vec<&Rule> {
        let mut rules: Vec<&Rule> = ids.filter_map(|id| self.rules.known.get(id)).collect();
        rules.sort_by_key(|rule| rule.line);
        rules
    }

    fn shown(&self, rule: &Rule) -> String {
        let description = rule.description.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
        format!("'{}' ({}, line {}){description}", rule.name, self.file, rule.line)
    }
}

/// What is asked for, for people.
fn what(request: &Request<'_>) -> String {
    match request.action() {
        Some(action) => format!("{}.{} on {}", action.connector, action.action, action.target),
        None => format!("a run of '{}'", request.workflow),
    }
}

/// One approval for several rules, each of which would permit it alone: by whoever may approve one of them, within the
/// shortest time.
fn joined(approvals: &[&Approval], names: &str) -> Approval {
    let reasons = approvals.iter().map(|approval| approval.reason.as_str()).collect::<Vec<_>>().join("; ");
    let mut joined = Approval::new(format!("{reasons} (by {names})"));
    if approvals.iter().all(|approval| !approval.approvers.is_empty()) {
        let mut approvers: Vec<&String> = approvals.iter().flat_map(|approval| &approval.approvers).collect();
        approvers.sort();
        approvers.dedup();
        joined = joined.by(approvers);
    }
    match approvals.iter().map(|approval| approval.expires_after).min() {
        Some(time) => joined.within(time),
        None => joined,
    }
}

impl Policy for Cedar {
    fn name(&self) -> &str {
        "cedar"
    }

    fn judge(&self, request: &Request<'_>) -> Verdict {
        match self.schema.request(request) {
            Ok((asked, entities)) => {
                let response = depth::judging(self.rules.depth, || {
                    self.authorizer.is_authorized(&asked, &self.rules.set, &entities)
                });
                self.verdict(request, &response)
            }
            Err(reason) => Verdict::deny(format!("it cannot be put to the rules of {}: {reason}", self.file)),
        }
    }

    fn version(&self) -> String {
        self.text.as_ref().to_owned()
    }
}
