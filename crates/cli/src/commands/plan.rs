//! `enact plan`: what a workflow would do.

use std::sync::Arc;

use enact::action::{EffectClass, Target};
use enact::error::ErrorRecord;
use enact::json::JsonText;
use enact::policies::redacted;
use enact::policy::VerdictRecord;
use enact::store::EventStore;
use enact::yaml::PlannedStep;
use enact::{DynWorkflow, Enact, MemoryStore};
use serde::Serialize;
use serde_json::Value;

use super::start;
use crate::args::Start;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::out::{Out, Tone, clean};
use crate::policies;
use crate::render::short;
use crate::session;

/// The document of `plan`.
#[derive(Debug, Serialize)]
struct Document {
    workflow: String,
    version: u32,
    /// The verdicts on the run as a whole.
    verdicts: Vec<VerdictRecord>,
    steps: Vec<Step>,
}

#[derive(Debug, Serialize)]
struct Step {
    id: String,
    action: String,
    params: JsonText,
    target: Option<Target>,
    verdicts: Vec<VerdictRecord>,
    before: JsonText,
    change: JsonText,
    effect: Option<EffectClass>,
    undo: Option<String>,
    unknown: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    already_done: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    skipped: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorRecord>,
}

/// `enact plan`.
pub(crate) async fn plan(config: &Config, start: Start, out: Out) -> Result<Exit, Failure> {
    let (workflow, request) = start::request(config, start)?;
    let needed = workflow.foreseen().into_iter().map(|it| it.connector).collect();
    let connectors = config.connectors_for(Some(&needed))?.toolboxes;
    let policies = policies::for_runtime(config, &connectors)?;
    // What was admitted lately is in the store; nothing else of it is asked for.
    let looks_back = policies.iter().any(|policy| !policy.looks_back().is_zero());
    let store: Arc<dyn EventStore> =
        if looks_back { session::look(config)? } else { Arc::new(MemoryStore::new()) };
    let mut builder = Enact::builder().store(store).policies(policies);
    for (name, toolbox) in connectors {
        builder = builder.connector(name, toolbox);
    }
    let planner = builder.planner().await?;
    let mut plan = planner.begin(request)?;
    let steps = workflow.plan(&mut plan).await?;
    let document = Document {
        workflow: workflow.name().to_owned(),
        version: workflow.version(),
        verdicts: plan.verdicts().to_vec(),
        steps: steps.into_iter().map(Step::new).collect(),
    };
    if out.json {
        out.document(&document);
    } else {
        document.tell(out);
    }
    Ok(if document.is_denied() { Exit::BLOCKED } else { Exit::OK })
}

impl Step {
    fn new(step: PlannedStep) -> Self {
        let mut shown = Self {
            id: step.id,
            action: step.action,
            params: JsonText::null(),
            target: None,
            verdicts: Vec::new(),
            before: JsonText::null(),
            change: JsonText::null(),
            effect: None,
            undo: None,
            unknown: step.unknown,
            notes: Vec::new(),
            already_done: false,
            skipped: step.skipped,
            error: step.error,
        };
        if let Some(planned) = step.planned {
            shown.params = planned.params;
            shown.target = planned.target;
            shown.verdicts = planned.verdicts;
            shown.before = planned.shown.before;
            shown.change = planned.shown.change;
            shown.effect = Some(planned.effect);
            shown.undo = Some(planned.undo);
            shown.notes = planned.notes;
            shown.already_done = planned.already_done;
            shown.error = shown.error.or(planned.error);
        }
        shown
    }

    fn tell(&self, number: usize, out: Out) {
        let target = self.target.as_ref().map(|target| format!("  {target}")).unwrap_or_default();
        let head = clean(&format!("{number:>2}  {}: {}{target}", self.id, self.action));
        out.line(&out.paint(Tone::Strong, &head));
        let line = |name: &str, tone: Tone, value: &str| {
            out.line(&format!("      {name:<8} {}", out.paint(tone, &clean(value))));
        };
        if self.skipped {
            return line("skipped", Tone::Faint, "its `when` does not hold");
        }
        if !self.unknown.is_empty() {
            let what = format!("{}: known when the run is there", self.unknown.join(", "));
            line("unknown", Tone::Faint, &what);
        }
        tell_verdicts(&self.verdicts, &line);
        if let Some(error) = &self.error {
            line("error", Tone::Bad, &format!("{}: {} (as things are now)", error.code, error.message));
        }
        if self.already_done {
            line("change", Tone::Faint, "none: it is so already");
        }
        for (name, value) in [("before", &self.before), ("change", &self.change)] {
            match value.value() {
                Value::Null => {}
                Value::String(text) if text.contains('\n') => {
                    line(name, Tone::Plain, "");
                    // As a whole first: a private key has many lines.
                    let text = redacted(&text);
                    text.lines().for_each(|text| out.line(&format!("        {}", clean(text))));
                }
                Value::String(text) => line(name, Tone::Plain, &text),
                _ => line(name, Tone::Plain, &short(value)),
            }
        }
        self.notes.iter().for_each(|note| line("note", Tone::Warn, note));
        if let Some(undo) = &self.undo {
            let tone = if self.effect == Some(EffectClass::Irreversible) { Tone::Warn } else { Tone::Plain };
            line("undo", tone, undo);
        }
    }
}

fn tell_verdicts(verdicts: &[VerdictRecord], line: &dyn Fn(&str, Tone, &str)) {
    for verdict in verdicts.iter().filter(|verdict| !verdict.passed || !verdict.reason.is_empty()) {
        let tone = if verdict.passed { Tone::Warn } else { Tone::Bad };
        line("policy", tone, &format!("{}: {}", verdict.policy, verdict.reason));
    }
}

impl Document {
    fn is_denied(&self) -> bool {
        let of_steps = self.steps.iter().flat_map(|step| &step.verdicts);
        self.verdicts.iter().chain(of_steps).any(|verdict| !verdict.passed)
    }

    fn tell(&self, out: Out) {
        out.line(&format!("plan of {} version {}; nothing is changed", clean(&self.workflow), self.version));
        tell_verdicts(&self.verdicts, &|name, tone, value| {
            out.line(&format!("  {name} {}", out.paint(tone, &clean(value))));
        });
        for (number, step) in (1..).zip(&self.steps) {
            step.tell(number, out);
        }
        let irreversible = self.steps.iter().filter(|step| step.effect == Some(EffectClass::Irreversible));
        let irreversible: Vec<_> = irreversible.map(|step| step.id.as_str()).collect();
        if !irreversible.is_empty() {
            let what = format!("what could not be undone: {}", clean(&irreversible.join(", ")));
            out.line(&out.paint(Tone::Warn, &what));
        }
        if self.is_denied() {
            out.line(&out.paint(Tone::Bad, "the run would be refused"));
        }
    }
}
