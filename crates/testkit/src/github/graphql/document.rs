//! A document as it is asked: one operation, its fields, and their arguments with all variables put in.

use std::collections::{BTreeMap, BTreeSet};

use graphql_parser::query::{
    Definition, OperationDefinition, Selection, SelectionSet, Type, VariableDefinition, parse_query,
};
use serde_json::{Map, Value, json};

/// Why a document is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) message: String,
    /// Only because the test has switched something off.
    pub(super) switched_off: bool,
}

/// The operation of a document.
#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub(super) mutation: bool,
    pub(super) fields: Vec<Field>,
    pub(super) variables: Vec<Variable>,
}

/// A variable that the operation declares.
#[derive(Debug, Clone)]
pub(super) struct Variable {
    pub(super) name: String,
    /// As it is written: `[RefUpdate!]!`.
    pub(super) kind: String,
    pub(super) value: Option<Value>,
}

/// A field that is asked for.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) name: String,
    /// The name that it has in the answer.
    pub(super) key: String,
    pub(super) arguments: Map<String, Value>,
    /// Which variable an argument is, where it is one whole.
    pub(super) of_variable: BTreeMap<String, String>,
    /// Variables that are parts of arguments.
    pub(super) inner_variables: BTreeSet<String>,
    pub(super) fields: Vec<Field>,
}

pub(super) fn wrong<T>(message: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { message: message.into(), switched_off: false })
}

impl Operation {
    /// Reads a document; without values, whatever its variables are.
    pub(super) fn parse(text: &str, values: Option<&Map<String, Value>>) -> Result<Self, Wrong> {
        let document = match parse_query::<String>(text) {
            Ok(document) => document,
            Err(error) => return wrong(format!("Parse error: {error}")),
        };
        let [Definition::Operation(operation)] = document.definitions.as_slice() else {
            return wrong("one operation without fragments is known here");
        };
        let (mutation, declared, selected) = match operation {
            OperationDefinition::SelectionSet(selected) => (false, &[][..], selected),
            OperationDefinition::Query(query) => {
                (false, query.variable_definitions.as_slice(), &query.selection_set)
            }
            OperationDefinition::Mutation(mutation) => {
                (true, mutation.variable_definitions.as_slice(), &mutation.selection_set)
            }
            OperationDefinition::Subscription(_) => {
                return wrong("Schema is not configured for subscriptions");
            }
        };
        let variables =
            declared.iter().map(|declared| variable(declared, values)).collect::<Result<Vec<_>, _>>()?;
        let fields = fields(selected, &variables)?;
        Ok(Self { mutation, fields, variables })
    }
}

fn variable(
    declared: &VariableDefinition<'_, String>,
    values: Option<&Map<String, Value>>,
) -> Result<Variable, Wrong> {
    let name = declared.name.clone();
    let default = declared.default_value.as_ref().map(|value| plain(value, &[])).transpose()?;
    let value = values.and_then(|values| values.get(&name)).cloned().or(default);
    let needed = values.is_some() && matches!(declared.var_type, Type::NonNullType(_));
    if needed && value.as_ref().is_none_or(Value::is_null) {
        return wrong(format!("Variable ${name} of type {} was provided invalid value", declared.var_type));
    }
    Ok(Variable { name, kind: declared.var_type.to_string(), value })
}

fn fields(selected: &SelectionSet<'_, String>, variables: &[Variable]) -> Result<Vec<Field>, Wrong> {
    let field = |selection: &Selection<'_, String>| {
        let Selection::Field(field) = selection else { return wrong("fragments are not known here") };
        if !field.directives.is_empty() {
            return wrong("directives are not known here");
        }
        let (mut arguments, mut of_variable) = (Map::new(), BTreeMap::new());
        let mut inner_variables = BTreeSet::new();
        for (name, value) in &field.arguments {
            if let graphql_parser::query::Value::Variable(variable) = value {
                of_variable.insert(name.clone(), variable.clone());
            } else {
                gather(value, &mut inner_variables);
            }
            arguments.insert(name.clone(), plain(value, variables)?);
        }
        Ok(Field {
            name: field.name.clone(),
            key: field.alias.clone().unwrap_or_else(|| field.name.clone()),
            arguments,
            of_variable,
            inner_variables,
            fields: fields(&field.selection_set, variables)?,
        })
    };
    selected.items.iter().map(field).collect()
}

/// A value as JSON, with the values of variables.
fn plain(value: &graphql_parser::query::Value<'_, String>, variables: &[Variable]) -> Result<Value, Wrong> {
    use graphql_parser::query::Value as Written;
    Ok(match value {
        Written::Variable(name) => match variables.iter().find(|variable| variable.name == *name) {
            Some(variable) => variable.value.clone().unwrap_or(Value::Null),
            None => return wrong(format!("Variable ${name} is used by anonymous query but not declared")),
        },
        Written::Int(number) => json!(number.as_i64()),
        Written::Float(number) => json!(number),
        Written::String(text) => json!(text),
        Written::Boolean(flag) => json!(flag),
        Written::Null => Value::Null,
        Written::Enum(name) => json!(name),
        Written::List(values) => values
            .iter()
            .map(|value| plain(value, variables))
            .collect::<Result<Vec<_>, _>>()
            .map(Value::Array)?,
        Written::Object(fields) => {
            let field =
                |(name, value): (&String, &Written<'_, String>)| Ok((name.clone(), plain(value, variables)?));
            Value::Object(fields.iter().map(field).collect::<Result<Map<_, _>, Wrong>>()?)
        }
    })
}

fn gather(value: &graphql_parser::query::Value<'_, String>, into: &mut BTreeSet<String>) {
    use graphql_parser::query::Value as Written;
    match value {
        Written::Variable(name) => drop(into.insert(name.clone())),
        Written::List(values) => values.iter().for_each(|value| gather(value, into)),
        Written::Object(fields) => fields.values().for_each(|value| gather(value, into)),
        _ => {}
    }
}
