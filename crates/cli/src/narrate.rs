//! Events as they happen, in a line each.

use std::collections::HashMap;

use enact::error::ErrorRecord;
use enact::event::{ActionCall, ApprovalWord, Event, Finding, Skipped};
use enact::ids::{EventSeq, RunId, Seq};
use enact::{Note, Observer, Step};
use parking_lot::Mutex;

use crate::out::{Out, Tone, clean};

/// Says in a line what happened; remembers which action a number is, while its run goes on.
#[derive(Debug, Default)]
pub(crate) struct Narrator {
    calls: HashMap<RunId, HashMap<Seq, String>>,
}

/// A line of the story.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) tone: Tone,
    pub(crate) mark: &'static str,
    pub(crate) what: String,
    pub(crate) how: String,
}

impl Narrator {
    /// What an event means for a person; `None` where it means nothing by itself.
    pub(crate) fn tell(&mut self, run: RunId, event: &Event) -> Option<Line> {
        use Tone::{Bad, Faint, Good, Plain, Warn};
        let (seq, tone, mark, how) = match event {
            Event::ActionIntended(intended) => {
                self.remember(run, &intended.call);
                return None;
            }
            Event::ActionRead(read) => (self.remember(run, &read.call), Good, "✓", "read".into()),
            Event::ActionAlreadyDone(done) => {
                (self.remember(run, &done.call), Faint, "=", "was so already; nothing changed".into())
            }
            Event::ActionRefused(refused) => {
                (self.remember(run, &refused.call), Bad, "✗", format!("refused: {}", refused.error.message))
            }
            Event::ActionCaptureFailed(failed) => {
                (self.remember(run, &failed.call), Bad, "✗", failed_how(&failed.error, false))
            }
            Event::ActionSucceeded(done) => (done.seq, Good, "✓", "done".into()),
            Event::ActionFailed(failed) => {
                (failed.seq, Bad, "✗", failed_how(&failed.error, failed.will_retry))
            }
            Event::ActionResolved(found) => (found.seq, Warn, "?", found_how(&found.finding)),
            Event::CompensationSucceeded(undone) => (undone.seq, Good, "↩", "undone".into()),
            Event::CompensationSkipped(skipped) => match &skipped.why {
                Skipped::AlreadyUndone => (skipped.seq, Faint, "=", "was undone already".into()),
                Skipped::NothingToUndo => (skipped.seq, Faint, "=", "left nothing to undo".into()),
                Skipped::Irreversible(why) => (skipped.seq, Warn, "!", format!("cannot be undone: {why}")),
            },
            Event::CompensationConflicted(conflict) => {
                (conflict.seq, Warn, "!", format!("left alone: {}", conflict.error.message))
            }
            Event::CompensationFailed(failed) => {
                (failed.seq, Bad, "✗", failed_how(&failed.error, failed.will_retry))
            }
            Event::CompensationResolved(found) => (found.seq, Warn, "?", found_how(&found.finding)),
            Event::ApprovalRequested(asked) => match &asked.call {
                Some(call) => (self.remember(run, call), Warn, "…", "waits for a person's approval".into()),
                None => return Some(whole(Warn, "the run waits for a person's approval")),
            },
            Event::ApprovalDecided(decided) => {
                let (tone, word) = match decided.word {
                    ApprovalWord::Approved => (Good, "approved"),
                    ApprovalWord::Denied => (Bad, "not approved"),
                    ApprovalWord::Expired => (Bad, "nobody approved it in time"),
                };
                let by = decided.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
                match decided.seq {
                    Some(seq) => (seq, tone, "·", format!("{word}{by}")),
                    None => return Some(whole(tone, &format!("{word}{by}"))),
                }
            }
            Event::RunBlocked(_) => return Some(whole(Bad, "the run is refused")),
            Event::RunFailed(failed) => {
                return Some(whole(Bad, &format!("the workflow failed: {}", failed.error.message)));
            }
            Event::CancelRequested(cancel) => {
                return Some(whole(Warn, &format!("cancelled by {}", cancel.by)));
            }
            Event::RollbackRequested(asked) => {
                return Some(whole(Plain, &format!("rollback, asked for by {}", asked.by)));
            }
            Event::RunQuarantined(why) => {
                return Some(whole(Warn, &format!("needs an operator: {}", why.error.message)));
            }
            _ => return None,
        };
        let call = self.calls.get(&run).and_then(|calls| calls.get(&seq));
        let what = format!("{seq:>2}  {}", call.map_or("action", String::as_str));
        Some(Line { tone, mark, what: clean(&what), how: clean(&how) })
    }

    /// Learns which action a number is, also where it was recorded before this process.
    fn meet(&mut self, run: RunId, call: &ActionCall) {
        self.calls.entry(run).or_default().entry(call.seq).or_insert_with(|| describe(call));
    }

    fn remember(&mut self, run: RunId, call: &ActionCall) -> Seq {
        self.calls.entry(run).or_default().insert(call.seq, describe(call));
        call.seq
    }

    /// Forgets a run with its last event.
    fn forget(&mut self, run: RunId, event: &Event) {
        if matches!(event, Event::RunSucceeded(_) | Event::RunBlocked(_) | Event::RollbackFinished) {
            self.calls.remove(&run);
        }
    }
}

fn describe(call: &ActionCall) -> String {
    let target = call.target.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("{:<20} {target}", format!("{}.{}", call.connector, call.action))
}

fn whole(tone: Tone, how: &str) -> Line {
    Line { tone, mark: "·", what: String::new(), how: clean(how) }
}

fn failed_how(error: &ErrorRecord, will_retry: bool) -> String {
    format!("{}{}: {}", if will_retry { "tried again after " } else { "" }, error.code, error.message)
}

fn found_how(finding: &Finding) -> String {
    match finding {
        Finding::Applied(_) => "looked: it is there; not done again".into(),
        Finding::NotApplied => "looked: it is not there".into(),
        Finding::Unknown(seen) => format!("looked, and cannot tell: {seen}"),
    }
}

impl Line {
    /// The line, coloured.
    pub(crate) fn print(&self, out: Out) -> String {
        let how = out.paint(self.tone, &self.how);
        if self.what.is_empty() {
            return format!("  {} {how}", out.paint(self.tone, self.mark));
        }
        format!("  {} {:<56} {how}", out.paint(self.tone, self.mark), self.what)
    }
}

/// Prints events as they happen.
pub(crate) struct Progress {
    out: Out,
    to_stdout: bool,
    narrator: Mutex<Narrator>,
}

impl Progress {
    /// On standard error, for commands whose result goes to standard output; or, for the demo, with the rest.
    pub(crate) fn new(out: Out, to_stdout: bool) -> Self {
        Self { out, to_stdout, narrator: Mutex::default() }
    }
}

impl Observer for Progress {
    fn on_step(&self, step: &Step<'_>) {
        self.narrator.lock().meet(step.effect.run, step.call);
    }

    fn on_note(&self, note: &Note<'_>) {
        let action = format!("{}.{}", note.call.connector, note.call.action);
        let what = format!("{:>2}  {action}", note.call.seq);
        let line = Line { tone: Tone::Faint, mark: "·", what: clean(&what), how: clean(note.text) };
        let text = line.print(self.out);
        if self.to_stdout { self.out.line(&text) } else { self.out.note(&text) }
    }

    fn on_event(&self, run: RunId, _: EventSeq, event: &Event) {
        let line = {
            let mut narrator = self.narrator.lock();
            let line = narrator.tell(run, event);
            narrator.forget(run, event);
            line
        };
        let Some(line) = line else { return };
        let text = line.print(self.out);
        if self.to_stdout { self.out.line(&text) } else { self.out.note(&text) }
    }
}
