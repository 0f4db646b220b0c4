//! A policy on who asks.

use enact_core::policy::Request;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::builtin::{Builtin, Judged, Judging, Made, Params, Refusal, Rule, policies};
use crate::scope::Scope;

/// Only users with one of these roles. A user's roles are the attribute `role`, a text, and the attribute `roles`, a list
/// of texts; they are compared as they are. Without `connectors` or `actions` it is for runs as a whole; with them, for
/// those actions.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequireUserRole {
    /// The roles, of which one is enough.
    pub roles: Vec<String>,
    /// Only for runs of these workflows; for all, where none is named.
    #[serde(default)]
    pub workflows: Vec<String>,
}

policies!(RequireUserRole);

/// [`RequireUserRole`], one of these.
#[must_use]
pub fn require_user_role<S: Into<String>>(roles: impl IntoIterator<Item = S>) -> Builtin {
    RequireUserRole { roles: roles.into_iter().map(Into::into).collect(), workflows: Vec::new() }.into()
}

/// Whether a user has one of some roles.
pub(crate) fn has_role(attributes: &Map<String, Value>, roles: &[String]) -> Result<bool, Refusal> {
    let is_one = |role: &str| roles.iter().any(|own| own == role);
    let mut has = false;
    match attributes.get("role") {
        None => {}
        Some(Value::String(role)) => has |= is_one(role),
        Some(_) => return Err("the user's attribute 'role' is no text".into()),
    }
    match attributes.get("roles") {
        None => {}
        // A command line that gives one gives no list.
        Some(Value::String(role)) => has |= is_one(role),
        Some(Value::Array(roles)) => {
            for role in roles {
                has |= is_one(role.as_str().ok_or("the user's attribute 'roles' is no list of texts")?);
            }
        }
        Some(_) => return Err("the user's attribute 'roles' is no list of texts".into()),
    }
    Ok(has)
}

/// Refuses roles that nobody has.
pub(crate) fn check_roles(key: &str, roles: &[String]) -> Result<(), String> {
    match roles.iter().find(|role| role.trim().is_empty() || role.trim() != role.as_str()) {
        Some(wrong) => Err(format!("'{key}': '{wrong}' is empty, or begins or ends with a space")),
        None => Ok(()),
    }
}

#[derive(Debug)]
struct Roles {
    roles: Vec<String>,
    workflows: Vec<String>,
}

impl Roles {
    fn check(&self, request: &Request<'_>) -> Judged {
        let concerned =
            self.workflows.is_empty() || self.workflows.iter().any(|name| name == request.workflow);
        if !concerned || has_role(request.attributes, &self.roles)? {
            return Ok(());
        }
        Err(format!("user '{}' has none of the roles {}", request.user, self.roles.join(", ")).into())
    }
}

impl Rule for Roles {
    fn judge_run(&self, scope: &Scope, request: &Request<'_>) -> Judged {
        if scope.is_all() { self.check(request) } else { Ok(()) }
    }

    fn is_for_runs(&self, scope: &Scope) -> bool {
        scope.is_all()
    }

    fn judge(&self, _: &Scope, judging: &Judging<'_>) -> Judged {
        self.check(judging.request)
    }
}

impl Params for RequireUserRole {
    const NAME: &'static str = "require_user_role";

    fn rule(&self, _: &Scope) -> Made {
        if self.roles.is_empty() {
            return Err("'roles' is empty; name at least one".into());
        }
        check_roles("roles", &self.roles)?;
        check_roles("workflows", &self.workflows)?;
        Ok(Box::new(Roles { roles: self.roles.clone(), workflows: self.workflows.clone() }))
    }
}
