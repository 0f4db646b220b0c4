//! Runs for people.

use enact::document::{ActionResult, RunDocument};
use enact::ids::RunId;
use enact::run::{RunStatus, UndoOutcome};
use enact::json::JsonText;

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
    field("params", short(&detail.params));
    if detail.pre_state != JsonText::null() {
        field("before", short(&detail.pre_state));
    }
    let undo = detail.reversal.action.clone().unwrap_or_else(|| detail.reversal.effect.to_string());
    let outcome = detail.reversal.outcome.map_or(String::new(), |outcome| format!(": {}", outcome.as_str()));
    field("undo", format!("{undo}{outcome}"));
}

/// A value in a line of bearable length.
fn short(value: &JsonText) -> String {
    const MOST: usize = 160;
    let text = value.as_str();
    match text.char_indices().nth(MOST) {
        Some((end, _)) => {
            format!("{}… ({} bytes; --json shows all)", text.get(..end).unwrap_or_default(), text.len())
        }
        None => text.to_owned(),
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
            let undone = run.rollback.iter().flat_map(|rollback| &rollback.actions);
            what_helps(id, &undone.map(|undo| undo.outcome).collect::<Vec<_>>())
        }
        _ => None,
    }
}

/// What helps, for each way in which an action was not undone.
fn what_helps(id: RunId, outcomes: &[UndoOutcome]) -> Option<String> {
    let help = [
        (
            UndoOutcome::Conflict,
            format!("conflict: `enact rollback {id} --force` overwrites what others changed since"),
        ),
        (UndoOutcome::Failed, format!("failed: `enact rollback {id}` tries again")),
        (
            UndoOutcome::InDoubt,
            format!(
                "in_doubt: `enact rollback {id}` looks again when the system answers, or you look and say what you \
                 found: `enact resolve {id} --seq N --as …`"
            ),
        ),
        (UndoOutcome::Irreversible, "irreversible: enact has no way to undo it".to_owned()),
    ];
    let helps = help.into_iter().filter(|(outcome, _)| outcomes.contains(outcome)).map(|(_, help)| help);
    let helps = helps.collect::<Vec<_>>().join("\n  ");
    (!helps.is_empty()).then_some(helps)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_names_what_helps_for_each_outcome_that_there_is() {
        let advice = |outcomes: &[UndoOutcome]| {
            let id = "01a212b7-22f3-7a79-815e-7b98284c5396".parse().unwrap();
            what_helps(id, outcomes).unwrap_or_default()
        };
        for (outcome, helps, not) in [
            (UndoOutcome::Conflict, "--force", "resolve"),
            (UndoOutcome::Failed, "tries again", "--force"),
            (UndoOutcome::InDoubt, "resolve", "--force"),
            (UndoOutcome::Irreversible, "no way", "rollback"),
        ] {
            let said = advice(&[UndoOutcome::Undone, outcome]);
            assert!(said.contains(helps) && !said.contains(not), "{outcome:?}: {said}");
        }
        assert_eq!(advice(&[UndoOutcome::Undone]), "");
    }
}
