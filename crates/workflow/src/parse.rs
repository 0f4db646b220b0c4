//! From the tree of a YAML text to the steps of a workflow, with every check that needs no runtime.

use std::collections::BTreeMap;
use std::time::Duration;

use enact_core::error::{Error, ErrorCode};
use enact_core::event::OnFailure;
use enact_core::json::JsonText;
use enact_runtime::{DEFAULT_ATTEMPTS, DEFAULT_TIMEOUT, Tries};

use crate::duration;
use crate::fields::{Field, Fields, join, shorten};
use crate::scope::View;
use crate::template::Template;
use crate::yaml::{self, Node, Place, Yaml};

/// How many steps a workflow may have.
pub(crate) const MAX_STEPS: usize = 1000;

/// How many attempts a step may have.
const MAX_ATTEMPTS: u32 = 100;

/// The longest name of a workflow, a step, a connector or an action, in bytes.
const MAX_NAME: usize = 100;

const OF_A_WORKFLOW: [&str; 4] = ["name", "version", "on_failure", "steps"];
const OF_A_STEP: [&str; 8] = ["id", "action", "with", "when", "retry", "timeout", "approval", "defer"];

/// A workflow as its text says it.
#[derive(Debug)]
pub(crate) struct Definition {
    pub(crate) name: String,
    pub(crate) version: u32,
    pub(crate) on_failure: OnFailure,
    pub(crate) steps: Vec<Step>,
}

/// One step.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) id: String,
    pub(crate) connector: String,
    pub(crate) action: String,
    pub(crate) when: Option<When>,
    pub(crate) with: Param,
    pub(crate) tries: Tries,
}

/// Whether a step is carried out.
#[derive(Debug)]
pub(crate) enum When {
    Always(bool),
    Holds(Template),
}

impl When {
    /// Decides it.
    pub(crate) fn holds(&self, view: &View<'_>) -> Result<bool, Error> {
        match self {
            Self::Always(value) => Ok(*value),
            Self::Holds(template) => template.holds(view),
        }
    }
}

/// A parameter: what is fixed, and what is evaluated.
#[derive(Debug)]
pub(crate) enum Param {
    Fixed(JsonText),
    Evaluated(Template),
    List(Vec<Param>),
    Object(BTreeMap<String, Param>),
}

impl Param {
    /// The exact parameter.
    pub(crate) fn evaluate(&self, view: &View<'_>) -> Result<JsonText, Error> {
        self.made(&|template| template.evaluate(view))
    }

    /// The parameter, where nothing of it has to be evaluated.
    pub(crate) fn fixed(&self) -> Option<JsonText> {
        let unknown = |_: &Template| Err(Error::new(ErrorCode::InvalidParameters, "only the run has it"));
        self.made(&unknown).ok()
    }

    fn made(&self, evaluate: &dyn Fn(&Template) -> Result<JsonText, Error>) -> Result<JsonText, Error> {
        match self {
            Self::Fixed(value) => Ok(value.clone()),
            Self::Evaluated(template) => evaluate(template),
            Self::List(items) => {
                let items = items.iter().map(|item| item.made(evaluate)).collect::<Result<Vec<_>, _>>()?;
                JsonText::encode(&items)
            }
            Self::Object(entries) => {
                let entries = entries.iter().map(|(key, param)| Ok((key, param.made(evaluate)?)));
                JsonText::encode(&entries.collect::<Result<BTreeMap<_, _>, Error>>()?)
            }
        }
    }
}

/// Reads a workflow's text.
///
/// # Errors
/// `invalid_parameters` with line, column and field.
pub(crate) fn parse(text: &str) -> Result<Definition, Error> {
    let mut fields = Fields::of(yaml::read(text)?, "", &OF_A_WORKFLOW)?;
    Ok(Definition {
        name: fields.required("name").and_then(workflow_name)?,
        version: fields.optional("version").map_or(Ok(1), |field| field.count(u32::MAX))?,
        on_failure: fields.optional("on_failure").map_or(Ok(OnFailure::default()), on_failure)?,
        steps: fields.required("steps").and_then(steps)?,
    })
}

/// Whether a workflow can have that name.
pub(crate) fn is_workflow_name(name: &str) -> bool {
    let safe = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    // A name that ends in `.yaml` could not be told from a file.
    is_name(name, safe) && !name.starts_with(['.', '-']) && !name.ends_with(".yaml")
}

fn is_name(name: &str, safe: impl FnMut(char) -> bool) -> bool {
    (1..=MAX_NAME).contains(&name.len()) && name.chars().all(safe)
}

fn is_identifier(name: &str) -> bool {
    is_name(name, |c| c.is_ascii_alphanumeric() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn workflow_name(field: Field) -> Result<String, Error> {
    let path = field.path.clone();
    let (name, place) = field.text()?;
    if is_workflow_name(&name) {
        return Ok(name);
    }
    let message = format!(
        "'{}' is not a name: up to {MAX_NAME} letters, digits, '-', '_' and '.', beginning with a letter, a \
         digit or '_', not ending in '.yaml'",
        shorten(&name, 40)
    );
    Err(place.invalid(&path, message))
}

fn on_failure(field: Field) -> Result<OnFailure, Error> {
    match &field.node.value {
        Yaml::Text(text) if text == "rollback" => Ok(OnFailure::Rollback),
        Yaml::Text(text) if text == "keep" => Ok(OnFailure::Keep),
        _ => Err(field.wanted("rollback or keep")),
    }
}

fn steps(field: Field) -> Result<Vec<Step>, Error> {
    let Yaml::List(nodes) = field.node.value else {
        return Err(field.wanted("a list of steps"));
    };
    if nodes.is_empty() {
        return Err(field.node.place.invalid(&field.path, "a workflow has at least one step"));
    }
    if nodes.len() > MAX_STEPS {
        let message = format!("{} steps are too many; at most {MAX_STEPS} are carried out", nodes.len());
        return Err(field.node.place.invalid(&field.path, message));
    }
    let mut steps = Vec::<Step>::with_capacity(nodes.len());
    for (index, node) in in_order(nodes) {
        let before = steps.iter().map(|step| step.id.as_str()).collect::<Vec<_>>();
        let step = step(node, &format!("steps[{index}]"), &before)?;
        steps.push(step);
    }
    Ok(steps)
}

/// The steps in the order in which they come: those that are deferred when all others have succeeded.
fn in_order(nodes: Vec<Node>) -> Vec<(usize, Node)> {
    let is_deferred = |node: &Node| match &node.value {
        Yaml::Map(entries) => {
            entries.iter().any(|entry| entry.key == "defer" && matches!(entry.value.value, Yaml::Bool(true)))
        }
        _ => false,
    };
    let (last, first): (Vec<_>, Vec<_>) =
        nodes.into_iter().enumerate().partition(|(_, node)| is_deferred(node));
    [first, last].into_iter().flatten().collect()
}

fn step(node: Node, path: &str, before: &[&str]) -> Result<Step, Error> {
    let mut fields = Fields::of(node, path, &OF_A_STEP)?;
    let id = fields.required("id").and_then(|field| step_id(field, before))?;
    fields.rename(format!("steps.{id}"));
    let (connector, action) = fields.required("action").and_then(action_name)?;
    // It has its place already: see `in_order`.
    fields.optional("defer").map(Field::bool).transpose()?;
    Ok(Step {
        connector,
        action,
        when: fields.optional("when").map(|field| when(field, before)).transpose()?,
        with: with(fields.optional("with"), before)?,
        tries: tries(&mut fields)?,
        id,
    })
}

fn step_id(field: Field, before: &[&str]) -> Result<String, Error> {
    let path = field.path.clone();
    let (id, place) = field.text()?;
    if !is_identifier(&id) {
        let usable = id.replace(['-', '.', ' '], "_");
        let hint = if is_identifier(&usable) { format!("; write '{usable}'") } else { String::new() };
        let message = format!(
            "'{}' cannot be used in expressions: an id is up to {MAX_NAME} letters, digits and '_', and does \
             not begin with a digit{hint}",
            shorten(&id, 40)
        );
        return Err(place.invalid(&path, message));
    }
    if before.contains(&id.as_str()) {
        return Err(place.invalid(&path, format!("an earlier step has the id '{id}' too; ids are unique")));
    }
    Ok(id)
}

fn action_name(field: Field) -> Result<(String, String), Error> {
    let path = field.path.clone();
    let (name, place) = field.text()?;
    if Template::is_in(&name) {
        let message = "an action cannot be an expression: what a workflow does is known before it runs";
        return Err(place.invalid(&path, message));
    }
    let connector = |name: &str| is_name(name, |c| !c.is_whitespace() && !c.is_control());
    match name.rsplit_once('.') {
        Some((system, action)) if connector(system) && is_identifier(action) => {
            Ok((system.to_owned(), action.to_owned()))
        }
        _ => {
            let name = shorten(&name, 40);
            let message = format!("'{name}' is not CONNECTOR.ACTION, such as files.write_file");
            Err(place.invalid(&path, message))
        }
    }
}

fn when(field: Field, before: &[&str]) -> Result<When, Error> {
    if let Yaml::Bool(value) = field.node.value {
        return Ok(When::Always(value));
    }
    let Yaml::Text(text) = &field.node.value else {
        return Err(field.wanted("an expression such as \"{{ payload.note != '' }}\""));
    };
    // Text around an expression would make it hold always.
    let text = text.trim();
    let template = match Template::is_in(text) {
        true => Some(Template::parse("when", text, before).map_err(|message| field.invalid(message))?),
        false => None,
    };
    match template.filter(Template::is_expression) {
        Some(template) => Ok(When::Holds(template)),
        None => Err(field.wanted("true, false or one single expression \"{{ … }}\"")),
    }
}

fn with(field: Option<Field>, before: &[&str]) -> Result<Param, Error> {
    let Some(field) = field else { return Ok(Param::Object(BTreeMap::new())) };
    if !matches!(field.node.value, Yaml::Map(_)) {
        return Err(field.wanted("a mapping of the action's parameters"));
    }
    param(field.node, "with", &field.path, before)
}

/// `name` is the field as messages of a run call it, `path` as messages on the text do.
fn param(node: Node, name: &str, path: &str, before: &[&str]) -> Result<Param, Error> {
    match node.value {
        Yaml::Null => Ok(Param::Fixed(JsonText::null())),
        Yaml::Bool(value) => JsonText::encode(&value).map(Param::Fixed),
        Yaml::Number(number) => JsonText::encode(&number).map(Param::Fixed),
        Yaml::Digits(digits) => JsonText::parse(&digits).map(Param::Fixed),
        Yaml::Text(text) => text_param(text, node.place, name, path, before),
        Yaml::List(items) => {
            let items = items.into_iter().enumerate().map(|(index, item)| {
                param(item, &format!("{name}[{index}]"), &format!("{path}[{index}]"), before)
            });
            items.collect::<Result<_, _>>().map(Param::List)
        }
        Yaml::Map(entries) => {
            let entries = entries.into_iter().map(|entry| {
                let value = param(entry.value, &join(name, &entry.key), &join(path, &entry.key), before)?;
                Ok((entry.key, value))
            });
            entries.collect::<Result<_, _>>().map(Param::Object)
        }
    }
}

fn text_param(text: String, place: Place, name: &str, path: &str, before: &[&str]) -> Result<Param, Error> {
    if !Template::is_in(&text) {
        return JsonText::encode(&text).map(Param::Fixed);
    }
    match Template::parse(name, &text, before) {
        Ok(template) => Ok(Param::Evaluated(template)),
        Err(message) => Err(place.invalid(path, message)),
    }
}

fn tries(fields: &mut Fields) -> Result<Tries, Error> {
    Ok(Tries {
        max_attempts: fields.optional("retry").map_or(Ok(DEFAULT_ATTEMPTS), max_attempts)?,
        timeout: fields.optional("timeout").map_or(Ok(DEFAULT_TIMEOUT), timeout)?,
        approval: fields.optional("approval").map_or(Ok(false), Field::bool)?,
    })
}

fn max_attempts(field: Field) -> Result<u32, Error> {
    let mut fields = Fields::of(field.node, &field.path, &["max_attempts"])?;
    fields.required("max_attempts")?.count(MAX_ATTEMPTS)
}

fn timeout(field: Field) -> Result<Duration, Error> {
    match &field.node.value {
        Yaml::Text(text) => duration::parse(text).map_err(|message| field.invalid(message)),
        _ => Err(field.wanted("a duration such as 250ms, 30s, 5m or 1h30m")),
    }
}
