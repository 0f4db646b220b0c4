//! What all built-in policies have in common: a name, what they are narrowed to, and that what cannot be judged is
//! refused.

use std::fmt::Debug;
use std::time::Duration;

use enact_core::action::{EffectClass, Facts};
use enact_core::policy::{ActionRequest, Approval, Policy, Request, Stage, Verdict};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::scope::Scope;

/// The parameters of a built-in policy, under the keys that they have in `enact.toml`.
pub(crate) trait Params: Serialize + DeserializeOwned {
    /// The policy's name.
    const NAME: &'static str;
    /// The kinds of connectors whose actions it judges; empty: all kinds.
    const KINDS: &'static [&'static str] = &[];

    /// All that judging takes, worked out once. Nonsense is refused here, in words that name the key.
    fn rule(&self, scope: &Scope) -> Made;
}

/// What a policy goes by, or what is wrong with its parameters.
pub(crate) type Made = Result<Box<dyn Rule>, String>;

/// What a built-in policy goes by, worked out.
pub(crate) trait Rule: Debug + Send + Sync {
    /// Judges a run as a whole.
    fn judge_run(&self, _: &Scope, _: &Request<'_>) -> Judged {
        Ok(())
    }

    /// Judges an action that it concerns, of a connector that the policy is for.
    fn judge(&self, _: &Scope, _: &Judging<'_>) -> Judged {
        Ok(())
    }

    /// Whether it is about runs as a whole.
    fn is_for_runs(&self, _: &Scope) -> bool {
        false
    }

    /// Whether it may have something against an action of a connector that the policy is for; the effect, where it is known.
    fn concerns(&self, _kind: &str, _action: &str, _effect: Option<EffectClass>) -> bool {
        true
    }

    /// How far back it asks what was admitted.
    fn looks_back(&self) -> Duration {
        Duration::ZERO
    }
}

/// An action under judgement.
#[derive(Clone, Copy)]
pub(crate) struct Judging<'a> {
    pub(crate) request: &'a Request<'a>,
    pub(crate) action: &'a ActionRequest<'a>,
    /// What capture found, at the gate after it.
    pub(crate) facts: Option<&'a Facts>,
}

/// Nothing against it, or a refusal.
pub(crate) type Judged = Result<(), Refusal>;

/// Why not, or not yet.
pub(crate) enum Refusal {
    No(String),
    Ask(Approval),
}

impl From<String> for Refusal {
    fn from(reason: String) -> Self {
        Self::No(reason)
    }
}

impl From<&str> for Refusal {
    fn from(reason: &str) -> Self {
        Self::No(reason.to_owned())
    }
}

/// A built-in policy.
///
/// It is made by the functions of this crate ([`require_branch_prefix`](crate::require_branch_prefix)), from parameters
/// ([`RequireBranchPrefix`](crate::RequireBranchPrefix)), or from configuration ([`from_entries`](crate::from_entries)).
///
/// One that was given nonsense, such as an empty prefix, says no to everything: see [`Builtin::check`].
#[derive(Debug)]
pub struct Builtin {
    name: &'static str,
    /// The name in verdicts, where that is another one.
    called: Option<String>,
    kinds: &'static [&'static str],
    /// As configuration has them.
    params: Value,
    scope: Result<Scope, String>,
    make: fn(&Value, &Scope) -> Made,
    rule: Made,
}

impl Builtin {
    pub(crate) fn new<P: Params>(params: &P) -> Self {
        Self {
            name: P::NAME,
            called: None,
            kinds: P::KINDS,
            params: serde_json::to_value(params).unwrap_or_default(),
            scope: Ok(Scope::default()),
            make: |params, scope| P::deserialize(params).map_err(|error| error.to_string())?.rule(scope),
            rule: params.rule(&Scope::default()),
        }
    }

    /// Only for the connectors of these names.
    #[must_use]
    pub fn on<S: Into<String>>(self, connectors: impl IntoIterator<Item = S>) -> Self {
        self.narrowed(|scope| scope.on(connectors.into_iter().map(Into::into).collect()))
    }

    /// Only for these actions: `connector.action`, where `*` stands for any connector or any action.
    #[must_use]
    pub fn actions<S: AsRef<str>>(self, actions: impl IntoIterator<Item = S>) -> Self {
        self.narrowed(|scope| scope.actions(actions))
    }

    fn narrowed(mut self, narrow: impl FnOnce(Scope) -> Result<Scope, String>) -> Self {
        self.scope = self.scope.and_then(narrow);
        self.rule = match &self.scope {
            Ok(scope) => (self.make)(&self.params, scope),
            Err(wrong) => Err(wrong.clone()),
        };
        self
    }

    /// Tells it from another of the same name: verdicts are recorded under `name/id`.
    #[must_use]
    pub fn id(mut self, id: &str) -> Self {
        self.called = Some(format!("{}/{id}", self.name));
        self
    }

    /// Whether what it was given makes sense.
    ///
    /// # Errors
    /// What is wrong, naming the parameter.
    pub fn check(&self) -> Result<(), String> {
        match &self.rule {
            Ok(_) => Ok(()),
            Err(wrong) => Err(wrong.clone()),
        }
    }

    pub(crate) fn kinds(&self) -> &'static [&'static str] {
        self.kinds
    }

    pub(crate) fn scope(&self) -> Option<&Scope> {
        self.scope.as_ref().ok()
    }

    /// Whether it is about runs as a whole.
    pub(crate) fn is_for_runs(&self) -> bool {
        matches!((&self.rule, &self.scope), (Ok(rule), Ok(scope)) if rule.is_for_runs(scope))
    }

    /// Whether it may have something against an action.
    pub(crate) fn concerns(
        &self,
        connector: &str,
        kind: &str,
        action: &str,
        effect: Option<EffectClass>,
    ) -> bool {
        let (Ok(rule), Ok(scope)) = (&self.rule, &self.scope) else { return false };
        (self.kinds.is_empty() || self.kinds.contains(&kind))
            && scope.has(connector, action)
            && rule.concerns(kind, action, effect)
    }

    /// The workflows that it is narrowed to.
    pub(crate) fn workflows(&self) -> impl Iterator<Item = &str> {
        self.params.get("workflows").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }

    fn judged(&self, request: &Request<'_>) -> Judged {
        let (rule, scope) = match (&self.rule, &self.scope) {
            (Ok(rule), Ok(scope)) => (rule, scope),
            (Err(wrong), _) | (_, Err(wrong)) => {
                return Err(format!("the policy is configured wrongly: {wrong}").into());
            }
        };
        let (action, facts) = match &request.stage {
            Stage::Run => return rule.judge_run(scope, request),
            Stage::Action(action) => (action, None),
            Stage::Captured(action, facts) => (action, Some(*facts)),
            _ => return Err("it stands at a gate that the policy does not know".into()),
        };
        if self.concerns(action.connector, action.kind, action.action, Some(action.effect)) {
            rule.judge(scope, &Judging { request, action, facts })
        } else {
            Ok(())
        }
    }
}

impl Policy for Builtin {
    fn name(&self) -> &str {
        self.called.as_deref().unwrap_or(self.name)
    }

    fn judge(&self, request: &Request<'_>) -> Verdict {
        match self.judged(request) {
            Ok(()) => Verdict::Pass,
            Err(Refusal::No(reason)) => Verdict::Deny(reason),
            Err(Refusal::Ask(approval)) => Verdict::NeedsApproval(approval),
        }
    }

    fn version(&self) -> String {
        json!({ "policy": Policy::name(self), "for": self.scope.as_ref().ok(), "with": self.params })
            .to_string()
    }

    fn looks_back(&self) -> Duration {
        self.rule.as_ref().map_or(Duration::ZERO, |rule| rule.looks_back())
    }
}

/// Makes policies of parameters.
macro_rules! policies {
    ($($params:ident),* $(,)?) => {$(
        impl From<$params> for $crate::Builtin {
            fn from(params: $params) -> Self {
                Self::new(&params)
            }
        }

        impl $params {
            /// The policy with these parameters.
            #[must_use]
            pub fn into_policy(self) -> $crate::Builtin {
                self.into()
            }
        }
    )*};
}

pub(crate) use policies;
