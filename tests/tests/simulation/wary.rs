//! Policies that want approvals, what people say to that, and what must hold of it.

use std::time::Duration;

use enact::event::{ApprovalWord, Event, StoredEvent};
use enact::policy::{Approval, Policy, Request, Verdict};
use enact::prelude::*;
use enact::run::{ApprovalState, RunState};

use crate::plan::Rng;

/// Who may say yes.
pub(crate) const BOSS: &str = "boss@company.com";

/// Wants approvals by what the seed says, at each gate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wary {
    runs: bool,
    /// Of changes of the key `a`, on their parameters.
    a: bool,
    /// Of changes of the key `b`, where there is something already.
    b: bool,
    /// Of reading the key `c`.
    reads: bool,
    within: Duration,
}

impl Wary {
    pub(crate) fn of(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x3a27);
        let mut one_in = |count| rng.one_in(count);
        let (runs, a, b, reads) = (one_in(6), one_in(3), one_in(3), one_in(4));
        Self { runs, a, b, reads, within: Duration::from_secs(if one_in(2) { 20 } else { 3600 }) }
    }

    fn wants(&self, action: &str, key: &str, exists: Option<bool>) -> bool {
        let is_read = action == "get";
        match (key, exists) {
            ("a", None) => self.a && !is_read,
            ("b", Some(true)) => self.b && !is_read,
            ("c", None) => self.reads && is_read,
            _ => false,
        }
    }
}

impl Policy for Wary {
    fn name(&self) -> &str {
        "wary"
    }

    fn judge(&self, request: &Request<'_>) -> Verdict {
        let wanted = match request.action() {
            None => self.runs,
            Some(action) => {
                let exists = request.facts().map(|facts| facts.get("exists").is_some_and(|it| *it == true));
                self.wants(action.action, &action.target.id, exists)
            }
        };
        if !wanted {
            return Verdict::Pass;
        }
        Verdict::NeedsApproval(Approval::new("look at it").by([BOSS]).within(self.within))
    }
}

/// What a person does about a run that waits.
pub(crate) async fn decide(enact: &Enact, state: &RunState, people: &mut Rng) -> Result<Run, Error> {
    let (run, seq) = (state.id, state.open_approvals().next().and_then(ApprovalState::seq));
    match people.below(12) {
        0..=7 => enact.approve(run, seq, BOSS).await,
        8 => enact.deny(run, seq, "ann", None).await,
        9 => enact.cancel(run, "ann", None).await,
        10 => enact.resume(run, "ann").await,
        _ => {
            // Nobody says anything for a while.
            tokio::time::sleep(Duration::from_secs(30)).await;
            enact.wait(run).await
        }
    }
}

/// What was judged by the policy was done or read only where it was approved, in time, and nothing that was denied or had
/// expired was. What has ended waits for nobody. Gives how many approvals were used, and how many times a no was said.
pub(crate) fn judge(wary: &Wary, events: &[&StoredEvent]) -> Result<(usize, usize), String> {
    let (mut state, mut used, mut noes): (Option<RunState>, _, _) = (None, 0, 0);
    for event in events {
        let (asked, exists) = match &event.event {
            Event::ActionIntended(intent) if !intent.verdicts.is_empty() => {
                let exists = intent.facts.value().get("exists").is_some_and(|it| *it == true);
                (Some(&intent.call), exists)
            }
            Event::ActionRead(read) if !read.verdicts.is_empty() => (Some(&read.call), false),
            _ => (None, false),
        };
        if let (Some(call), Some(before)) = (asked, &state) {
            let key = call.target.as_ref().map(|target| target.id.as_str()).unwrap_or_default();
            let gates = [None, Some(exists)];
            let wanted = gates.into_iter().any(|gate| wary.wants(&call.action, key, gate));
            let is_given = before.approvals.iter().any(|one| {
                let word = one.decided.as_ref().map(|decided| decided.word);
                one.seq() == Some(call.seq)
                    && one.void.is_none()
                    && word == Some(ApprovalWord::Approved)
                    && (call.action == "get" || event.at < one.request.expires_at)
            });
            if wanted && !is_given {
                return Err(format!("{} of '{key}' went on without leave", call.action));
            }
            used += usize::from(wanted);
        }
        if let Event::ApprovalDecided(decided) = &event.event {
            noes += usize::from(decided.word != ApprovalWord::Approved);
        }
        state = Some(RunState::step(state, event).map_err(|illegal| illegal.to_string())?);
    }
    match state.filter(RunState::has_ended) {
        Some(ended) if ended.open_approvals().next().is_some() => {
            Err("it has ended, and waits for a person".to_owned())
        }
        _ => Ok((used, noes)),
    }
}
