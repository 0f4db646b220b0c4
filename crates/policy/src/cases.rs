//! Files of cases that policies are tested with, whatever the policies are: built-in ones, Cedar, a service's own.
//!
//! A case is judged as the runtime would judge it: parameters are read as the action reads them, and the connector says
//! what they touch. The allowlist is not asked; nothing outside is.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use enact_core::action::{FactKind, Facts};
use enact_core::catalog::Catalog;
use enact_core::error::{Error, ErrorCode};
use enact_core::json::JsonText;
use enact_core::policy::{Policy, Verdict};
use enact_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_saphyr::{Location, Spanned, UserMessageFormatter};

use crate::Case;

/// The longest text that is read, in bytes.
const MAX_BYTES: usize = 1024 * 1024;

/// Cases that were read.
#[derive(Debug)]
pub struct Cases {
    file: String,
    cases: Vec<(u64, Entry, Case)>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    cases: Vec<Spanned<Entry>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    attributes: Map<String, Value>,
    #[serde(default)]
    workflow: Option<String>,
    #[serde(default)]
    payload: Value,
    #[serde(default)]
    action: Option<String>,
    #[serde(default)]
    params: Option<Value>,
    #[serde(default)]
    facts: Option<Facts>,
    #[serde(default)]
    now: Option<Timestamp>,
    #[serde(default)]
    past: Vec<Past>,
    #[serde(default)]
    recent: Vec<Recent>,
    expect: Expected,
    #[serde(default)]
    policies: Vec<String>,
    #[serde(default)]
    reason: Option<String>,
}

/// An action that the run did before.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Past {
    action: String,
    #[serde(default = "no_params")]
    params: Value,
}

/// An action that was admitted lately, in any run.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recent {
    action: String,
    user: String,
    at: Timestamp,
}

fn no_params() -> Value {
    Value::Object(Map::new())
}

/// What all policies together say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    /// Nobody has anything against it.
    Allow,
    /// Somebody says no.
    Deny,
    /// Nobody says no, and somebody wants a person to approve it.
    NeedsApproval,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::NeedsApproval => "needs_approval",
        })
    }
}

/// What came of a case.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct CaseResult {
    /// Its name.
    pub name: String,
    /// The line where it begins, from 1.
    pub line: u64,
    /// Whether all is as the case says.
    pub passed: bool,
    /// What the case says.
    pub expected: Expected,
    /// What the policies say.
    pub found: Expected,
    /// What is not as the case says; empty where it passed.
    pub problem: String,
    /// Each policy's verdict.
    pub verdicts: Vec<Judgement>,
}

/// One policy's verdict on a case.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Judgement {
    /// The policy's name.
    pub policy: String,
    /// Its verdict.
    pub verdict: Expected,
    /// Why, where it does not simply pass.
    pub reason: String,
}

impl Cases {
    /// Reads cases. `file` is how messages name the text; connectors stand by their names in the configuration.
    ///
    /// # Errors
    /// `invalid_parameters` with the place: what is no YAML, a key that is not known; and of all cases, a user that is
    /// none, an action that there is none of, parameters that it does not take, facts that it does not find.
    pub fn read(text: &str, file: &str, catalogs: &BTreeMap<String, Catalog>) -> Result<Self, Error> {
        let wrong = |message: String| Error::new(ErrorCode::InvalidParameters, message).left_nothing();
        if text.len() > MAX_BYTES {
            return Err(wrong(format!("{file} has {} bytes; at most {MAX_BYTES} are read", text.len())));
        }
        let read: File = serde_saphyr::from_str_with_options(text, options()).map_err(|error| {
            let message = error.render_with_formatter(&UserMessageFormatter);
            let Some(at) = error.location() else { return wrong(format!("{file}: {message}")) };
            let message = message.trim_end_matches(&format!(" at {}", shown(at))).to_owned();
            wrong(format!("{file}, {}: {message}", shown(at)))
        })?;
        if read.cases.is_empty() {
            return Err(wrong(format!("{file} has no cases")));
        }
        let (mut cases, mut problems) = (Vec::with_capacity(read.cases.len()), Vec::new());
        for Spanned { value: entry, referenced, .. } in read.cases {
            match entry.case(catalogs) {
                Ok(case) => cases.push((referenced.line(), entry, case)),
                Err(error) => problems.push(format!(
                    "{file}, {}: case '{}': {}",
                    shown(referenced),
                    entry.name,
                    error.message()
                )),
            }
        }
        if problems.is_empty() {
            Ok(Self { file: file.to_owned(), cases })
        } else {
            Err(wrong(problems.join("; ")))
        }
    }

    /// Asks policies about each case. A policy that panics has said no.
    #[must_use]
    pub fn run(&self, policies: &[&dyn Policy]) -> Vec<CaseResult> {
        self.cases.iter().map(|(line, entry, case)| entry.result(*line, case, policies)).collect()
    }

    /// The file, as it was named.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }
}

impl Entry {
    fn case(&self, catalogs: &BTreeMap<String, Catalog>) -> Result<Case, Error> {
        if let Some(why) = self.user.as_deref().and_then(enact_core::person::refuses) {
            return Err(wrong(format!("'user': {why}")));
        }
        let mut case = match &self.action {
            None if self.params.is_some() || self.facts.is_some() => {
                return Err(wrong("'params' and 'facts' are of an 'action', and none is named"));
            }
            None => Case::run(self.workflow.as_deref().unwrap_or("case")),
            Some(name) => {
                let (catalog, connector, action) = find(catalogs, name)?;
                self.check_facts(catalog, action)?;
                let params = self.params.clone().unwrap_or_else(no_params);
                let judged = catalog.judged(action, &JsonText::encode(&params)?)?;
                Case::action(catalog.kind(), action, judged.params.value())
                    .connector(connector)
                    .target(judged.target)
                    .effect(judged.effect)
            }
        };
        for past in &self.past {
            let (_, connector, action) = find(catalogs, &past.action)?;
            case = case.after(connector, action, &past.params);
        }
        for recent in &self.recent {
            let (_, connector, action) = find(catalogs, &recent.action)?;
            case = case.admitted(recent.at, &recent.user, connector, action);
        }
        for (name, value) in &self.attributes {
            case = case.attribute(name, value.clone());
        }
        case = self.user.iter().fold(case, |case, user| case.user(user));
        case = self.workflow.iter().fold(case, |case, name| case.workflow(name));
        case = self.now.iter().fold(case, |case, now| case.at(*now));
        case = self.facts.iter().fold(case, |case, facts| case.facts(facts.clone()));
        Ok(case.payload(self.payload.clone()))
    }

    /// A rule on a fact that is never found would seem to hold for ever.
    fn check_facts(&self, catalog: &Catalog, action: &str) -> Result<(), Error> {
        let found = catalog.actions().find(|spec| spec.name == action).map_or(&[][..], |spec| spec.facts);
        for (name, value) in self.facts.iter().flatten() {
            let Some((_, kind)) = found.iter().find(|(found, _)| found == name) else {
                let known = found.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
                return Err(wrong(format!("'facts': '{action}' finds no '{name}'; it finds: {known}")));
            };
            if !kind.holds(value) {
                return Err(wrong(format!("'facts': '{name}' is {value}, and would be {}", of_kind(*kind))));
            }
        }
        Ok(())
    }

    fn result(&self, line: u64, case: &Case, policies: &[&dyn Policy]) -> CaseResult {
        let verdicts: Vec<Judgement> = policies.iter().map(|policy| judgement(case, *policy)).collect();
        let found = verdicts.iter().map(|judged| judged.verdict).fold(Expected::Allow, weightier);
        let problem = self.problem(found, &verdicts);
        CaseResult {
            name: self.name.clone(),
            line,
            passed: problem.is_empty(),
            expected: self.expect,
            found,
            problem,
            verdicts,
        }
    }

    /// What is not as the case says.
    fn problem(&self, found: Expected, verdicts: &[Judgement]) -> String {
        if found != self.expect {
            return format!("expected {}, found {found}", self.expect);
        }
        let decisive = |judged: &&Judgement| judged.verdict == found;
        let silent = |name: &&String| !verdicts.iter().filter(decisive).any(|judged| judged.policy == **name);
        if let Some(name) = self.policies.iter().find(silent) {
            let said = verdicts.iter().filter(decisive).map(|judged| judged.policy.as_str());
            let said = said.collect::<Vec<_>>().join(", ");
            return format!("expected {found} of '{name}', found it of: {said}");
        }
        match &self.reason {
            Some(part) if !verdicts.iter().filter(decisive).any(|judged| judged.reason.contains(part)) => {
                format!("no reason for {found} contains '{part}'")
            }
            _ => String::new(),
        }
    }
}

fn judgement(case: &Case, policy: &dyn Policy) -> Judgement {
    let said = catch_unwind(AssertUnwindSafe(|| case.judge(policy)));
    let (verdict, reason) = match said {
        Ok(Verdict::Pass) => (Expected::Allow, String::new()),
        Ok(Verdict::NeedsApproval(approval)) => (Expected::NeedsApproval, approval.reason),
        Ok(Verdict::Deny(reason)) => (Expected::Deny, reason),
        Ok(_) => (Expected::Deny, "the policy gave a verdict that is not known here".to_owned()),
        Err(_) => (Expected::Deny, "the policy panicked".to_owned()),
    };
    Judgement { policy: policy.name().to_owned(), verdict, reason }
}

fn weightier(one: Expected, other: Expected) -> Expected {
    match (one, other) {
        (Expected::Deny, _) | (_, Expected::Deny) => Expected::Deny,
        (Expected::NeedsApproval, _) | (_, Expected::NeedsApproval) => Expected::NeedsApproval,
        (Expected::Allow, Expected::Allow) => Expected::Allow,
    }
}

fn find<'a>(
    catalogs: &'a BTreeMap<String, Catalog>,
    name: &'a str,
) -> Result<(&'a Catalog, &'a str, &'a str), Error> {
    let Some((connector, action)) = name.split_once('.') else {
        return Err(wrong(format!("'{name}' is not CONNECTOR.ACTION")));
    };
    let catalog = catalogs.get(connector).ok_or_else(|| {
        let known = catalogs.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        wrong(format!("'{name}': there is no connector '{connector}'; there is: {known}"))
    })?;
    if !catalog.actions().any(|spec| spec.name == action) {
        return Err(wrong(format!("'{name}': the kind '{}' has no action '{action}'", catalog.kind())));
    }
    Ok((catalog, connector, action))
}

fn of_kind(kind: FactKind) -> &'static str {
    match kind {
        FactKind::Flag => "true or false",
        FactKind::Number => "a whole number",
        FactKind::Text => "a text",
        FactKind::Numbers => "a list of whole numbers",
        FactKind::Texts => "a list of texts",
        FactKind::Map => "an object",
    }
}

fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::InvalidParameters, message).left_nothing()
}

fn shown(at: Location) -> String {
    format!("line {}, column {}", at.line(), at.column())
}

/// YAML as workflows have it.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: 32, max_nodes: 100_000, max_merge_keys: 1_000, max_aliases: 1_000 },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 100_000 },
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}
