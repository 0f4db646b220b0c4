//! Runs for people.

use enact::document::{ActionResult, RunDocument};
use enact::run::RunStatus;
use serde_json::Value;

use crate::out::{Out, Tone, clean};

/// How a status is coloured.
pub(crate) fn tone(status: RunStatus) -> Tone {
    match status {
        RunStatus::Completed | RunStatus::RolledBack => Tone::Good,
        RunStatus::Blocked | RunStatus::Failed => Tone::Bad,
        RunStatus::AwaitingApproval | RunStatus::PartiallyRolledBack | RunStatus::Quarantined => Tone::Warn,
        RunStatus::Running | RunStatus::RollingBack => Tone::Strong,
    }
}

/// One run, with its actions and what to do next.
pub(crate) fn run(out: Out, run: &RunDocument) {
    run_as_it_was(out, run);
    if let Some(next) = advice(run) {
        out.line(&format!("  {}", out.paint(Tone::Faint, &next)));
    }
}

/// One run, with its actions.
pub(crate) fn run_as_it_was(out: Out, run: &RunDocument) {
    let head = format!("{} version {} for {}", clean(&run.workflow), run.version, clean(&run.user));
    out.line(&format!("{}  {head}", out.paint(Tone::Strong, &run.run_id.to_string())));
    for action in run.actions.iter().flatten() {
        self::action(out, action);
    }
    for verdict in run.policy_results.iter().filter(|result| !result.verdict.passed) {
        let reason = &verdict.verdict.reason;
        out.line(&format!(
            "  policy {}: {}",
            clean(&verdict.verdict.policy),
            out.paint(Tone::Bad, &clean(reason))
        ));
    }
    if let Some(rollback) = &run.rollback {
        let words = rollback.actions.iter().map(|undo| format!("{} {}", undo.seq, undo.outcome.as_str()));
        out.line(&format!("  undo: {}", words.collect::<Vec<_>>().join(", ")));
        for undo in &rollback.actions {
            if let Some(error) = &undo.error {
                out.line(&format!("    {}: {}: {}", undo.seq, error.code, clean(&error.message)));
            }
        }
    }
    let status = out.paint(tone(run.status), run.status.as_str());
    let ended = run
        .ended_at
        .map_or(String::new(), |ended| format!(", in {} ms", ended.since(run.started_at).as_millis()));
    out.line(&format!("  {status} (began {}{ended})", run.started_at));
    if let Some(error) = &run.error {
        out.line(&format!("  {}: {}", error.code, clean(&error.message)));
    }
}

fn action(out: Out, action: &ActionResult) {
    let name = format!("{}.{}", clean(&action.connector), clean(&action.action));
    let (tone, how) = match (&action.error, action.success, action.already_done) {
        (Some(error), ..) => (Tone::Bad, format!("{}: {}", error.code, error.message)),
        (None, true, true) => (Tone::Faint, "was so already".to_owned()),
        (None, true, false) => (Tone::Good, "done".to_owned()),
        (None, false, _) => (Tone::Warn, "has not ended".to_owned()),
    };
    out.line(&format!("  {:>2}  {name:<24} {}", action.seq, out.paint(tone, &clean(&how))));
    let Some(detail) = &action.detail else { return };
    let field = |name: &str, value: String| out.line(&format!("        {name:<9} {}", clean(&value)));
    if let Some(target) = &detail.target {
        field("target", target.to_string());
    }
    field("params", short(&detail.params.value()));
    if detail.pre_state != Value::Null {
        field("before", short(&detail.pre_state));
    }
    let undo = detail.reversal.action.clone().unwrap_or_else(|| detail.reversal.effect.to_string());
    let outcome = detail.reversal.outcome.map_or(String::new(), |outcome| format!(": {}", outcome.as_str()));
    field("undo", format!("{undo}{outcome}"));
}

/// A value in a line of bearable length.
fn short(value: &Value) -> String {
    const MOST: usize = 160;
    let text = value.to_string();
    match text.char_indices().nth(MOST) {
        Some((end, _)) => {
            format!("{}… ({} bytes; --json shows all)", text.get(..end).unwrap_or_default(), text.len())
        }
        None => text,
    }
}

/// What to do next.
fn advice(run: &RunDocument) -> Option<String> {
    let id = run.run_id;
    match run.status {
        RunStatus::Running | RunStatus::RollingBack => {
            Some(format!("interrupted; `enact resume {id}` finishes it"))
        }
        RunStatus::Quarantined => Some(format!(
            "`enact show {id}` says more; then `enact resolve {id} --seq N --as …`, `enact resume {id}` or `enact rollback {id}`"
        )),
        RunStatus::PartiallyRolledBack => {
            Some(format!("`enact rollback {id}` tries again; `--force` overrides conflicts"))
        }
        _ => None,
    }
}

/// One line for each run.
pub(crate) fn list(out: Out, runs: &[RunDocument]) {
    for run in runs {
        let status = out.paint(tone(run.status), &format!("{:<21}", run.status.as_str()));
        let of = format!("{} v{}", clean(&run.workflow), run.version);
        out.line(&format!("{}  {status} {of:<24} {:<28} {}", run.run_id, clean(&run.user), run.started_at));
    }
    if runs.is_empty() {
        out.line("no runs");
    }
}
