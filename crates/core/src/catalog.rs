//! What actions there are, without a connector that carries them out: how their parameters look, and what policies judge.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::action::{Action, EffectClass, Target};
use crate::connector::{ActionSet, ActionSpec, Connector};
use crate::error::{Error, ErrorCode};
use crate::json::JsonText;

/// The actions of a connector that can be asked for, allowed or not.
///
/// It is there without secrets and without the outside system, so that policies can be checked and tested anywhere. It knows
/// nothing of allowlists.
#[derive(Clone, Debug)]
pub struct Catalog {
    kind: &'static str,
    actions: BTreeMap<&'static str, Listed>,
}

/// One action of a catalog.
#[derive(Clone, Copy)]
pub(crate) struct Listed {
    spec: ActionSpec,
    generate: fn(SchemaSettings) -> Value,
    read: fn(&JsonText) -> Result<(JsonText, Target), Error>,
}

/// An action as policies judge it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Judged {
    /// Its exact parameters, as the log keeps them.
    pub params: JsonText,
    /// What it touches.
    pub target: Target,
    /// What it does to the world.
    pub effect: EffectClass,
}

impl Catalog {
    /// The actions of a kind. What a configuration may say of their effects is not known here: they are as
    /// [`Action::EFFECT`] says. [`Toolbox::catalog`](crate::connector::Toolbox::catalog) knows it.
    #[must_use]
    pub fn of<C: Connector>() -> Self {
        let mut set = ActionSet::<C>::default();
        C::actions(&mut set);
        Self { kind: C::KIND, actions: set.listed().collect() }
    }

    /// The same actions, with the effects that they have in a configured connector.
    pub(crate) fn with(mut self, specs: impl IntoIterator<Item = ActionSpec>) -> Self {
        for spec in specs {
            if let Some(listed) = self.actions.get_mut(spec.name) {
                listed.spec = spec;
            }
        }
        self
    }

    /// The kind's name.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// The actions, by name.
    pub fn actions(&self) -> impl Iterator<Item = ActionSpec> + '_ {
        self.actions.values().map(|listed| listed.spec)
    }

    /// The JSON schema (2020-12) of the parameters that an action takes; `None` where the kind has no such action. It
    /// refuses nothing that the action takes, and much of what it refuses.
    #[must_use]
    pub fn schema(&self, action: &str) -> Option<Value> {
        self.actions.get(action).map(|listed| (listed.generate)(settings()))
    }

    /// The JSON schema of an action's parameters as the log keeps them and policies judge them: in one spelling, and with
    /// what they are by default.
    #[must_use]
    pub fn recorded_schema(&self, action: &str) -> Option<Value> {
        self.actions.get(action).map(|listed| (listed.generate)(settings().for_serialize()))
    }

    /// Reads parameters as the named action, and says what policies judge.
    ///
    /// # Errors
    /// As [`Toolbox::prepare`](crate::connector::Toolbox::prepare).
    pub fn judged(&self, action: &str, params: &JsonText) -> Result<Judged, Error> {
        let Listed { spec, read, .. } = self.actions.get(action).ok_or_else(|| unknown(self.kind, action))?;
        params.check_parameters().map_err(|error| error.context(spec.name))?;
        let (params, target) = read(params)?;
        Ok(Judged { params, target, effect: spec.effect })
    }
}

/// The error about an action that a kind does not have.
pub(crate) fn unknown(kind: &str, action: &str) -> Error {
    Error::new(ErrorCode::Unsupported, format!("kind '{kind}' has no action '{action}'")).left_nothing()
}

impl Listed {
    pub(crate) fn new<A: Action + JsonSchema>() -> Self {
        Self {
            spec: ActionSpec::of::<A>(A::EFFECT),
            generate: |settings| settings.into_generator().into_root_schema_for::<A>().to_value(),
            read: |params| {
                let action: A = params.decode().map_err(|error| error.context(A::NAME).left_nothing())?;
                Ok((JsonText::encode(&action)?, action.target()))
            },
        }
    }
}

impl Debug for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spec.fmt(f)
    }
}

/// Everything in one place, so that whoever reads it follows no references. Parameters are trees.
fn settings() -> SchemaSettings {
    SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true)
}
