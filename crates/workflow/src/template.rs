//! Text with Jinja expressions in it: checked when a workflow is read, evaluated when its step comes.
//!
//! Knows the expression language and its bounds; does not know workflows. An expression is pure: the same
//! values give the same result, for ever, because a run that is carried on asks again.

use std::panic::{self, AssertUnwindSafe};
use std::sync::LazyLock;

use enact_core::error::{Error, ErrorCode};
use enact_core::json::JsonText;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{
    AutoEscape, Environment, ErrorKind, Output, State, UndefinedBehavior, Value, escape_formatter,
};
use serde_json::Value as Json;

use crate::bounds;
use crate::fields::{nearest, shorten};
use crate::scope::{NAMES, OF_A_STEP, OF_THE_RUN, Part, View, plain_path};
use crate::value::{holding, to_json};

/// How much work one evaluation may take: about one unit for each operation and for each 64 bytes made. So it
/// also bounds memory, to 128 MiB.
const MAX_WORK: u64 = 2_000_000;

/// What to do about a name that is undefined.
const ABSENT: &str = "; where it may be absent, say so: `| default(…)` or `is defined`";

/// What is said where the engine has a defect of its own, such as an overflow.
const ENGINE_FAILED: &str = "the expression engine broke on it; write it differently";

/// How deep loops and conditions may stand in each other while they run.
const MAX_NESTING: usize = 100;

/// A text with at least one expression in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Template {
    field: String,
    source: String,
    kind: Kind,
    /// What it asks for: `payload.repo`, `steps.branch.output.sha`.
    names: Vec<String>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Kind {
    /// The text is one single expression, with this code: its value keeps its JSON type. One that is a plain path is
    /// passed on digit for digit.
    Expression(String, Option<Vec<Part>>),
    /// Expressions within text: the result is text.
    Text,
}

impl Template {
    /// Whether a text has anything to evaluate.
    pub(crate) fn is_in(source: &str) -> bool {
        ["{{", "{%", "{#"].iter().any(|opening| source.contains(opening))
    }

    /// Checks a text that stands in that field, in a step that comes after `steps`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(field: &str, source: &str, steps: &[&str]) -> Result<Self, String> {
        bounds::check_text(source)?;
        contained(|| Self::compile(field, source, steps)).unwrap_or_else(|| Err(ENGINE_FAILED.to_owned()))
    }

    fn compile(field: &str, source: &str, steps: &[&str]) -> Result<Self, String> {
        let kind = match single(source) {
            Some(code) => Kind::Expression(code.to_owned(), plain_path(code.trim())),
            None => Kind::Text,
        };
        let names = match &kind {
            Kind::Expression(code, _) => {
                ENGINE.compile_expression(code).map(|expression| expression.undeclared_variables(true))
            }
            Kind::Text => {
                ENGINE.template_from_str(source).map(|template| template.undeclared_variables(true))
            }
        };
        let mut names = Vec::from_iter(names.map_err(|error| explain(&error, source))?);
        names.sort();
        // A name that a statement sets may still be defined later; only evaluation can tell.
        let sets_names = kind == Kind::Text && source.contains("{%");
        for name in &names {
            check_name(name, steps, sets_names)?;
        }
        Ok(Self { field: field.to_owned(), source: source.to_owned(), kind, names })
    }

    /// What it asks for, as far as that stands in it.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether the text is one single expression.
    pub(crate) fn is_expression(&self) -> bool {
        matches!(self.kind, Kind::Expression(..))
    }

    /// Evaluates it to JSON.
    ///
    /// # Errors
    /// `invalid_parameters`, naming field and expression: an undefined name, a wrong use, too much work.
    pub(crate) fn evaluate(&self, view: &View<'_>) -> Result<JsonText, Error> {
        let path = if let Kind::Expression(_, path) = &self.kind { path.as_ref() } else { None };
        let json = match path.and_then(|path| view.exact(path)) {
            Some(exact) => JsonText::encode(&exact),
            None => JsonText::encode(&self.value(view)?),
        };
        json.map_err(|error| self.error(&self.source, error.message()))
    }

    /// Whether it holds, as Jinja decides: false, 0, empty and none do not.
    ///
    /// # Errors
    /// As [`Template::evaluate`].
    pub(crate) fn holds(&self, view: &View<'_>) -> Result<bool, Error> {
        Ok(match self.value(view)? {
            Json::Null => false,
            Json::Bool(value) => value,
            Json::Number(number) => number.as_f64() != Some(0.0),
            Json::String(text) => !text.is_empty(),
            Json::Array(items) => !items.is_empty(),
            Json::Object(entries) => !entries.is_empty(),
        })
    }

    /// What the engine makes of it.
    fn value(&self, view: &View<'_>) -> Result<Json, Error> {
        let work = || match &self.kind {
            Kind::Expression(code, _) => {
                let value = ENGINE.compile_expression(code).and_then(|code| code.eval(view.values.clone()));
                value.map_err(|error| self.failed(&error)).and_then(|value| self.json(&value))
            }
            Kind::Text => {
                let text = ENGINE.render_str(&self.source, view.values.clone());
                text.map(Json::String).map_err(|error| self.failed(&error))
            }
        };
        let refused = |message: &str| self.error(&self.source, message);
        contained(|| holding(work, refused)).unwrap_or_else(|| Err(refused(ENGINE_FAILED)))
    }

    fn json(&self, value: &Value) -> Result<Json, Error> {
        if value.is_undefined() {
            return Err(self.error(&self.source, &format!("it is undefined{ABSENT}")));
        }
        to_json(value).map_err(|message| self.error(&self.source, &message))
    }

    fn failed(&self, error: &minijinja::Error) -> Error {
        let line = error.line().and_then(|line| self.source.lines().nth(line.saturating_sub(1)));
        self.error(line.unwrap_or(&self.source).trim(), &explain(error, &self.source))
    }

    fn error(&self, code: &str, message: &str) -> Error {
        let message = format!("{}: {}: {message}", self.field, shorten(code, 120));
        Error::new(ErrorCode::InvalidParameters, message).left_nothing()
    }
}

/// Does what the engine may panic on; `None` where it did. The engine has no state that could be left broken.
fn contained<T>(work: impl FnOnce() -> T) -> Option<T> {
    panic::catch_unwind(AssertUnwindSafe(work)).ok()
}

/// The code of a text that is one single expression.
///
/// It is one where what stands between the outer braces is an expression: a text such as `{{ a }}{{ b }}` does
/// not pass, since `a }}{{ b` is none.
fn single(source: &str) -> Option<&str> {
    let code = source.strip_prefix("{{")?.strip_suffix("}}")?;
    let code = code.strip_prefix(['-', '+']).unwrap_or(code);
    let code = code.strip_suffix(['-', '+']).unwrap_or(code);
    (bounds::check_code(code).is_ok() && ENGINE.compile_expression(code).is_ok()).then_some(code)
}

static ENGINE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine.set_fuel(Some(MAX_WORK));
    engine.set_recursion_limit(MAX_NESTING);
    // For the name of what is undefined; values never get into our messages by it.
    engine.set_debug(true);
    engine.set_auto_escape_callback(|_| AutoEscape::None);
    engine.set_formatter(write);
    // A text is data: its last line break belongs to it.
    if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
        engine.set_syntax(syntax);
    }
    // `debug` shows the engine's inside; what a `namespace` holds can grow without a bound on its depth.
    engine.remove_global("debug");
    engine.remove_global("namespace");
    engine.add_filter("tojson", tojson);
    engine
});

/// Writes a value into text: text as it is, everything else as JSON.
fn write(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), minijinja::Error> {
    let plain = matches!(value.kind(), ValueKind::String | ValueKind::Undefined | ValueKind::Invalid);
    if plain || !matches!(state.auto_escape(), AutoEscape::None) {
        return escape_formatter(out, state, value);
    }
    let json =
        to_json(value).map_err(|message| minijinja::Error::new(ErrorKind::BadSerialization, message))?;
    out.write_str(&json.to_string()).map_err(minijinja::Error::from)
}

/// The filter `tojson`: a value as JSON text; with `indent=true` on several lines. Unlike the engine's own, it
/// does not escape what is special in HTML, and bounds the indentation.
fn tojson(value: &Value, options: Kwargs) -> Result<String, minijinja::Error> {
    let broken = |message| minijinja::Error::new(ErrorKind::BadSerialization, message);
    let indent = options.get::<Option<bool>>("indent")?.unwrap_or_default();
    options.assert_all_used()?;
    let json = to_json(value).map_err(broken)?;
    let text = if indent { serde_json::to_string_pretty(&json) } else { serde_json::to_string(&json) };
    text.map_err(|error| broken(error.to_string()))
}

/// Refuses a name that cannot be defined when the step comes.
fn check_name(name: &str, steps: &[&str], sets_names: bool) -> Result<(), String> {
    let mut parts = name.split('.');
    let root = parts.next().unwrap_or_default();
    match (root, parts.next(), parts.next()) {
        ("steps", Some(id), _) if !steps.contains(&id) => Err(no_such_step(id, steps)),
        ("steps", Some(id), Some(part)) => one_of(&format!("steps.{id}"), part, &OF_A_STEP),
        ("run", Some(part), _) => one_of("run", part, &OF_THE_RUN),
        ("user", Some(part), _) => {
            Err(format!("`user.{part}` is never defined: `user` is text; did you mean `attributes.{part}`?"))
        }
        (root, _, _) if NAMES.contains(&root) || sets_names || is_function(root) => Ok(()),
        ("null", _, _) => Err("`null` is never defined: in expressions it is called `none`".to_owned()),
        (root, _, _) => {
            Err(format!("`{root}` is never defined; {}", known("expressions begin with", root, &NAMES)))
        }
    }
}

fn is_function(name: &str) -> bool {
    ENGINE.globals().any(|(known, _)| known == name)
}

fn one_of(whole: &str, part: &str, parts: &[&str]) -> Result<(), String> {
    if parts.contains(&part) {
        return Ok(());
    }
    Err(format!("`{whole}.{part}` is never defined; {}", known(&format!("`{whole}` has"), part, parts)))
}

fn no_such_step(id: &str, steps: &[&str]) -> String {
    if steps.is_empty() {
        return format!("`steps.{id}` is never defined: this is the first step");
    }
    format!("`steps.{id}` is never defined; {}", known("the steps before this one are", id, steps))
}

fn known(what: &str, word: &str, words: &[&str]) -> String {
    match nearest(word, words) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("{what} {}", words.join(", ")),
    }
}

/// What the engine says, in a sentence.
fn explain(error: &minijinja::Error, source: &str) -> String {
    let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    let place = match error.line() {
        Some(line) if source.contains('\n') => format!(" (line {line} of the text)"),
        _ => String::new(),
    };
    match error.kind() {
        ErrorKind::OutOfFuel => format!("it takes more than {MAX_WORK} units of work; make it smaller"),
        ErrorKind::SyntaxError => format!("the expression cannot be read: {detail}{place}"),
        ErrorKind::UndefinedError => {
            format!("{detail}{place}{ABSENT}")
        }
        _ => format!("{detail}{place}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;
    use serde_json::json;

    use super::*;
    use crate::scope::{Outcome, Scope};

    fn scope() -> Scope {
        let payload = json!({
            "n": 7, "f": 1.0, "yes": true, "nothing": null, "text": "hi", "empty": "", "list": [1, "b"],
            "object": {"k": [1.5]}, "sly": "{{ user }} {% for %}",
        });
        let payload = JsonText::encode(&payload).unwrap();
        let attributes = JsonText::encode(&json!({"role": "admin"})).unwrap().exact();
        let mut scope = Scope::new(payload, "me@example.com", &attributes, "run-1");
        let output = json!({"sha": "abc", "inject": "{{ payload.n }}"});
        scope.add("branch", &Outcome::Done(JsonText::encode(&output).unwrap()));
        scope.add("skipped", &Outcome::Skipped);
        scope
    }

    fn eval(source: &str) -> Result<Json, String> {
        let template = Template::parse("with.f", source, &["branch", "skipped"])?;
        let value = template.evaluate(&scope().view()).map_err(|error| {
            assert_eq!(error.code(), ErrorCode::InvalidParameters);
            error.message().to_owned()
        })?;
        Ok(value.value())
    }

    #[test]
    fn one_single_expression_keeps_its_json_type() {
        for (source, value) in [
            ("{{ payload.n }}", json!(7)),
            ("{{payload.f}}", json!(1.0)),
            ("{{ payload.yes }}", json!(true)),
            ("{{ payload.nothing }}", json!(null)),
            ("{{ payload.text }}", json!("hi")),
            ("{{ payload.list }}", json!([1, "b"])),
            ("{{ payload.object }}", json!({"k": [1.5]})),
            ("{{- payload.n + 1 -}}", json!(8)),
            ("{{ {'a': {'b': payload.n}} }}", json!({"a": {"b": 7}})),
            ("{{ '}} {{' }}", json!("}} {{")),
            ("{{ payload.list | map('string') | list }}", json!(["1", "b"])),
            ("{{ range(3) }}", json!([0, 1, 2])),
            ("{{ steps.branch.output }}", json!({"sha": "abc", "inject": "{{ payload.n }}"})),
            ("{{ steps.branch.success }}", json!(true)),
            ("{{ steps.skipped.success or steps.branch.skipped }}", json!(false)),
            ("{{ steps.skipped.output }}", json!(null)),
            ("{{ attributes.role == 'admin' }}", json!(true)),
        ] {
            assert_eq!(eval(source), Ok(value), "{source}");
        }
    }

    #[test]
    fn everything_else_is_text() {
        for (source, text) in [
            ("{{ payload.text }} {{ payload.n }}", "hi 7"),
            ("{{ payload.n }}{{ payload.n }}", "77"),
            (" {{ payload.n }}", " 7"),
            ("{{ payload.n }}\n", "7\n"),
            ("by {{ user }} in {{ run.id }}", "by me@example.com in run-1"),
            ("{% if payload.yes %}a{% else %}b{% endif %}", "a"),
            ("{% for i in payload.list %}<{{ i }}>{% endfor %}\n", "<1><b>\n"),
            ("{% if payload.yes %}{% set x = 1 %}{% endif %}{{ x }}", "1"),
            ("{# nothing #}", ""),
            ("{% raw %}${{ matrix.os }}{% endraw %}", "${{ matrix.os }}"),
        ] {
            assert_eq!(eval(source), Ok(json!(text)), "{source}");
        }
    }

    #[test]
    fn values_in_text_are_written_as_json() {
        assert_eq!(
            eval(
                "{{ payload.yes }} {{ payload.nothing }} {{ payload.f }} {{ payload.object }} {{ payload.list }}"
            ),
            Ok(json!(r#"true null 1.0 {"k":[1.5]} [1,"b"]"#))
        );
    }

    #[test]
    fn a_value_is_never_evaluated_as_an_expression() {
        assert_eq!(eval("{{ steps.branch.output.inject }}"), Ok(json!("{{ payload.n }}")));
        assert_eq!(eval("say {{ payload.sly }}"), Ok(json!("say {{ user }} {% for %}")));
        assert_eq!(eval("{{ payload.sly ~ '!' }}"), Ok(json!("{{ user }} {% for %}!")));
    }

    #[test]
    fn an_undefined_name_is_named_with_field_and_expression() {
        assert_eq!(
            eval("{{ payload.missing }}").unwrap_err(),
            "with.f: {{ payload.missing }}: it is undefined; \
             where it may be absent, say so: `| default(…)` or `is defined`"
        );
        assert_eq!(
            eval("one\nto {{ payload.missing.more }} end").unwrap_err(),
            "with.f: to {{ payload.missing.more }} end: `payload.missing` is undefined (line 2 of the text); \
             where it may be absent, say so: `| default(…)` or `is defined`"
        );
        for source in [
            "{{ payload.missing != '' }}",
            "{{ [payload.missing] }}",
            "{{ {'a': payload.missing} }}",
            "{{ payload.missing ~ 'x' }}",
            "{{ 'x' if payload.missing }}",
            "{{ 'x' if false }}",
            "{{ payload.missing | upper }}",
            "{{ steps['nope'] }}",
            "{{ payload.text.nope }}",
            "a {{ [payload.missing] }}",
            "{% for i in payload.missing %}{% endfor %}",
            "{% if true %}{{ nope }}{% endif %}",
        ] {
            assert!(eval(source).unwrap_err().contains("undefined"), "{source}: {:?}", eval(source));
        }
    }

    #[test]
    fn what_may_be_absent_can_be_asked_for() {
        assert_eq!(eval("{{ payload.missing | default('x') }}"), Ok(json!("x")));
        assert_eq!(eval("{{ payload.missing is defined }}"), Ok(json!(false)));
        assert_eq!(eval("{{ steps.skipped.output is none }}"), Ok(json!(true)));
    }

    #[test]
    fn a_name_that_can_never_be_defined_is_refused_when_the_text_is_read() {
        for (source, message) in [
            (
                "{{ nope }}",
                "`nope` is never defined; expressions begin with payload, user, attributes, run, steps",
            ),
            ("{{ paylaod.x }}", "`paylaod` is never defined; did you mean `payload`?"),
            ("{{ steps.brunch.output }}", "`steps.brunch` is never defined; did you mean `branch`?"),
            (
                "{{ steps.later.output }}",
                "`steps.later` is never defined; the steps before this one are branch, skipped",
            ),
            (
                "{{ steps.branch.result }}",
                "`steps.branch.result` is never defined; `steps.branch` has output, success, skipped",
            ),
            ("{{ run.name }}", "`run.name` is never defined; `run` has id"),
            (
                "{{ user.role }}",
                "`user.role` is never defined: `user` is text; did you mean `attributes.role`?",
            ),
            ("{{ payload.n == null }}", "`null` is never defined: in expressions it is called `none`"),
            (
                "{{ now() }}",
                "`now` is never defined; expressions begin with payload, user, attributes, run, steps",
            ),
        ] {
            assert_eq!(eval(source), Err(message.to_owned()), "{source}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_a_reason() {
        for (source, message) in [
            (
                "{{ payload. }}",
                "the expression cannot be read: unexpected end of variable block, expected identifier or integer",
            ),
            (
                "{{ payload",
                "the expression cannot be read: unexpected end of input, expected end of variable block",
            ),
            (
                "a\n{% if x",
                "the expression cannot be read: unexpected end of input, expected end of block (line 2 of the text)",
            ),
            ("{% include 'x' %}", "the expression cannot be read: unknown statement include"),
            ("{% macro f() %}{% endmacro %}", "the expression cannot be read: unknown statement macro"),
        ] {
            assert_eq!(eval(source), Err(message.to_owned()), "{source}");
        }
    }

    #[test]
    fn nothing_that_changes_from_time_to_time_or_shows_the_inside_is_there() {
        for name in ["now", "random", "lipsum", "debug", "namespace", "include", "load"] {
            assert!(!is_function(name), "{name}");
        }
        for filter in ["random", "shuffle", "uuid"] {
            assert!(eval(&format!("{{{{ payload.list | {filter} }}}}")).unwrap_err().contains("unknown"));
        }
    }

    #[test]
    fn values_are_written_as_json_on_request() {
        assert_eq!(eval("{{ payload.object | tojson }}"), Ok(json!(r#"{"k":[1.5]}"#)));
        assert_eq!(eval("{{ '<&>' | tojson }}"), Ok(json!("\"<&>\"")));
        assert_eq!(eval("{{ [1] | tojson(indent=true) }}"), Ok(json!("[\n  1\n]")));
        assert!(eval("{{ [1] | tojson(indent=1000000) }}").is_err());
        assert!(eval("{{ [payload.missing] | tojson }}").unwrap_err().contains("undefined"));
    }

    #[test]
    fn a_defect_of_the_engine_is_an_error() {
        assert_eq!(contained(|| -> u32 { panic!("a defect") }), None);
        // Negating the smallest step overflows in the engine; where overflows are not checked, it wraps.
        match eval("{{ payload.list[::-9223372036854775808] }}") {
            Ok(list) => assert!(list.is_array()),
            Err(message) => assert!(message.contains("the expression engine broke on it"), "{message}"),
        }
    }

    fn piece() -> impl Strategy<Value = &'static str> {
        select(vec![
            "payload",
            ".list",
            ".object",
            ".n",
            ".text",
            "[0]",
            "[1:]",
            "[::-1]",
            "steps.branch.output",
            " ~ ",
            " + ",
            " * ",
            " ** ",
            " // ",
            " % ",
            " - ",
            " in ",
            " is ",
            " if ",
            " else ",
            " and ",
            "not ",
            "(",
            ")",
            "[",
            "]",
            "{",
            "}",
            ":",
            ",",
            "9",
            "99999999999",
            "-1",
            "0.1",
            "1e300",
            "'x'",
            "'%s%d%9f'",
            "|list",
            "|map('upper')",
            "|map('batch', 2)",
            "|batch(3, 'x')",
            "|slice(3)",
            "|join('-')",
            "|sort",
            "|unique",
            "|tojson",
            "|pprint",
            "|format(9, 'a')",
            "|replace('x', 'xx')",
            "|int",
            "|float",
            "|round(9)",
            "|string",
            "|length",
            "|first",
            "|groupby('k')",
            "|dictsort",
            "|items",
            "|sum",
            "|indent(9)",
            "|zip([1, 2])",
            "|chain([1])",
            "range(99)",
            "dict(a=1)",
            "|select('odd')",
            "|default(1)",
            "|reverse",
            "|split('')",
            "|title",
            "|trim('h')",
            "|attr('k')",
        ])
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_expression_ends_with_a_value_or_an_error(pieces in vec(piece(), 1..12), text in any::<bool>()) {
            let source = format!("{}{{{{ {} }}}}", if text { "text " } else { "" }, pieces.concat());
            let (again, twice) = (source.clone(), source);
            let small_stack = std::thread::Builder::new().stack_size(2 << 20);
            let ended = small_stack.spawn(move || (eval(&again), eval(&twice))).unwrap().join();
            let (first, second) = ended.unwrap();
            prop_assert_eq!(first, second);
        }
    }

    #[test]
    fn recursion_is_bounded() {
        let small_stack = std::thread::Builder::new().stack_size(2 << 20);
        let ended = small_stack.spawn(|| {
            eval("{% for x in payload.list recursive %}{{ loop(payload.list) }}{% endfor %}").unwrap_err()
        });
        let message = ended.unwrap().join().unwrap();
        assert!(message.contains("recursion"), "{message}");
    }

    #[test]
    fn bombs_run_out_of_fuel() {
        let nested = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
        for source in
            [nested, "{{ 'x' * 99999999999 }}", "{{ ('x' * 9999999) * 9999 }}", "a{{ 'x' * 999999999 }}"]
        {
            let message = eval(source).unwrap_err();
            assert!(message.contains("units of work") || message.contains("too"), "{source}: {message}");
        }
    }
}
