//! A workflow walked without carrying it out: each step is looked at as things are now.

use std::collections::BTreeSet;

use enact_core::error::{Error, ErrorRecord};
use enact_core::json::JsonText;
use enact_runtime::{Plan, PlannedAction};

use crate::declarative::{Declarative, payload};
use crate::parse::{Param, Step, When};
use crate::scope::{Outcome, Scope};
use crate::template::Template;

/// A step as it would be carried out.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PlannedStep {
    /// Its id.
    pub id: String,
    /// `CONNECTOR.ACTION`.
    pub action: String,
    /// What would come of it; `None`, where it would be skipped or its parameters cannot be made.
    pub planned: Option<PlannedAction>,
    /// What depends on what only a real run has: paths of parameters, and `when`. Such a parameter is `null` here, or
    /// stands for itself where it has the run's id in it.
    pub unknown: Vec<String>,
    /// Whether its `when` does not hold.
    pub skipped: bool,
    /// Why its parameters cannot be made.
    pub error: Option<ErrorRecord>,
}

/// What a plan knows of the values that expressions ask for.
struct Known<'a> {
    scope: &'a Scope,
    /// Steps whose output only a real run has.
    unknown: &'a BTreeSet<String>,
}

impl Declarative {
    /// Looks at every step, in the order in which they would be carried out. What an earlier step would change is not
    /// there yet when a later one is looked at.
    ///
    /// # Errors
    /// Where the input is no payload, or a step asks for what no connector can do.
    pub async fn plan(&self, plan: &mut Plan) -> Result<Vec<PlannedStep>, Error> {
        let (input, attributes) = (payload(plan.input())?, plan.attributes().exact());
        let mut scope = Scope::new(input, plan.user(), &attributes, &plan.run_id().to_string());
        let mut unknown = BTreeSet::new();
        let mut steps = Vec::with_capacity(self.steps().len());
        for step in self.steps() {
            let planned = plan_step(step, plan, &Known { scope: &scope, unknown: &unknown }).await?;
            let output = planned.planned.as_ref().and_then(|action| action.output.clone());
            let outcome = match output {
                Some(output) => Outcome::Done(output),
                None if planned.skipped => Outcome::Skipped,
                None => {
                    unknown.insert(step.id.clone());
                    Outcome::Done(JsonText::null())
                }
            };
            scope.add(&step.id, &outcome);
            steps.push(planned);
        }
        Ok(steps)
    }
}

async fn plan_step(step: &Step, plan: &mut Plan, known: &Known<'_>) -> Result<PlannedStep, Error> {
    let mut planned = PlannedStep {
        id: step.id.clone(),
        action: format!("{}.{}", step.connector, step.action),
        planned: None,
        unknown: Vec::new(),
        skipped: false,
        error: None,
    };
    match known.holds(step.when.as_ref()) {
        Ok(Some(holds)) => planned.skipped = !holds,
        Ok(None) => planned.unknown.push("when".to_owned()),
        Err(error) => planned.error = Some(error.record()),
    }
    if planned.skipped || planned.error.is_some() {
        return Ok(planned);
    }
    let mut params = Params { known, unknown: Vec::new(), has_holes: false };
    let made = match params.made(&step.with, "") {
        Ok(made) => made,
        Err(error) => {
            planned.error = Some(error.record());
            return Ok(planned);
        }
    };
    let has_holes = params.has_holes;
    planned.unknown.append(&mut params.unknown);
    planned.planned = Some(match has_holes {
        true => plan.glance(&step.connector, &step.action, made)?,
        false => plan.look(&step.connector, &step.action, &made, step.tries).await?,
    });
    Ok(planned)
}

impl Known<'_> {
    /// Whether a step is carried out; `None`, where only a real run can tell.
    fn holds(&self, when: Option<&When>) -> Result<Option<bool>, Error> {
        match when {
            Some(When::Holds(template)) if self.is_unknown(template) => Ok(None),
            Some(when) => when.holds(&self.scope.view()).map(Some),
            None => Ok(Some(true)),
        }
    }

    /// Whether an expression asks for the output of a step that only a real run has.
    fn is_unknown(&self, template: &Template) -> bool {
        template.names().iter().any(|name| {
            let mut parts = name.split('.');
            match (parts.next(), parts.next(), parts.next()) {
                (Some("steps"), Some(id), what) => {
                    self.unknown.contains(id) && !matches!(what, Some("success" | "skipped"))
                }
                (Some("steps"), None, _) => !self.unknown.is_empty(),
                _ => false,
            }
        })
    }
}

/// The parameters of one step.
struct Params<'a> {
    known: &'a Known<'a>,
    /// Paths of what only a real run has.
    unknown: Vec<String>,
    /// Whether one of them has no value here.
    has_holes: bool,
}

impl Params<'_> {
    fn made(&mut self, param: &Param, path: &str) -> Result<JsonText, Error> {
        match param {
            Param::Fixed(value) => Ok(value.clone()),
            Param::Evaluated(template) if self.known.is_unknown(template) => {
                self.unknown.push(path.to_owned());
                self.has_holes = true;
                Ok(JsonText::null())
            }
            Param::Evaluated(template) => {
                if template.names().iter().any(|name| name == "run" || name.starts_with("run.")) {
                    self.unknown.push(path.to_owned());
                }
                template.evaluate(&self.known.scope.view())
            }
            Param::List(items) => {
                let items =
                    items.iter().enumerate().map(|(at, item)| self.made(item, &format!("{path}[{at}]")));
                JsonText::encode(&items.collect::<Result<Vec<_>, _>>()?)
            }
            Param::Object(entries) => {
                let entries = entries.iter().map(|(key, param)| {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    Ok((key, self.made(param, &path)?))
                });
                let entries: std::collections::BTreeMap<_, _> = entries.collect::<Result<_, Error>>()?;
                JsonText::encode(&entries)
            }
        }
    }
}
