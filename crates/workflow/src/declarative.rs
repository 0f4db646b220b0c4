//! A declarative workflow, as the runtime carries it out.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use enact_core::error::{Error, ErrorCode};
use enact_core::event::{OnFailure, WorkflowSource};
use enact_core::exact::Exact;
use enact_core::json::{JsonText, MAX_BYTES};
use enact_runtime::{DynWorkflow, Foreseen, WorkflowCx};
use futures::future::{BoxFuture, FutureExt};
use serde::Serializer;

use crate::parse::{self, Definition, Step};
use crate::scope::{Outcome, Scope};
use crate::yaml::MAX_TEXT;

/// A workflow read from YAML, checked as a whole.
///
/// ```
/// use enact_runtime::DynWorkflow;
/// use enact_workflow::Declarative;
///
/// let workflow = Declarative::parse(
///     r#"
/// name: note
/// steps:
///   - id: write
///     action: files.write_file
///     with: { path: "notes/{{ run.id }}.md", content: "{{ payload.text }}" }
/// "#,
/// )?;
/// assert_eq!((workflow.name(), workflow.version()), ("note", 1));
///
/// let error = Declarative::parse("name: note\nsteps: none").unwrap_err();
/// assert_eq!(error.message(), "line 2, column 8: steps: a list of steps is wanted here; this is the text 'none'");
/// # Ok::<(), enact_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Declarative {
    text: String,
    definition: Definition,
}

impl Declarative {
    /// Reads a workflow's text, at most 1 MiB of YAML.
    ///
    /// # Errors
    /// `invalid_parameters` with line, column and field.
    pub fn parse(text: impl Into<String>) -> Result<Self, Error> {
        let text = text.into();
        let definition = parse::parse(&text)?;
        Ok(Self { text, definition })
    }

    /// Reads a workflow's file. Its runs keep the text; the file is not needed again.
    ///
    /// # Errors
    /// As [`Declarative::parse`], with the file before it; `not_found`, where there is no such file.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        read(path).and_then(Self::parse).map_err(|error| error.context(path.display()).left_nothing())
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.definition.steps
    }

    async fn carry_out(&self, cx: &WorkflowCx, input: &JsonText) -> Result<JsonText, Error> {
        let attributes = JsonText::encode(&cx.attributes())?.exact();
        let mut scope = Scope::new(payload(input)?, cx.user(), &attributes, &cx.run_id().to_string());
        let mut outputs = Vec::with_capacity(self.definition.steps.len());
        for step in &self.definition.steps {
            let outcome = carry_out_step(step, cx, &scope).await?;
            scope.add(&step.id, &outcome);
            outputs.push((step.id.as_str(), outcome.output()));
        }
        object(&outputs)
    }
}

async fn carry_out_step(step: &Step, cx: &WorkflowCx, scope: &Scope) -> Result<Outcome, Error> {
    let view = scope.view();
    let holds = step.when.as_ref().map_or(Ok(true), |when| when.holds(&view));
    if !holds.map_err(|error| error.context(in_step(step)))? {
        return Ok(Outcome::Skipped);
    }
    let params = step.with.evaluate(&view).map_err(|error| error.context(in_step(step)))?;
    let acted = cx.act(&step.connector, &step.action, params, step.tries).await;
    match acted {
        Ok(acted) => Ok(Outcome::Done(acted.output)),
        Err(error) => Err(error.context(format!("{} ({}.{})", in_step(step), step.connector, step.action))),
    }
}

/// What an entry of an object has beside its key and its value: two quotes, a colon and a comma.
const PUNCTUATION: usize = 4;

fn in_step(step: &Step) -> String {
    format!("step '{}'", step.id)
}

/// The payload: a JSON object; `null`, which says "no input", is an empty one.
pub(crate) fn payload(input: &JsonText) -> Result<JsonText, Error> {
    let kind = match input.exact() {
        Exact::Null => return JsonText::parse("{}"),
        Exact::Object(_) => return Ok(input.clone()),
        Exact::List(_) => "a list",
        Exact::Text(_) => "text",
        Exact::Bool(_) => "true or false",
        Exact::Number(_) => "a number",
    };
    let message =
        format!("payload: a JSON object is wanted, such as {{\"name\": \"value\"}}; this is {kind}");
    Err(Error::new(ErrorCode::InvalidParameters, message).left_nothing())
}

/// An object with its keys in the order of the steps; `null` where they are too large together: each is recorded with
/// its action, and what is done is not undone for that.
fn object(entries: &[(&str, JsonText)]) -> Result<JsonText, Error> {
    let size = |(id, output): &(&str, JsonText)| id.len() + output.as_str().len() + PUNCTUATION;
    if entries.iter().map(size).sum::<usize>() > MAX_BYTES - PUNCTUATION {
        return Ok(JsonText::null());
    }
    let mut bytes = Vec::new();
    let mut writer = serde_json::Serializer::new(&mut bytes);
    let written = writer.collect_map(entries.iter().map(|(id, output)| (id, output)));
    let text = written.ok().and_then(|()| String::from_utf8(bytes).ok());
    text.map_or_else(
        || Err(Error::new(ErrorCode::Internal, "the outputs of the steps have no JSON form")),
        |text| JsonText::parse(&text),
    )
}

impl DynWorkflow for Declarative {
    fn name(&self) -> &str {
        &self.definition.name
    }

    fn version(&self) -> u32 {
        self.definition.version
    }

    fn source(&self) -> WorkflowSource {
        WorkflowSource::Text(self.text.clone())
    }

    fn on_failure(&self) -> OnFailure {
        self.definition.on_failure
    }

    fn check_input(&self, input: &JsonText) -> Result<(), Error> {
        payload(input).map(drop)
    }

    fn foreseen(&self) -> Vec<Foreseen> {
        let foreseen = |step: &Step| {
            Foreseen::new(in_step(step), &step.connector, &step.action).params(step.with.fixed())
        };
        self.definition.steps.iter().map(foreseen).collect()
    }

    fn run<'a>(&'a self, cx: &'a WorkflowCx, input: JsonText) -> BoxFuture<'a, Result<JsonText, Error>> {
        async move { self.carry_out(cx, &input).await }.boxed()
    }
}

/// The text of a file, never more than is read anyway.
fn read(path: &Path) -> Result<String, Error> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_TEXT).unwrap_or(u64::MAX).saturating_add(1);
    let meta = fs::metadata(path).map_err(|source| unreadable(&source))?;
    if !meta.is_file() {
        // Opening a pipe would wait until somebody writes into it.
        return Err(Error::new(
            ErrorCode::InvalidParameters,
            "the file cannot be read: it is not a plain file",
        ));
    }
    let file = File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
    file.map_err(|source| unreadable(&source))?;
    if bytes.len() > MAX_TEXT {
        let message = format!("the file has more than {MAX_TEXT} bytes; a workflow has fewer");
        return Err(Error::new(ErrorCode::InvalidParameters, message));
    }
    String::from_utf8(bytes).map_err(|error| {
        let place = error.utf8_error().valid_up_to();
        let message = format!("the file is not UTF-8 text (byte {place} is not)");
        Error::new(ErrorCode::InvalidParameters, message)
    })
}

fn unreadable(source: &std::io::Error) -> Error {
    match source.kind() {
        std::io::ErrorKind::NotFound => Error::new(ErrorCode::NotFound, "there is no such file"),
        _ => Error::new(ErrorCode::InvalidParameters, format!("the file cannot be read: {source}")),
    }
}
