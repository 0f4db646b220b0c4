//! Runs for people.

use enact::document::{
    ActionResult, ApprovalOutcome, ApprovalResult, Change, RollbackResult, RunDocument, UndoResult,
};
use enact::error::ErrorCode;
use enact::event::StoredEvent;
use enact::exact::Exact;
use enact::ids::RunId;
use enact::json::JsonText;
use enact::policies::redacted_json;
use enact::run::{Erasure, RunStatus, UndoOutcome};

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
    for approval in &run.approvals {
        self::approval(out, approval);
    }
    if let Some(rollback) = &run.rollback {
        if !rollback.actions.is_empty() {
            out.line(&format!("  undo: {}", outcomes(&rollback.actions)));
        }
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
    if let Some(Erasure { at, actions }) = run.erased {
        out.line(&format!("  its content was erased at {at}; it had {actions} actions"));
    }
}

fn approval(out: Out, approval: &ApprovalResult) {
    let what = match (approval.seq, &approval.action) {
        (Some(seq), Some(action)) => format!("{seq} {action}"),
        _ => "the run".to_owned(),
    };
    let (tone, word) = match approval.word {
        None => (Tone::Warn, format!("waits until {}", approval.expires_at)),
        Some(ApprovalOutcome::Approved) => (Tone::Good, "approved".to_owned()),
        Some(ApprovalOutcome::Denied) => (Tone::Bad, "denied".to_owned()),
        Some(ApprovalOutcome::Expired) => (Tone::Bad, "expired".to_owned()),
        Some(ApprovalOutcome::Withdrawn) => (Tone::Faint, "withdrawn".to_owned()),
    };
    let by = approval.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
    let reason = approval.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let word = out.paint(tone, &clean(&format!("{word}{by}{reason}")));
    out.line(&format!("  approval of {}: {word}", clean(&what)));
    if let Some(why) = &approval.void {
        out.line(&out.paint(Tone::Faint, &format!("    void: {}", clean(why))));
    }
    for wanted in &approval.reasons {
        out.line(&format!("    {}: {}", clean(&wanted.policy), clean(&wanted.reason)));
    }
    if approval.word.is_none() {
        for (name, value) in [("params", &approval.params), ("found", &approval.facts)] {
            if let Some(value) = value {
                out.line(&format!("    {name:<7} {}", clean(&short(value))));
            }
        }
        if !approval.approvers.is_empty() {
            out.line(&format!("    by one of {}", clean(&approval.approvers.join(", "))));
        }
    }
}

/// What became of each action, neighbours with the same outcome together: `9 to 3 undone, 2 conflict, 1 undone`.
fn outcomes(undone: &[UndoResult]) -> String {
    let alike = undone.chunk_by(|one, next| one.outcome == next.outcome);
    let words = alike.filter_map(|alike| {
        let (first, last) = (alike.first()?, alike.last()?);
        let numbers = if first.seq == last.seq {
            first.seq.to_string()
        } else {
            format!("{} to {}", first.seq, last.seq)
        };
        Some(format!("{numbers} {}", first.outcome.as_str()))
    });
    words.collect::<Vec<_>>().join(", ")
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
pub(crate) fn short(value: &JsonText) -> String {
    const MOST: usize = 160;
    // First, since half a secret is not known as one.
    let text = redacted_json(value.as_str());
    match text.char_indices().nth(MOST) {
        Some((end, _)) => {
            format!("{}… ({} bytes; --json shows all)", text.get(..end).unwrap_or_default(), text.len())
        }
        None => text.into_owned(),
    }
}

/// An event that came later, and what it changed.
pub(crate) fn later(out: Out, event: &StoredEvent, changes: &[Change]) {
    let line = format!("  later: {:>4}  {}  {}", event.event_seq, event.at, event.event.name());
    out.line(&out.paint(Tone::Faint, &line));
    let value =
        |value: &Exact| JsonText::encode(value).map_or_else(|error| error.to_string(), |text| short(&text));
    for Change { path, before, after } in changes {
        let change = match (before, after) {
            (None | Some(Exact::Null), Some(after)) => value(after),
            (Some(before), Some(after)) => format!("{} → {}", value(before), value(after)),
            (Some(before), None) => format!("{} → nothing", value(before)),
            (None, None) => continue,
        };
        out.line(&format!("         {}: {}", out.paint(Tone::Faint, &clean(path)), clean(&change)));
    }
}

/// What to do next.
fn advice(run: &RunDocument) -> Option<String> {
    let id = run.run_id;
    match run.status {
        _ if run.erased.is_some() => None,
        RunStatus::Running | RunStatus::RollingBack => {
            Some(format!("interrupted; `enact resume {id}` finishes it"))
        }
        RunStatus::AwaitingApproval => {
            let open: Vec<_> = run.approvals.iter().filter(|approval| approval.word.is_none()).collect();
            let which = match (&open[..], open.first().and_then(|first| first.seq)) {
                ([_, _, ..], Some(seq)) => format!(" --seq {seq}"),
                _ => String::new(),
            };
            let until = open.first().map(|first| format!(" until {}", first.expires_at)).unwrap_or_default();
            Some(format!(
                "`enact approve {id}{which} --by EMAIL` or `enact deny {id}{which}` decides it{until}; after that \
                 `enact resume {id}` ends what waited"
            ))
        }
        RunStatus::Quarantined => Some(format!(
            "`enact show {id}` says more; then `enact resolve {id} --seq N --as …`, `enact resume {id}` or `enact rollback {id}`"
        )),
        RunStatus::PartiallyRolledBack => run.rollback.as_ref().and_then(|rollback| what_helps(id, rollback)),
        _ => None,
    }
}

/// What helps, for each way in which an action was not undone.
///
/// A conflict is overridden by force where its error has the code `conflict` and force was not there already.
fn what_helps(id: RunId, rollback: &RollbackResult) -> Option<String> {
    let is_conflict = |undo: &UndoResult| undo.outcome == UndoOutcome::Conflict;
    let yields = |undo: &UndoResult| {
        !rollback.forced && undo.error.as_ref().is_some_and(|error| error.code == ErrorCode::Conflict)
    };
    let conflicts = [
        (
            rollback.actions.iter().any(|undo| is_conflict(undo) && yields(undo)),
            format!("conflict: `enact rollback {id} --force` overwrites what others changed since"),
        ),
        (
            rollback.actions.iter().any(|undo| is_conflict(undo) && !yields(undo)),
            format!(
                "conflict that force does not override: its line says why; where that can be put right, `enact rollback \
                 {id}` tries again"
            ),
        ),
    ];
    let help = [
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
    let has = |outcome| rollback.actions.iter().any(|undo| undo.outcome == outcome);
    let others = help.into_iter().map(|(outcome, help)| (has(outcome), help));
    let helps = conflicts.into_iter().chain(others).filter(|(applies, _)| *applies).map(|(_, help)| help);
    let helps = helps.collect::<Vec<_>>().join("\n  ");
    (!helps.is_empty()).then_some(helps)
}

/// One line for each run, and one more for why it did not complete.
pub(crate) fn list_with_reasons(out: Out, runs: &[RunDocument]) {
    for run in runs {
        list(out, std::slice::from_ref(run));
        if let Some(error) = &run.error {
            out.line(&format!("  {}: {}", error.code, clean(&error.message)));
        }
    }
    if runs.is_empty() {
        list(out, runs);
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

#[cfg(test)]
mod tests {
    use enact::error::ErrorRecord;
    use enact::ids::Seq;

    use super::*;

    fn rollback(forced: bool, outcomes: &[(UndoOutcome, Option<ErrorCode>)]) -> RollbackResult {
        let actions =
            outcomes.iter().zip((1..=outcomes.len() as u64).rev()).map(|((outcome, code), seq)| UndoResult {
                seq: Seq(seq),
                outcome: *outcome,
                error: code.map(|code| ErrorRecord { code, message: "it is so".into(), retryable: false }),
            });
        RollbackResult { actions: actions.collect(), forced }
    }

    fn advice(rollback: &RollbackResult) -> String {
        let id = "01a212b7-22f3-7a79-815e-7b98284c5396".parse().unwrap();
        what_helps(id, rollback).unwrap_or_default()
    }

    #[test]
    fn advice_names_what_helps_for_each_outcome_that_there_is() {
        for (outcome, code, helps, not) in [
            (UndoOutcome::Conflict, ErrorCode::Conflict, "--force", "resolve"),
            (UndoOutcome::Conflict, ErrorCode::PreconditionFailed, "tries again", "--force"),
            (UndoOutcome::Failed, ErrorCode::Timeout, "tries again", "--force"),
            (UndoOutcome::InDoubt, ErrorCode::InDoubt, "resolve", "--force"),
            (UndoOutcome::Irreversible, ErrorCode::Irreversible, "no way", "rollback"),
        ] {
            let said = advice(&rollback(false, &[(UndoOutcome::Undone, None), (outcome, Some(code))]));
            assert!(said.contains(helps) && !said.contains(not), "{outcome:?}: {said}");
        }
        assert_eq!(advice(&rollback(false, &[(UndoOutcome::Undone, None)])), "");
    }

    #[test]
    fn force_is_not_advised_to_who_has_just_used_it() {
        let said = advice(&rollback(true, &[(UndoOutcome::Conflict, Some(ErrorCode::Conflict))]));
        assert!(!said.contains("--force") && said.contains("tries again"), "{said}");
    }

    #[test]
    fn neighbours_with_the_same_outcome_are_told_together() {
        let (undone, conflict) = ((UndoOutcome::Undone, None), (UndoOutcome::Conflict, None));
        let rollback = rollback(false, &[undone, undone, undone, conflict, undone]);
        assert_eq!(outcomes(&rollback.actions), "5 to 3 undone, 2 conflict, 1 undone");
    }
}
