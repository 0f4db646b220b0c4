//! A request as Cedar takes it: four words and three entities.

use std::collections::BTreeSet;

use cedar_policy::{Context, Entities, Entity, Request as CedarRequest, RestrictedExpression};
use enact_core::action::{Facts, Target};
use enact_core::policy::{ActionRequest, Request};
use enact_core::run::{ActionEnd, ActionState};
use enact_core::time::Timestamp;
use serde_json::Value;

use super::schema::{Known, Schema, Types};
use super::shape::{Shape, record, text};

type Pairs = Vec<(String, RestrictedExpression)>;

impl Schema {
    /// The request, checked against the schema.
    pub(super) fn request(&self, request: &Request<'_>) -> Result<(CedarRequest, Entities), String> {
        let mut context = vec![
            ("now".to_owned(), RestrictedExpression::new_datetime(datetime(request.now)?)),
            ("run".to_owned(), run(request)?),
        ];
        let (action, resource) = match request.action() {
            None => (self.run.clone(), self.workflow(request.workflow)?),
            Some(action) => {
                let known = self.known(action)?;
                context.extend(known.context_of(action, request)?);
                (known.entity.clone(), self.target(action.target)?)
            }
        };
        let user = self.user(request)?;
        let uids = (user.uid(), action.uid(), resource.uid());
        let context = Context::from_pairs(context).map_err(|error| error.to_string())?;
        let request = CedarRequest::new(uids.0, uids.1, uids.2, context, Some(&self.cedar));
        let request = request.map_err(|error| error.to_string())?;
        let entities = Entities::from_entities([user, action, resource], None);
        Ok((request, entities.map_err(|error| error.to_string())?))
    }

    /// The action, which has to be as it was when the rules were checked.
    fn known(&self, action: &ActionRequest<'_>) -> Result<&Known, String> {
        let id = format!("{}.{}", action.connector, action.action);
        let known = self.actions.get(&id).ok_or_else(|| format!("the schema knows no action '{id}'"))?;
        if (known.kind, known.effect) == (action.kind, action.effect) {
            return Ok(known);
        }
        Err(format!(
            "'{id}' is {} of the kind '{}', and was {} of the kind '{}' when the rules were read",
            action.effect, action.kind, known.effect, known.kind
        ))
    }

    fn user(&self, request: &Request<'_>) -> Result<Entity, String> {
        let mut attributes = vec![("id".to_owned(), text(request.user))];
        for (name, kind) in &self.attributes {
            if let Some(value) = request.attributes.get(name).filter(|value| !value.is_null()) {
                attributes.push((name.clone(), kind.put(value, &format!("the user's attribute {name}"))?));
            }
        }
        entity(Entity::new_with_tags(Types::of(&self.types.user, request.user), attributes, [], []))
    }

    fn workflow(&self, name: &str) -> Result<Entity, String> {
        let attributes = [("name".to_owned(), text(name))];
        entity(Entity::new_with_tags(Types::of(&self.types.workflow, name), attributes, [], []))
    }

    fn target(&self, target: &Target) -> Result<Entity, String> {
        let attributes = [("kind".to_owned(), text(&target.kind)), ("id".to_owned(), text(&target.id))];
        let tags = target.attributes.iter().map(|(name, value)| (name.clone(), text(value)));
        entity(Entity::new_with_tags(
            Types::of(&self.types.target, &target.to_string()),
            attributes,
            [],
            tags,
        ))
    }
}

fn entity<E: ToString>(made: Result<Entity, E>) -> Result<Entity, String> {
    made.map_err(|error| error.to_string())
}

impl Known {
    fn context_of(&self, action: &ActionRequest<'_>, request: &Request<'_>) -> Result<Pairs, String> {
        let mut context = vec![
            ("connector".to_owned(), text(action.connector)),
            ("kind".to_owned(), text(action.kind)),
            ("effect".to_owned(), text(&action.effect.to_string())),
            ("params".to_owned(), self.params.put(action.params, "params")?),
        ];
        if let Some(facts) = request.facts() {
            context.push(("facts".to_owned(), self.facts.put(&self.declared(facts), "facts")?));
        }
        Ok(context)
    }
}

impl Known {
    /// The facts that the action names; the schema has no place for others.
    fn declared(&self, facts: &Facts) -> Value {
        let Shape::Record(declared) = &self.facts else { return Value::Null };
        let named = facts.iter().filter(|(name, _)| declared.contains_key(*name));
        Value::Object(named.map(|(name, value)| (name.clone(), value.clone())).collect())
    }
}

fn run(request: &Request<'_>) -> Result<RestrictedExpression, String> {
    let succeeded: BTreeSet<String> = request.past().filter_map(succeeded).collect();
    record([
        ("id".to_owned(), text(&request.run.to_string())),
        ("workflow".to_owned(), text(request.workflow)),
        ("payload".to_owned(), text(&request.payload.to_string())),
        (
            "actions".to_owned(),
            RestrictedExpression::new_long(i64::try_from(request.past().count()).unwrap_or(i64::MAX)),
        ),
        (
            "succeeded".to_owned(),
            RestrictedExpression::new_set(succeeded.into_iter().map(RestrictedExpression::new_string)),
        ),
    ])
}

/// The name of an action that gave what was asked for.
fn succeeded(action: &ActionState) -> Option<String> {
    let gave =
        matches!(action.end, Some(ActionEnd::Read(_) | ActionEnd::AlreadyDone(_) | ActionEnd::Done(_)));
    gave.then(|| format!("{}.{}", action.call.connector, action.call.action))
}

/// The time as Cedar reads it: RFC 3339 in UTC, to the millisecond.
fn datetime(at: Timestamp) -> Result<String, String> {
    let text = Timestamp::from_unix_us(at.unix_ms().saturating_mul(1000)).to_string();
    match text.strip_suffix("000Z") {
        Some(text) if text.len() == "1970-01-01T00:00:00.000".len() => Ok(format!("{text}Z")),
        _ => Err(format!("'now' is {text}, which Cedar does not read")),
    }
}
