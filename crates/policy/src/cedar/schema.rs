//! Cedar's schema, generated from the actions' own types.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::{self, Debug};

use cedar_policy::{Entity, EntityId, EntityTypeName, EntityUid, SchemaFragment};
use enact_core::action::EffectClass;
use enact_core::catalog::Catalog;
use enact_core::error::{Error, ErrorCode};
use serde_json::{Map, Value, json};

use super::attribute::Attribute;
use super::shape::{Field, Shape};

/// The action that stands for a run as a whole, before its first action.
pub(super) const RUN: &str = "run";

/// What every kind of effect is called as a group of actions.
const EFFECTS: [EffectClass; 3] = [EffectClass::ReadOnly, EffectClass::Reversible, EffectClass::Irreversible];

/// What rules may speak of: who asks, which actions there are, how their parameters look.
#[derive(Clone)]
pub struct Schema {
    pub(super) cedar: cedar_policy::Schema,
    pub(super) types: Types,
    pub(super) run: Entity,
    pub(super) actions: BTreeMap<String, Known>,
    pub(super) attributes: BTreeMap<String, Attribute>,
    /// Every attribute that anything has.
    pub(super) names: BTreeSet<String>,
    text: String,
}

impl Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema").field("actions", &self.actions.keys()).finish_non_exhaustive()
    }
}

/// The types of entities.
#[derive(Clone, Debug)]
pub(super) struct Types {
    pub(super) user: EntityTypeName,
    pub(super) target: EntityTypeName,
    pub(super) workflow: EntityTypeName,
    pub(super) action: EntityTypeName,
}

impl Types {
    fn new() -> Result<Self, Error> {
        let name = |name: &str| name.parse().map_err(|error| wrong(&format!("'{name}': {error}")));
        Ok(Self {
            user: name("User")?,
            target: name("Target")?,
            workflow: name("Workflow")?,
            action: name("Action")?,
        })
    }

    pub(super) fn of(of: &EntityTypeName, id: &str) -> EntityUid {
        EntityUid::from_type_name_and_id(of.clone(), EntityId::new(id))
    }
}

/// An action that rules may speak of.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// With the groups that it is in.
    pub(super) entity: Entity,
    pub(super) kind: &'static str,
    pub(super) effect: EffectClass,
    pub(super) params: Shape,
    pub(super) facts: Shape,
}

impl Known {
    fn context(&self) -> Shape {
        Shape::record([
            ("connector", Field::required(Shape::Text)),
            ("kind", Field::required(Shape::Text)),
            ("effect", Field::required(Shape::Text)),
            ("params", Field::required(self.params.clone())),
            ("facts", Field::optional(self.facts.clone())),
            ("run", Field::required(run())),
        ])
    }
}

/// `context.run`.
fn run() -> Shape {
    Shape::record([
        ("id", Field::required(Shape::Text)),
        ("workflow", Field::required(Shape::Text)),
        ("payload", Field::required(Shape::Json)),
        ("actions", Field::required(Shape::Number)),
        ("succeeded", Field::required(Shape::Set(Box::new(Shape::Text)))),
    ])
}

impl Schema {
    /// The schema for connectors, each by its name in the configuration, and for users of whom
    /// [`Attribute::usual`] is said.
    ///
    /// # Errors
    /// `invalid_parameters`, where the names clash.
    pub fn new<'a>(connectors: impl IntoIterator<Item = (&'a str, &'a Catalog)>) -> Result<Self, Error> {
        Self::with_attributes(connectors, Attribute::usual())
    }

    /// The schema for connectors, and for users of whom this is said. Rules can speak of these attributes, and of no
    /// others.
    ///
    /// # Errors
    /// `invalid_parameters`, where the names clash.
    pub fn with_attributes<'a>(
        connectors: impl IntoIterator<Item = (&'a str, &'a Catalog)>,
        attributes: BTreeMap<String, Attribute>,
    ) -> Result<Self, Error> {
        if attributes.contains_key("id") {
            return Err(wrong("the attribute 'id' of a user is who they are; give another name"));
        }
        let types = Types::new()?;
        let mut groups: Vec<String> = EFFECTS.iter().map(ToString::to_string).collect();
        let mut actions = BTreeMap::new();
        for (connector, catalog) in connectors {
            let kind = catalog.kind();
            if kind == RUN || EFFECTS.iter().any(|effect| effect.to_string() == kind) {
                return Err(wrong(&format!(
                    "a connector of the kind '{kind}' has the name of a group of Cedar's"
                )));
            }
            if !groups.iter().any(|group| group == kind) {
                groups.push(kind.to_owned());
            }
            for spec in catalog.actions() {
                let id = format!("{connector}.{}", spec.name);
                let parents = [kind, &spec.effect.to_string()].map(|group| Types::of(&types.action, group));
                let params = catalog.recorded_schema(spec.name).unwrap_or_default();
                let facts = spec
                    .facts
                    .iter()
                    .map(|(name, kind)| ((*name).to_owned(), Field::optional((*kind).into())));
                let known = Known {
                    entity: Entity::new_no_attrs(Types::of(&types.action, &id), HashSet::from(parents)),
                    kind,
                    effect: spec.effect,
                    params: match Shape::of(&params) {
                        record @ Shape::Record(_) => record,
                        other => {
                            return Err(wrong(&format!("the parameters of '{id}' are no record: {other:?}")));
                        }
                    },
                    facts: Shape::Record(facts.collect()),
                };
                actions.insert(id, known);
            }
        }
        let json = document(&groups, &actions, &attributes);
        let mut names = BTreeSet::new();
        collect(&json, &mut names);
        let unusable = |error: &dyn fmt::Display| wrong(&format!("Cedar does not take the schema: {error}"));
        let fragment = SchemaFragment::from_json_value(json).map_err(|error| unusable(&error))?;
        let text = fragment.to_cedarschema().map_err(|error| unusable(&error))?;
        let cedar =
            cedar_policy::Schema::from_schema_fragments([fragment]).map_err(|error| unusable(&error))?;
        let run = Entity::new_no_attrs(Types::of(&types.action, RUN), HashSet::new());
        Ok(Self { cedar, types, run, actions, attributes, names, text })
    }

    /// The schema in Cedar's own language, for people and for tools of others.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

fn wrong(message: &str) -> Error {
    Error::new(ErrorCode::InvalidParameters, format!("policies in Cedar: {message}")).left_nothing()
}

fn document(
    groups: &[String],
    actions: &BTreeMap<String, Known>,
    attributes: &BTreeMap<String, Attribute>,
) -> Value {
    let user = [("id".to_owned(), Field::required(Shape::Text))].into_iter();
    let user =
        user.chain(attributes.iter().map(|(name, kind)| (name.clone(), Field::optional(kind.shape()))));
    let name = Shape::record([("name", Field::required(Shape::Text))]);
    let target =
        Shape::record([("kind", Field::required(Shape::Text)), ("id", Field::required(Shape::Text))]);
    let mut all: Map<String, Value> = groups.iter().map(|group| (group.clone(), json!({}))).collect();
    let run = Shape::record([("run", Field::required(run()))]);
    all.insert(RUN.into(), action("Workflow", &run, &[]));
    for (id, known) in actions {
        all.insert(id.clone(), action("Target", &known.context(), &[known.kind, &known.effect.to_string()]));
    }
    json!({ "": {
        "entityTypes": {
            "User": { "shape": Shape::Record(user.collect()).cedar_type() },
            "Workflow": { "shape": name.cedar_type() },
            "Target": { "shape": target.cedar_type(), "tags": { "type": "String" } },
        },
        "actions": all,
    } })
}

/// The names of all attributes in a schema.
fn collect(schema: &Value, names: &mut BTreeSet<String>) {
    match schema {
        Value::Array(values) => values.iter().for_each(|value| collect(value, names)),
        Value::Object(fields) => {
            let attributes = fields.get("attributes").and_then(Value::as_object);
            names.extend(attributes.into_iter().flat_map(|attributes| attributes.keys().cloned()));
            fields.values().for_each(|value| collect(value, names));
        }
        _ => {}
    }
}

fn action(resource: &str, context: &Shape, groups: &[&str]) -> Value {
    let mut context = context.cedar_type();
    if let Some(attributes) = context.get_mut("attributes").and_then(Value::as_object_mut) {
        attributes
            .insert("now".into(), json!({ "type": "EntityOrCommon", "name": "datetime", "required": true }));
    }
    json!({
        "memberOf": groups.iter().map(|group| json!({ "id": group })).collect::<Vec<_>>(),
        "appliesTo": { "principalTypes": ["User"], "resourceTypes": [resource], "context": context },
    })
}
