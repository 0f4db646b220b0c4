//! What a run, or a plan of one, is asked for with: from the command line to a request.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use enact::RunRequest;
use enact::json::{JsonText, MAX_BYTES};
use enact::yaml::{Declarative, Folder};
use serde_json::{Map, Value};

use crate::args::Start;
use crate::config::Config;
use crate::failure::{Failure, usage};
use crate::text;

/// The workflow, and the request for a run of it.
pub(crate) fn request(config: &Config, start: Start) -> Result<(Arc<Declarative>, RunRequest), Failure> {
    let workflow = workflow(config, &start.workflow)?;
    let input = input(start.payload.as_deref(), "--payload")?;
    let attributes = attributes(&start.attributes.given)?;
    let request = RunRequest::new(&*workflow, start.user, input).attributes(attributes).key(start.key);
    Ok((workflow, request))
}

/// A workflow by its name or its file.
fn workflow(config: &Config, name: &str) -> Result<Arc<Declarative>, Failure> {
    if name.contains('/') || name.ends_with(".yaml") {
        return Ok(Arc::new(Declarative::load(name)?));
    }
    match config.workflows() {
        Some(dir) => Ok(Folder::open(dir)?.find(name)?),
        None => Err(usage(format!(
            "no workflow '{name}': {} names no folder of workflows; add [workflows] dir, or give a file",
            config.file().display()
        ))),
    }
}

/// JSON from the command line, or from a file where it begins with '@'; `null` where none is given.
pub(crate) fn input(given: Option<&str>, option: &str) -> Result<JsonText, Failure> {
    let Some(given) = given else { return Ok(JsonText::null()) };
    let text = match given.strip_prefix('@') {
        Some(file) => text::read(Path::new(file), MAX_BYTES)
            .map_err(|error| usage(format!("{option}: the file {file} cannot be read: {error}")))?,
        None => given.to_owned(),
    };
    Ok(JsonText::parse(&text).map_err(|error| error.context(option))?)
}

/// What is said of the user. A name that is given several times has a list of texts.
pub(crate) fn attributes(given: &[String]) -> Result<Map<String, Value>, Failure> {
    let mut attributes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for attribute in given {
        let Some((name, value)) = attribute.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(usage(format!("--attr '{attribute}' is not K=V")));
        };
        if value.starts_with('[') && value.ends_with(']') {
            return Err(usage(format!(
                "--attr '{attribute}' would be one text with brackets in it; for a list give each on its own: \
                 --attr {name}=a --attr {name}=b"
            )));
        }
        attributes.entry(name).or_default().push(value);
    }
    let value = |values: Vec<&str>| match values.as_slice() {
        [one] => Value::from(*one),
        several => Value::from(several),
    };
    Ok(attributes.into_iter().map(|(name, values)| (name.to_owned(), value(values))).collect())
}
