//! A policy on what a person has to approve.

use std::time::Duration;

use enact_core::action::EffectClass;
use enact_core::policy::{APPROVAL_EXPIRES_AFTER, Approval, Request};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::builtin::{Builtin, Judged, Judging, Made, Params, Refusal, Rule, policies};
use crate::duration;
use crate::read::fact;
use crate::scope::Scope;
use crate::tables;
use crate::users::check_roles;

/// A person other than the run's user approves it first. All that is given has to hold: `connectors` and `actions`, the
/// effect, the number of rows. Or `runs` or `workflows`: then it is for runs as a whole, before their first action.
///
/// It asks at the gate of the parameters, once, where they tell enough; else at the gate of what capture found.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RequireApproval {
    /// Only actions with this effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
    /// Only changes of more rows than this, those of other tables included that foreign keys change too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows_above: Option<u64>,
    /// Each run as a whole.
    pub runs: bool,
    /// Each run of these workflows as a whole.
    pub workflows: Vec<String>,
    /// Who may approve; anybody but the run's user, where nobody is named.
    pub approvers: Vec<String>,
    /// How long they have: `30m`, `4h`, `2d`; at most 30 days, and 24 hours where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_after: Option<String>,
}

/// What an action does, as a condition.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It cannot be undone: by its nature, by the connector's configuration, or by what capture found.
    Irreversible,
    /// It changes something.
    Write,
}

policies!(RequireApproval);

/// [`RequireApproval`] of actions: `connector.action`, where `*` stands for any.
#[must_use]
pub fn require_approval<S: AsRef<str>>(actions: impl IntoIterator<Item = S>) -> Builtin {
    Builtin::from(RequireApproval::default()).actions(actions)
}

#[derive(Debug)]
struct ApproveRun {
    workflows: Vec<String>,
    asks: Asks,
}

#[derive(Debug)]
struct ApproveAction {
    effect: Option<Effect>,
    rows_above: Option<u64>,
    asks: Asks,
}

/// What is asked of a person.
#[derive(Clone, Debug)]
struct Asks {
    approvers: Vec<String>,
    expires_after: Duration,
}

impl Asks {
    fn ask(&self, reason: String) -> Judged {
        Err(Refusal::Ask(Approval::new(reason).by(self.approvers.clone()).within(self.expires_after)))
    }
}

impl Rule for ApproveRun {
    fn judge_run(&self, _: &Scope, request: &Request<'_>) -> Judged {
        if self.workflows.is_empty() || self.workflows.iter().any(|name| name == request.workflow) {
            return self.asks.ask(format!("a run of '{}' needs approval", request.workflow));
        }
        Ok(())
    }
}

impl ApproveAction {
    /// Whether the effect is the wanted one, and whether only capture tells.
    fn effect(&self, judging: &Judging<'_>) -> Result<(bool, bool), Refusal> {
        let known = judging.action.effect;
        match (self.effect, known) {
            (None, _) => Ok((true, false)),
            (Some(Effect::Write), effect) => Ok((effect != EffectClass::ReadOnly, false)),
            (Some(Effect::Irreversible), EffectClass::Irreversible) => Ok((true, false)),
            (Some(Effect::Irreversible), EffectClass::ReadOnly) => Ok((false, false)),
            (Some(Effect::Irreversible), EffectClass::Reversible) => Ok((found_irreversible(judging)?, true)),
        }
    }

    /// Whether it touches as many rows.
    fn rows(&self, judging: &Judging<'_>) -> Result<Option<u64>, Refusal> {
        let (Some(above), Some(facts)) = (self.rows_above, judging.facts) else { return Ok(None) };
        Ok(Some(tables::rows_affected(facts)?).filter(|rows| *rows > above))
    }
}

/// Whether capture found that an action that can be undone by its nature cannot be here. Connectors to databases say it of
/// each change, others may.
fn found_irreversible(judging: &Judging<'_>) -> Result<bool, Refusal> {
    let Some(facts) = judging.facts else { return Ok(false) };
    let said = if tables::KINDS.contains(&judging.action.kind) && judging.is(tables::WRITES) {
        fact(facts, "irreversible")?
    } else {
        facts.get("irreversible").unwrap_or(&Value::Null)
    };
    match said {
        Value::Null | Value::Bool(false) => Ok(false),
        Value::Bool(true) | Value::String(_) => Ok(true),
        _ => Err("the fact 'irreversible' is neither a reason nor nothing, so it cannot be judged".into()),
    }
}

impl Rule for ApproveAction {
    fn judge(&self, _: &Scope, judging: &Judging<'_>) -> Judged {
        if self.rows_above.is_some()
            && !(tables::KINDS.contains(&judging.action.kind) && judging.is(tables::WRITES))
        {
            return Ok(());
        }
        let (is_wanted, only_captured) = self.effect(judging)?;
        // Where the parameters tell enough, it was asked for at their gate.
        let here = judging.facts.is_some() == (only_captured || self.rows_above.is_some());
        if !is_wanted || !here {
            return Ok(());
        }
        let name = format!("{}.{}", judging.action.connector, judging.action.action);
        match (self.rows_above, self.rows(judging)?) {
            (Some(_), None) => Ok(()),
            (Some(above), Some(rows)) => {
                self.asks.ask(format!("{name} changes {rows} rows, more than {above}, and needs approval"))
            }
            (None, _) if self.effect == Some(Effect::Irreversible) => {
                self.asks.ask(format!("{name} cannot be undone, and needs approval"))
            }
            (None, _) => self.asks.ask(format!("{name} needs approval")),
        }
    }
}

impl RequireApproval {
    fn asks(&self) -> Result<Asks, String> {
        check_roles("approvers", &self.approvers)?;
        let expires_after = match &self.expires_after {
            None => APPROVAL_EXPIRES_AFTER,
            Some(text) => duration::expiry(text).map_err(|wrong| format!("'expires_after': {wrong}"))?,
        };
        Ok(Asks { approvers: self.approvers.clone(), expires_after })
    }
}

impl Params for RequireApproval {
    const NAME: &'static str = "require_approval";

    fn rule(&self, scope: &Scope) -> Made {
        let asks = self.asks()?;
        let of_actions = !scope.is_all() || self.effect.is_some() || self.rows_above.is_some();
        match (self.runs || !self.workflows.is_empty(), of_actions) {
            (true, true) => Err(
                "'runs' and 'workflows' are for runs as a whole, and 'connectors', 'actions', 'effect' and \
                                 'rows_above' for single actions; make two policies of it"
                    .into(),
            ),
            (false, false) => Err(
                "nothing says what needs approval; give 'actions', 'connectors', 'effect', 'rows_above', \
                                   'runs' or 'workflows'"
                    .into(),
            ),
            (true, false) => {
                check_roles("workflows", &self.workflows)?;
                Ok(Box::new(ApproveRun { workflows: self.workflows.clone(), asks }))
            }
            (false, true) => {
                Ok(Box::new(ApproveAction { effect: self.effect, rows_above: self.rows_above, asks }))
            }
        }
    }
}
