//! A request that owns all that it is made of: for tests of policies, and for whoever judges outside of a run.

use std::collections::BTreeMap;
use std::sync::Arc;

use enact_core::action::{EffectClass, Facts, Target};
use enact_core::event::ActionCall;
use enact_core::ids::{CallPath, RunId, Seq};
use enact_core::json::JsonText;
use enact_core::policy::{ActionRequest, Counted, Policy, Recent, Request, Stage, Verdict};
use enact_core::run::{ActionEnd, ActionState, is_same_person};
use enact_core::time::Timestamp;
use serde_json::{Map, Value};

/// One request to be judged, with everything that a policy may ask for.
///
/// Without an action it is the gate of the run; with one, that of its parameters; with facts, that of what capture found.
#[derive(Clone, Debug)]
pub struct Case {
    user: String,
    workflow: String,
    attributes: Map<String, Value>,
    payload: Value,
    now: Timestamp,
    action: Option<Asked>,
    facts: Option<Facts>,
    past: BTreeMap<Seq, ActionState>,
    recent: Admitted,
}

#[derive(Clone, Debug)]
struct Asked {
    connector: String,
    kind: String,
    action: String,
    params: Value,
    target: Target,
    effect: EffectClass,
}

/// What was admitted lately.
#[derive(Clone, Default, Debug)]
struct Admitted(Vec<(Timestamp, String, String, String)>);

impl Recent for Admitted {
    fn count(&self, of: &Counted<'_>, since: Timestamp) -> u64 {
        let is = |wanted: Option<&str>, found: &str| wanted.is_none_or(|wanted| wanted == found);
        let counts = self.0.iter().filter(|(at, user, connector, action)| {
            *at >= since
                && of.user.is_none_or(|wanted| is_same_person(wanted, user))
                && is(of.connector, connector)
                && is(of.action, action)
        });
        counts.count() as u64
    }
}

impl Case {
    /// A run of a workflow, as `agent@example.com` asks for it.
    #[must_use]
    pub fn run(workflow: &str) -> Self {
        Self {
            user: "agent@example.com".into(),
            workflow: workflow.into(),
            attributes: Map::new(),
            payload: Value::Null,
            now: Timestamp::from_unix_us(0),
            action: None,
            facts: None,
            past: BTreeMap::new(),
            recent: Admitted::default(),
        }
    }

    /// An action of a connector whose name is that of its kind.
    #[must_use]
    pub fn action(kind: &str, action: &str, params: Value) -> Self {
        let asked = Asked {
            connector: kind.into(),
            kind: kind.into(),
            action: action.into(),
            params,
            target: Target::new("unknown", ""),
            effect: EffectClass::Reversible,
        };
        Self { action: Some(asked), ..Self::run("case") }
    }

    /// The connector's name, where it is not that of its kind.
    #[must_use]
    pub fn connector(mut self, name: &str) -> Self {
        if let Some(asked) = &mut self.action {
            asked.connector = name.into();
        }
        self
    }

    /// What the action touches.
    #[must_use]
    pub fn target(mut self, target: Target) -> Self {
        if let Some(asked) = &mut self.action {
            asked.target = target;
        }
        self
    }

    /// What the action does to the world; reversible, where it is not said.
    #[must_use]
    pub fn effect(mut self, effect: EffectClass) -> Self {
        if let Some(asked) = &mut self.action {
            asked.effect = effect;
        }
        self
    }

    /// What capture found: the case stands at the gate after it.
    #[must_use]
    pub fn facts(mut self, facts: Facts) -> Self {
        self.facts = Some(facts);
        self
    }

    /// Who asks for the run.
    #[must_use]
    pub fn user(mut self, user: &str) -> Self {
        self.user = user.into();
        self
    }

    /// Something that is said of the user.
    #[must_use]
    pub fn attribute(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.attributes.insert(name.into(), value.into());
        self
    }

    /// The workflow's name; `case` for an action, where it is not said.
    #[must_use]
    pub fn workflow(mut self, name: &str) -> Self {
        self.workflow = name.into();
        self
    }

    /// The run's input.
    #[must_use]
    pub fn payload(mut self, payload: Value) -> Self {
        self.payload = payload;
        self
    }

    /// The time of the judgement; 1970, where it is not said.
    #[must_use]
    pub fn at(mut self, now: Timestamp) -> Self {
        self.now = now;
        self
    }

    /// An action that the run did before.
    #[must_use]
    pub fn after(mut self, connector: &str, action: &str, params: &Value) -> Self {
        let seq = Seq(self.past.len() as u64 + 1);
        let call = ActionCall {
            seq,
            path: CallPath::root(u32::try_from(seq.0).unwrap_or(u32::MAX)),
            connector: connector.into(),
            action: action.into(),
            version: 1,
            effect: EffectClass::Reversible,
            params: JsonText::encode(params).unwrap_or_default(),
            target: None,
        };
        let end = Some(ActionEnd::Done(JsonText::null()));
        let done = ActionState { call: Arc::new(call), verdicts: Vec::new(), attempts: Vec::new(), end };
        self.past.insert(seq, done);
        self
    }

    /// An action that was admitted lately, in any run.
    #[must_use]
    pub fn admitted(mut self, at: Timestamp, user: &str, connector: &str, action: &str) -> Self {
        self.recent.0.push((at, user.into(), connector.into(), action.into()));
        self
    }

    /// What a policy says of it.
    pub fn judge(&self, policy: &dyn Policy) -> Verdict {
        let action = self.action.as_ref().map(|asked| ActionRequest {
            seq: Seq(self.past.len() as u64 + 1),
            connector: &asked.connector,
            kind: &asked.kind,
            action: &asked.action,
            params: &asked.params,
            target: &asked.target,
            effect: asked.effect,
        });
        let stage = match (action, &self.facts) {
            (None, _) => Stage::Run,
            (Some(action), None) => Stage::Action(action),
            (Some(action), Some(facts)) => Stage::Captured(action, facts),
        };
        policy.judge(&Request {
            run: RunId::from_parts(self.now.unix_ms(), [0; 10]),
            workflow: &self.workflow,
            user: &self.user,
            attributes: &self.attributes,
            payload: &self.payload,
            now: self.now,
            actions: &self.past,
            recent: &self.recent,
            stage,
        })
    }
}
