//! JSON in and out of expressions. What goes in unchanged comes out unchanged.

use minijinja::Value;
use minijinja::value::ValueKind;
use serde_json::{Map, Number, Value as Json};

/// How many values an expression may give.
const MAX_VALUES: usize = 1_000_000;

/// How deep they may stand in each other: what readers of JSON accept.
const MAX_DEPTH: usize = 120;

/// JSON as expressions see it.
pub(crate) fn from_json(json: Json) -> Value {
    match json {
        Json::Null => Value::from(()),
        Json::Bool(value) => Value::from(value),
        Json::Number(number) => from_number(&number),
        Json::String(text) => Value::from(text),
        Json::Array(items) => Value::from(items.into_iter().map(from_json).collect::<Vec<_>>()),
        Json::Object(map) => Value::from_pairs(map.into_iter().map(|(key, value)| (key, from_json(value)))),
    }
}

fn from_number(number: &Number) -> Value {
    match (number.as_u64(), number.as_i64()) {
        (Some(number), _) => Value::from(number),
        (None, Some(number)) => Value::from(number),
        (None, None) => Value::from(number.as_f64()),
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
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

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
            prop_assert_eq!(to_json(&from_json(json.clone())), Ok(json));
        }
    }

    #[test]
    fn whole_and_broken_numbers_stay_what_they_are() {
        let json = json!([1, 1.0, -1, u64::MAX, i64::MIN, 0.1]);
        assert_eq!(to_json(&from_json(json.clone())).unwrap().to_string(), json.to_string());
    }
}
