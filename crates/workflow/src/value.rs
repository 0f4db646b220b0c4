//! JSON in and out of expressions. What goes in unchanged comes out unchanged.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use enact_core::exact::{Exact, is_held};
use minijinja::value::{Enumerator, Object, ObjectRepr, ValueKind};
use minijinja::{ErrorKind, Value};
use serde_json::{Map, Number, Value as Json};

/// How many values an expression may give.
const MAX_VALUES: usize = 1_000_000;

/// How deep they may stand in each other: what readers of JSON accept.
const MAX_DEPTH: usize = 120;

thread_local! {
    /// Whether an expression was handed a number that it cannot hold. What a filter makes of that may not show it.
    static TOUCHED: Cell<bool> = const { Cell::new(false) };
}

/// What is said of a number that an expression cannot hold.
const UNHELD: &str = "it uses a number with more digits than an expression can hold, which would be rounded; such a \
                      number is only passed on, by one single plain path such as \"{{ payload.amount }}\"";

/// JSON as expressions see it. A number that they cannot hold with all its digits is one that they cannot touch.
pub(crate) fn from_json(json: &Exact) -> Value {
    match json {
        Exact::Null => Value::from(()),
        Exact::Bool(value) => Value::from(*value),
        Exact::Number(number) => from_number(number),
        Exact::Text(text) => Value::from(text.as_str()),
        Exact::List(items) => from_list(items.iter().map(from_json).collect()),
        Exact::Object(entries) => {
            from_entries(entries.iter().map(|(key, value)| (key.as_str(), from_json(value))))
        }
    }
}

fn from_number(number: &str) -> Value {
    match (number.parse::<u64>(), number.parse::<i64>(), number.parse::<f64>()) {
        (Ok(number), ..) => Value::from(number),
        (_, Ok(number), _) => Value::from(number),
        (.., Ok(read)) if is_held(number) => Value::from(read),
        _ => Value::from(minijinja::Error::new(ErrorKind::InvalidOperation, UNHELD)),
    }
}

fn from_list(items: Vec<Value>) -> Value {
    if items.iter().any(is_unheld) { Value::from_object(UnheldList(items)) } else { Value::from(items) }
}

/// An object with these entries.
pub(crate) fn from_entries<'a>(entries: impl Iterator<Item = (&'a str, Value)>) -> Value {
    let entries: BTreeMap<String, Value> = entries.map(|(key, value)| (key.to_owned(), value)).collect();
    let unheld = entries.values().any(is_unheld);
    if unheld { Value::from_object(UnheldMap(entries)) } else { Value::from_pairs(entries) }
}

/// Whether there is a number in it that an expression cannot hold.
pub(crate) fn has_unheld(json: &Exact) -> bool {
    match json {
        Exact::Number(number) => !is_held(number),
        Exact::List(items) => items.iter().any(has_unheld),
        Exact::Object(entries) => entries.iter().any(|(_, value)| has_unheld(value)),
        Exact::Null | Exact::Bool(_) | Exact::Text(_) => false,
    }
}

fn is_unheld(value: &Value) -> bool {
    value.kind() == ValueKind::Invalid
}

/// Evaluates something, and refuses what came of it where it was handed a number that it cannot hold.
///
/// # Errors
/// Those of `work`, and what to do instead.
pub(crate) fn holding<T, E>(
    work: impl FnOnce() -> Result<T, E>,
    refused: impl FnOnce(&str) -> E,
) -> Result<T, E> {
    TOUCHED.set(false);
    let result = work();
    if TOUCHED.get() { Err(refused(UNHELD)) } else { result }
}

fn hand_out(value: &Value) -> Value {
    if is_unheld(value) {
        TOUCHED.set(true);
    }
    value.clone()
}

/// A list with numbers in it that expressions cannot hold. Everything else in it can be used.
#[derive(Debug)]
struct UnheldList(Vec<Value>);

impl Object for UnheldList {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.get(key.as_usize()?).map(hand_out)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.0.len())
    }
}

/// An object with numbers in it that expressions cannot hold. Everything else in it can be used.
#[derive(Debug)]
struct UnheldMap(BTreeMap<String, Value>);

impl Object for UnheldMap {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.get(key.as_str()?).map(hand_out)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.keys().map(|key| Value::from(key.as_str())).collect())
    }
}

/// What an expression gave, as JSON.
///
/// # Errors
/// Why it has no JSON form.
pub(crate) fn to_json(value: &Value) -> Result<Json, String> {
    convert(value, &mut 0, 0)
}

fn convert(value: &Value, count: &mut usize, depth: usize) -> Result<Json, String> {
    *count += 1;
    if *count > MAX_VALUES {
        return Err(format!("it gives more than {MAX_VALUES} values"));
    }
    if depth > MAX_DEPTH {
        return Err(format!("it gives values that stand more than {MAX_DEPTH} deep in each other"));
    }
    match value.kind() {
        ValueKind::Undefined => Err("a part of it is undefined".to_owned()),
        ValueKind::None => Ok(Json::Null),
        ValueKind::Bool => Ok(Json::Bool(value.is_true())),
        ValueKind::Number => to_number(value).map(Json::Number),
        ValueKind::String => Ok(Json::String(value.as_str().unwrap_or_default().to_owned())),
        ValueKind::Seq | ValueKind::Iterable => to_list(value, count, depth),
        ValueKind::Map => to_object(value, count, depth),
        kind => Err(format!("it gives a {kind}, which has no JSON form")),
    }
}

fn to_number(value: &Value) -> Result<Number, String> {
    let number = if !value.is_integer() {
        f64::try_from(value.clone()).ok().and_then(Number::from_f64)
    } else if let Some(number) = value.as_i64() {
        Some(number.into())
    } else {
        u64::try_from(value.clone()).ok().map(Number::from)
    };
    number.ok_or_else(|| "it gives a number that is too large for JSON".to_owned())
}

fn to_list(value: &Value, count: &mut usize, depth: usize) -> Result<Json, String> {
    let items = value.try_iter().map_err(|error| error.to_string())?;
    let mut list = Vec::new();
    for item in items.checked() {
        let item = item.map_err(|error| error.to_string())?;
        list.push(convert(&item, count, depth + 1)?);
    }
    Ok(Json::Array(list))
}

fn to_object(value: &Value, count: &mut usize, depth: usize) -> Result<Json, String> {
    let keys = value.try_iter().map_err(|error| error.to_string())?;
    let mut object = Map::new();
    for key in keys {
        let Some(name) = key.as_str() else {
            return Err(format!("it gives an object with the key {key}, and keys of JSON are text"));
        };
        let item = value.get_item(&key).map_err(|error| error.to_string())?;
        object.insert(name.to_owned(), convert(&item, count, depth + 1)?);
    }
    Ok(Json::Object(object))
}

#[cfg(test)]
mod tests {
    use enact_core::json::JsonText;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn value(json: &Json) -> Value {
        from_json(&JsonText::encode(json).unwrap().exact())
    }

    #[test]
    fn what_has_no_json_form_is_refused() {
        assert_eq!(to_json(&Value::from(vec![Value::UNDEFINED])).unwrap_err(), "a part of it is undefined");
        assert!(to_json(&Value::from(f64::INFINITY)).unwrap_err().contains("too large"));
        assert!(to_json(&Value::from(u128::MAX)).unwrap_err().contains("too large"));
        assert!(to_json(&Value::from_bytes(vec![1])).unwrap_err().contains("bytes"));
        assert!(to_json(&Value::from_pairs([(1, 2)])).unwrap_err().contains("keys of JSON are text"));
    }

    #[test]
    fn endless_and_bottomless_values_are_refused() {
        let endless = Value::make_iterable(|| std::iter::repeat(1));
        assert!(to_json(&endless).unwrap_err().contains("more than 1000000"));
        let deep = (0..200).fold(Value::from(1), |inner, _| Value::from(vec![inner]));
        assert!(to_json(&deep).unwrap_err().contains("deep"));
    }

    fn any_json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            any::<u64>().prop_map(Json::from),
            any::<f64>()
                .prop_filter_map("JSON has finite numbers", |x| Number::from_f64(x).map(Json::Number)),
            ".*".prop_map(Json::from),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Json::from),
                prop::collection::btree_map(".*", inner, 0..8)
                    .prop_map(|map| Json::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn json_comes_out_as_it_went_in(json in any_json()) {
            prop_assert_eq!(to_json(&value(&json)), Ok(json));
        }
    }

    #[test]
    fn whole_and_broken_numbers_stay_what_they_are() {
        let json = json!([1, 1.0, -1, u64::MAX, i64::MIN, 0.1]);
        assert_eq!(to_json(&value(&json)).unwrap().to_string(), json.to_string());
    }
}
