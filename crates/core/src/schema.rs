//! The JSON schemas of an action's parameters, generated from its type.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// How the parameters of one action look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schemas {
    generate: fn(SchemaSettings) -> Value,
}

impl Schemas {
    pub(crate) fn of<A: JsonSchema>() -> Self {
        Self { generate: |settings| settings.into_generator().into_root_schema_for::<A>().to_value() }
    }

    /// As they are taken.
    pub(crate) fn taken(self) -> Value {
        (self.generate)(settings())
    }

    /// As they are written down once they were read.
    pub(crate) fn recorded(self) -> Value {
        (self.generate)(settings().for_serialize())
    }
}

/// Everything in one place, so that whoever reads it follows no references. Parameters are trees.
fn settings() -> SchemaSettings {
    SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true)
}
