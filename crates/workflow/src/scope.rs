//! What expressions may ask for.

use std::collections::BTreeMap;

use enact_core::exact::Exact;
use enact_core::json::JsonText;
use minijinja::Value;

use crate::value::{from_entries, from_json, has_unheld};

/// The names that expressions may begin with.
pub(crate) const NAMES: [&str; 5] = ["payload", "user", "attributes", "run", "steps"];

/// What may be asked of a step.
pub(crate) const OF_A_STEP: [&str; 3] = ["output", "success", "skipped"];

/// What may be asked of the run.
pub(crate) const OF_THE_RUN: [&str; 1] = ["id"];

/// What became of a step.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// Its action succeeded, with this output.
    Done(JsonText),
    /// Its `when` was false.
    Skipped,
}

impl Outcome {
    /// The output as the run gives it; `null` for a skipped step.
    pub(crate) fn output(&self) -> JsonText {
        match self {
            Self::Done(output) => output.clone(),
            Self::Skipped => JsonText::null(),
        }
    }
}

/// The values of one run: fixed at its beginning, and the steps so far.
#[derive(Debug)]
pub(crate) struct Scope {
    fixed: [(&'static str, Value); 4],
    steps: BTreeMap<String, Value>,
    /// The payload, and the outputs of steps by their ids, that have numbers in them which expressions cannot hold.
    unheld: (Option<JsonText>, BTreeMap<String, JsonText>),
}

/// What expressions see of a scope.
#[derive(Debug)]
pub(crate) struct View<'a> {
    /// By name.
    pub(crate) values: Value,
    scope: &'a Scope,
}

/// A step of a plain path into a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    Key(String),
    Item(usize),
}

impl Scope {
    /// Of a run that has done nothing yet.
    pub(crate) fn new(payload: JsonText, user: &str, attributes: &Exact, run_id: &str) -> Self {
        let exact = payload.exact();
        let fixed = [
            ("payload", from_json(&exact)),
            ("user", Value::from(user)),
            ("attributes", from_json(attributes)),
            ("run", Value::from_pairs([("id", run_id)])),
        ];
        Self {
            fixed,
            steps: BTreeMap::new(),
            unheld: (has_unheld(&exact).then_some(payload), BTreeMap::new()),
        }
    }

    /// Adds a step.
    pub(crate) fn add(&mut self, id: &str, outcome: &Outcome) {
        let done = matches!(outcome, Outcome::Done(_));
        let output = outcome.output();
        let exact = output.exact();
        let step =
            [("output", from_json(&exact)), ("success", Value::from(done)), ("skipped", Value::from(!done))];
        self.steps.insert(id.to_owned(), from_entries(step.into_iter()));
        if has_unheld(&exact) {
            self.unheld.1.insert(id.to_owned(), output);
        }
    }

    /// The values as expressions see them now.
    pub(crate) fn view(&self) -> View<'_> {
        let steps = Value::from_pairs(self.steps.iter().map(|(id, step)| (id.as_str(), step.clone())));
        let fixed = self.fixed.iter().map(|(name, value)| (*name, value.clone()));
        View { values: Value::from_pairs(fixed.chain([("steps", steps)])), scope: self }
    }
}

impl View<'_> {
    /// What stands at a path, digit for digit; `None` where nothing stands there, and where expressions hold it anyway.
    pub(crate) fn exact(&self, path: &[Part]) -> Option<Exact> {
        let (payload, outputs) = &self.scope.unheld;
        let names = |part: &Part, name: &str| matches!(part, Part::Key(key) if key == name);
        let (text, rest) = match path {
            [root, rest @ ..] if names(root, "payload") => (payload.as_ref()?, rest),
            [root, Part::Key(id), what, rest @ ..] if names(root, "steps") && names(what, "output") => {
                (outputs.get(id)?, rest)
            }
            _ => return None,
        };
        let whole = text.exact();
        let found = rest.iter().try_fold(&whole, |value, part| match part {
            Part::Key(key) => value.get(key),
            Part::Item(index) => value.item(*index),
        });
        found.cloned()
    }
}

/// The parts of code that is nothing but a path, such as `steps.read.output.rows[0].n`.
pub(crate) fn plain_path(code: &str) -> Option<Vec<Part>> {
    let name = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
        let (name, rest) = text.split_at_checked(end)?;
        let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        begins.then(|| (name.to_owned(), rest.to_owned()))
    };
    let (root, mut rest) = name(code)?;
    let mut parts = vec![Part::Key(root)];
    while !rest.is_empty() {
        let part;
        (part, rest) = if let Some(attribute) = rest.strip_prefix('.') {
            let (attribute, rest) = name(attribute)?;
            (Part::Key(attribute), rest)
        } else {
            let (inside, rest) = rest.strip_prefix('[')?.split_once(']')?;
            (in_brackets(inside.trim())?, rest.to_owned())
        };
        parts.push(part);
    }
    Some(parts)
}

/// A number, or a text in quotes without quotes, escapes and brackets in it.
fn in_brackets(inside: &str) -> Option<Part> {
    if let Ok(index) = inside.parse() {
        return Some(Part::Item(index));
    }
    let quoted = |quote| inside.strip_prefix(quote).and_then(|rest: &str| rest.strip_suffix(quote));
    let key = quoted('\'').or_else(|| quoted('"'))?;
    (!key.contains(['\'', '"', '\\'])).then(|| Part::Key(key.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::Template;

    /// Evaluates with numbers that expressions cannot hold.
    fn eval_unheld(source: &str) -> Result<String, String> {
        let payload = r#"{"n":12345678901234567890.10,"rows":[{"n":1e-400,"k":1.50,"name":"a"}],"list":[1,18446744073709551616]}"#;
        let mut scope = Scope::new(JsonText::parse(payload).unwrap(), "me", &Exact::Null, "run-1");
        scope.add("x", &Outcome::Done(JsonText::parse("99999999999999.1234").unwrap()));
        let template = Template::parse("with.f", source, &["x"])?;
        let value = template.evaluate(&scope.view()).map_err(|error| error.message().to_owned())?;
        Ok(value.as_str().to_owned())
    }

    #[test]
    fn a_number_that_expressions_cannot_hold_is_passed_on_digit_for_digit_by_a_plain_path() {
        for (source, given) in [
            ("{{ payload.n }}", "12345678901234567890.10"),
            ("{{payload['n']}}", "12345678901234567890.10"),
            ("{{ payload.rows[0].n }}", "1e-400"),
            ("{{ payload.rows }}", r#"[{"n":1e-400,"k":1.50,"name":"a"}]"#),
            ("{{ payload.list[1] }}", "18446744073709551616"),
            ("{{ steps.x.output }}", "99999999999999.1234"),
            // What is beside it can be used as ever.
            ("{{ payload.rows[0].name ~ '!' }}", r#""a!""#),
            ("{{ payload.rows[0].k + 1 }}", "2.5"),
            ("{{ payload.list[0] + payload.list | length }}", "3"),
        ] {
            assert_eq!(eval_unheld(source), Ok(given.to_owned()), "{source}");
        }
    }

    #[test]
    fn a_number_that_expressions_cannot_hold_is_never_rounded() {
        for source in [
            "{{ payload.n + 1 }}",
            "{{ payload.n > 1 }}",
            "{{ payload.n == 12345678901234567890 }}",
            "{{ payload.n | round }}",
            "{{ payload.n | string }}",
            "{{ payload.list | join(',') }}",
            "{{ payload.list | max }}",
            "{{ payload.list | sort | first }}",
            "{{ payload.list == [1] }}",
            "{{ 2 in payload.list }}",
            "{{ payload.rows | tojson }}",
            "{{ payload.rows | sum(attribute='n') }}",
            "{{ payload.rows | map(attribute='n') | list }}",
            "{{ payload | items | list }}",
            "{{ {'a': payload} }}",
            "{{ payload.list | string }}",
            "{{ payload.rows[0] | pprint }}",
            "{{ '%s' | format(payload.list) }}",
            "{{ steps.x.output * 2 }}",
            "n: {{ payload.n }}",
            "{{ payload.list }}!",
            "{% for n in payload.list %}{{ loop.index }}{% endfor %}",
            "{% set n = payload.n %}{{ n is number }}",
        ] {
            let said = eval_unheld(source).unwrap_err();
            assert!(said.contains("more digits than an expression can hold"), "{source}: {said}");
        }
        let scope = Scope::new(JsonText::parse(r#"{"n":1e-400}"#).unwrap(), "me", &Exact::Null, "run-1");
        let when = Template::parse("when", "{{ payload.n }}", &[]).unwrap();
        when.holds(&scope.view()).unwrap_err();
    }
}
