//! Policies as configuration writes them: `[[policies]]` of `enact.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use enact_core::connector::Toolbox;
use enact_core::policy::Policy;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::builtin::{Builtin, Params};
use crate::scope::Pattern;
use crate::{
    BlockDms, BlockExtensions, CodeFreezeActive, DontDeleteBranch, DontDeleteFile, DontDeleteRow,
    DontMergeToMain, DontPushToMain, MaxActionsPerRun, MaxFilesPerCommit, MaxRowsAffected,
    NoSecretsInContent, ProtectTables, RateLimit, RequireApproval, RequireBranchPrefix,
    RequireChannelAllowlist, RequireUserRole, RestrictPaths, WithinMaintenanceWindow,
};

/// The longest `id`.
const MAX_ID: usize = 64;

/// Makes a policy of its own parameters.
type Make = fn(Map<String, Value>) -> Result<Builtin, String>;

/// All built-in policies.
const ALL: [(&str, Make); 20] = [
    entry::<BlockDms>(),
    entry::<BlockExtensions>(),
    entry::<CodeFreezeActive>(),
    entry::<DontDeleteBranch>(),
    entry::<DontDeleteFile>(),
    entry::<DontDeleteRow>(),
    entry::<DontMergeToMain>(),
    entry::<DontPushToMain>(),
    entry::<MaxActionsPerRun>(),
    entry::<MaxFilesPerCommit>(),
    entry::<MaxRowsAffected>(),
    entry::<NoSecretsInContent>(),
    entry::<ProtectTables>(),
    entry::<RateLimit>(),
    entry::<RequireApproval>(),
    entry::<RequireBranchPrefix>(),
    entry::<RequireChannelAllowlist>(),
    entry::<RequireUserRole>(),
    entry::<RestrictPaths>(),
    entry::<WithinMaintenanceWindow>(),
];

/// The names of all built-in policies, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|(name, _)| *name)
}

const fn entry<P: Params>() -> (&'static str, Make) {
    (P::NAME, make::<P>)
}

fn make<P: Params>(params: Map<String, Value>) -> Result<Builtin, String> {
    serde_path_to_error::deserialize::<_, P>(Value::Object(params))
        .map(|params| Builtin::new(&params))
        .map_err(|error| named(&error.path().to_string(), &error.inner().to_string()))
}

/// What serde says, with the key first.
fn named(path: &str, said: &str) -> String {
    let field = |before: &str| {
        let rest = said.strip_prefix(before)?;
        rest.split_once('`').map(|(field, rest)| (field, rest.trim_start_matches(", ")))
    };
    if let Some((field, _)) = field("missing field `") {
        let at = if path == "." { String::new() } else { format!(" in '{path}'") };
        return format!("'{field}' is missing{at}");
    }
    if let Some((field, rest)) = field("unknown field `") {
        return format!(
            "'{field}' is not one of its keys ({rest}; and each policy takes id, connectors and actions)"
        );
    }
    if path == "." { said.to_owned() } else { format!("'{path}': {said}") }
}

/// The connectors that there are, so that a policy that is narrowed to one that is not there is refused: it would never say
/// no.
#[derive(Clone, Default, Debug)]
pub struct Connectors(BTreeMap<String, (String, BTreeSet<String>)>);

impl Connectors {
    /// Adds a connector: its name, its kind, and the names of the actions that the kind has.
    #[must_use]
    pub fn with(mut self, name: &str, kind: &str, actions: &[&str]) -> Self {
        let actions = actions.iter().map(|action| (*action).to_owned()).collect();
        self.0.insert(name.to_owned(), (kind.to_owned(), actions));
        self
    }

    /// Refuses what a policy is narrowed to and is not there.
    fn check(&self, policy: &Builtin) -> Result<(), String> {
        let Some(scope) = policy.scope() else { return Ok(()) };
        for name in scope.connectors() {
            self.check_connector("connectors", name, policy)?;
        }
        scope.patterns().iter().try_for_each(|pattern| self.check_pattern(pattern, policy))
    }

    fn check_connector(&self, key: &str, name: &str, policy: &Builtin) -> Result<(), String> {
        let Some((kind, _)) = self.0.get(name) else {
            let known: Vec<&str> = self.0.keys().map(String::as_str).collect();
            return Err(format!("'{key}': there is no connector '{name}'; there are: {}", known.join(", ")));
        };
        let kinds = policy.kinds();
        if kinds.is_empty() || kinds.contains(&kind.as_str()) {
            return Ok(());
        }
        Err(format!(
            "'{key}': '{name}' is of the kind {kind}, and this policy is for {}",
            kinds.join(" and ")
        ))
    }

    fn check_pattern(&self, pattern: &Pattern, policy: &Builtin) -> Result<(), String> {
        if let Some(name) = &pattern.connector {
            self.check_connector("actions", name, policy)?;
        }
        let Some(action) = &pattern.action else { return Ok(()) };
        let mut connectors =
            self.0.iter().filter(|(name, _)| pattern.connector.as_ref().is_none_or(|named| named == *name));
        if connectors.any(|(_, (_, actions))| actions.contains(action)) {
            return Ok(());
        }
        Err(format!("'actions': no connector has an action for '{pattern}'"))
    }
}

impl<'a> FromIterator<(&'a str, &'a Toolbox)> for Connectors {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a Toolbox)>>(toolboxes: I) -> Self {
        toolboxes.into_iter().fold(Self::default(), |connectors, (name, toolbox)| {
            let actions: Vec<&str> = toolbox.actions().map(|(spec, _)| spec.name).collect();
            connectors.with(name, toolbox.kind(), &actions)
        })
    }
}

/// What is wrong with an entry.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct EntryProblem {
    /// The entry's number, from 1.
    pub entry: usize,
    /// The name of its policy, where it says one.
    pub policy: Option<String>,
    /// What is wrong; it names the key.
    pub message: String,
}

impl fmt::Display for EntryProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[[policies]] number {}", self.entry)?;
        if let Some(policy) = &self.policy {
            write!(f, ", '{policy}'")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// What is wrong with entries, one line for each.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EntriesError {
    /// At least one.
    pub problems: Vec<EntryProblem>,
}

impl fmt::Display for EntriesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, problem) in self.problems.iter().enumerate() {
            write!(f, "{}{problem}", if place == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for EntriesError {}

/// Makes policies of the entries of `[[policies]]`, in their order. An entry is an object with the policy's `name`, its own
/// parameters, and where wanted `id`, `connectors` and `actions`.
///
/// ```
/// use enact_policy::{Connectors, from_entries};
/// use serde_json::json;
///
/// let connectors = Connectors::default().with("github", "github", &["create_branch", "push_commit"]);
/// let policies = from_entries([json!({ "name": "require_branch_prefix", "prefix": "agent/" })], &connectors);
/// assert_eq!(policies.unwrap().len(), 1);
///
/// let wrong = from_entries([json!({ "name": "require_branch_prefix" })], &connectors).unwrap_err();
/// assert_eq!(wrong.to_string(), "[[policies]] number 1, 'require_branch_prefix': 'prefix' is missing");
/// ```
///
/// # Errors
/// All that is wrong with any of them.
pub fn from_entries(
    entries: impl IntoIterator<Item = Value>,
    connectors: &Connectors,
) -> Result<Vec<Arc<dyn Policy>>, EntriesError> {
    let (mut policies, mut problems): (Vec<Arc<dyn Policy>>, Vec<_>) = (Vec::new(), Vec::new());
    let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
    for (number, entry) in entries.into_iter().enumerate().map(|(at, entry)| (at + 1, entry)) {
        let policy = entry.get("name").and_then(Value::as_str).map(str::to_owned);
        let problem = |message| EntryProblem { entry: number, policy, message };
        match from_entry(entry, connectors) {
            Err(wrong) => problems.push(problem(wrong)),
            Ok(policy) => match numbers.insert(Policy::name(&policy).to_owned(), number) {
                None => policies.push(Arc::new(policy)),
                Some(earlier) => problems.push(problem(format!(
                    "number {earlier} is recorded under the same name; give one of them an 'id' of its own"
                ))),
            },
        }
    }
    if problems.is_empty() { Ok(policies) } else { Err(EntriesError { problems }) }
}

fn from_entry(entry: Value, connectors: &Connectors) -> Result<Builtin, String> {
    let Value::Object(mut entry) = entry else { return Err("it is no table".into()) };
    let name = match entry.remove("name") {
        Some(Value::String(name)) => name,
        Some(_) => return Err("'name' is no text".into()),
        None => return Err("'name' is missing".into()),
    };
    let Some((_, make)) = ALL.iter().find(|(known, _)| *known == name) else {
        return Err(format!(
            "there is no such policy; there are: {}",
            names().collect::<Vec<_>>().join(", ")
        ));
    };
    let id = taken::<String>(&mut entry, "id")?;
    let on = taken::<Vec<String>>(&mut entry, "connectors")?;
    let actions = taken::<Vec<String>>(&mut entry, "actions")?;
    let mut policy = make(entry)?;
    if let Some(on) = on {
        policy = policy.on(on);
    }
    if let Some(actions) = actions {
        policy = policy.actions(actions);
    }
    if let Some(id) = id {
        check_id(&id)?;
        policy = policy.id(&id);
    }
    policy.check()?;
    connectors.check(&policy)?;
    Ok(policy)
}

/// Takes one of the keys that every policy has.
fn taken<T: serde::de::DeserializeOwned>(
    entry: &mut Map<String, Value>,
    key: &str,
) -> Result<Option<T>, String> {
    entry
        .remove(key)
        .map(|value| serde_json::from_value(value).map_err(|error| format!("'{key}': {error}")))
        .transpose()
}

fn check_id(id: &str) -> Result<(), String> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if id.is_empty() || id.len() > MAX_ID || !id.bytes().all(good) {
        return Err(format!("'id': '{id}' is none: 1 to {MAX_ID} letters, digits, '-', '_' and '.'"));
    }
    Ok(())
}
