//! What comes back of an action: a connector's report, a probe's finding; recorded, and handed to the code.

use std::sync::Arc;

use enact_core::action::Facts;
use enact_core::connector::Identity;
use enact_core::error::{Error, ErrorCode, Remains};
use enact_core::event::{
    ActionAlreadyDone, ActionCaptureFailed, ActionFailed, ActionIntended, ActionRead, ActionResolved,
    ActionSucceeded, Event, Finding,
};
use enact_core::ids::{Direction, Seq};
use enact_core::json::JsonText;
use enact_core::run::{Outcome, Phase};
use enact_core::store::{Appended, Durability};

use crate::backoff::{asks_too_much, backoff};
use crate::gate::{self, Judged};
use crate::job::{Intent, Report, Said, What, is_undo, lost};
use crate::replay;

use super::forward::{PassedGate, answer};
use super::{Go, Run, Told};

/// A connector that is being restarted is waited for as after so many failures: less than half a second.
const RESTARTING: u32 = 3;

impl Run {
    pub(super) async fn reported(&mut self, report: Report) -> Result<(), Error> {
        let (seq, attempt) = (report.effect.seq, report.effect.attempt);
        if is_undo(&report.effect) {
            return self.undo_reported(report).await;
        }
        let job = (seq, attempt, Direction::Forward);
        match report.said {
            Said::Begin { identity, reply } => {
                let may = self.may_begin(seq, &identity).await;
                self.answered(job, may, |()| reply.send(()).is_ok())
            }
            Said::Look { identity, facts, reply } => {
                let may = self.may_read(seq, &identity, &facts).await;
                self.answered(job, may, |()| reply.send(()).is_ok())
            }
            Said::Intend { captured, reply } => {
                let may = self.intend(seq, attempt, *captured).await;
                // Nobody listens where the job was dropped: then the intent stands alone, and is probed.
                self.answered(job, may, |appended| reply.send(appended).is_ok())
            }
            Said::Performed(outcome, held) => {
                let doubt = matches!(&outcome, Err(error) if error.code() == ErrorCode::InDoubt);
                if !doubt {
                    self.jobs.remove(&job);
                }
                let holding = self.hold(held);
                self.performed(seq, attempt, outcome).await?;
                self.let_go(holding);
                Ok(())
            }
            Said::Found(finding, held) => {
                self.jobs.remove(&job);
                let holding = self.hold(held);
                self.found(seq, attempt, finding).await?;
                self.let_go(holding);
                Ok(())
            }
            Said::NotFound { error, once } => {
                self.jobs.remove(&job);
                if once { self.looked_once().await } else { self.not_found_out(seq, attempt, &error).await }
            }
            Said::CaptureFailed(error) => {
                self.jobs.remove(&job);
                if self.is_waited_for(seq)? { self.capture_failed(seq, error).await } else { Ok(()) }
            }
            Said::Read(output) => {
                self.jobs.remove(&job);
                let Some((call, verdicts)) = self.asked_call(seq)? else { return Ok(()) };
                self.record_one(Event::ActionRead(ActionRead { call, verdicts, output })).await?;
                self.hand_back(seq)
            }
            Said::AlreadyDone(output) => {
                self.jobs.remove(&job);
                self.already_done(seq, output).await
            }
            Said::Lost => {
                self.jobs.remove(&job);
                match self.state()?.attempt(seq, attempt) {
                    // It is probed next.
                    Some(attempt) if attempt.outcome.is_unsettled() => Ok(()),
                    // It had no intent, or was to look once more at an attempt that failed: nothing happened.
                    _ if self.is_waited_for(seq)? => self.capture_failed(seq, lost()).await,
                    _ => Ok(()),
                }
            }
        }
    }

    /// The action as it passed the gate, where the code still waits for it.
    fn asked_call(&self, seq: Seq) -> Result<Option<PassedGate>, Error> {
        if !self.is_waited_for(seq)? {
            return Ok(None);
        }
        Ok(self
            .asked
            .get(&seq)
            .and_then(|asking| asking.call.as_ref().map(|call| (Arc::clone(call), asking.verdicts.clone()))))
    }

    fn is_waited_for(&self, seq: Seq) -> Result<bool, Error> {
        Ok(self.state()?.phase == Phase::Running && self.asked.contains_key(&seq))
    }

    /// Answers a job that asks for something. One that gets no answer ends without another word.
    fn answered<T>(
        &mut self,
        job: (Seq, u32, Direction),
        may: Result<Option<T>, Error>,
        answer: impl FnOnce(T) -> bool,
    ) -> Result<(), Error> {
        let (may, end) = match may {
            Ok(may) => (may, Ok(())),
            Err(error) => (None, Err(error)),
        };
        if !may.is_some_and(answer) {
            self.jobs.remove(&job);
        }
        end
    }

    /// The leave that is wanted on the parameters, in the system that the connector speaks to.
    async fn may_begin(&mut self, seq: Seq, identity: &Identity) -> Result<Option<()>, Error> {
        if self.asked_call(seq)?.is_none() || self.is_refused(seq).await? {
            return Ok(None);
        }
        Ok(self.has_leave(seq, identity).await?.then_some(()))
    }

    /// The gate on what capture found, of what is only read.
    async fn may_read(&mut self, seq: Seq, identity: &Identity, facts: &Facts) -> Result<Option<()>, Error> {
        let Some((_, verdicts)) = self.may_go_on(seq, identity, facts).await? else { return Ok(None) };
        if let Some(asking) = self.asked.get_mut(&seq) {
            asking.verdicts = verdicts;
        }
        Ok(Some(()))
    }

    /// The gate on what capture found, then the intent.
    async fn intend(&mut self, seq: Seq, attempt: u32, captured: Intent) -> Result<Option<Appended>, Error> {
        let passed = self.may_go_on(seq, &captured.identity, &captured.facts).await?;
        let Some((call, verdicts)) = passed else { return Ok(None) };
        let intended = ActionIntended {
            call,
            attempt,
            verdicts,
            facts: JsonText::encode(&captured.facts)?,
            pre: captured.pre,
            blobs: captured.blobs,
            identity: captured.identity,
        };
        let events = vec![Event::ActionIntended(Arc::new(intended))];
        Ok(Some(self.record(events, Durability::Barrier).await?))
    }

    /// The last gate: no no was said, the policies pass what capture found, and what a person has to approve is approved now,
    /// on the parameters as on what was found.
    async fn may_go_on(
        &mut self,
        seq: Seq,
        identity: &Identity,
        facts: &Facts,
    ) -> Result<Option<PassedGate>, Error> {
        let Some((call, _)) = self.asked_call(seq)? else { return Ok(None) };
        if self.is_refused(seq).await? {
            return Ok(None);
        }
        let judged = if self.shared.policies.is_empty() {
            Judged::default()
        } else {
            let subject = self.subject()?;
            let params = self.asked.get(&seq).map(|asking| Arc::clone(&asking.params)).unwrap_or_default();
            gate::judge_captured(&self.shared, self.state()?, &subject, (&call, &params), facts)
        };
        let verdicts = judged.verdicts.clone();
        if let Some(error) = judged.refusal() {
            self.refuse(&call, judged.verdicts, &error).await?;
            return Ok(None);
        }
        let may =
            self.has_leave(seq, identity).await? && self.has_leave_on(seq, (identity, facts), judged).await?;
        Ok(may.then_some((call, verdicts)))
    }

    async fn performed(
        &mut self,
        seq: Seq,
        attempt: u32,
        outcome: Result<JsonText, Error>,
    ) -> Result<(), Error> {
        match outcome {
            Ok(output) => {
                self.record_one(Event::ActionSucceeded(ActionSucceeded { seq, attempt, output })).await?;
                self.hand_back(seq)
            }
            Err(error) => {
                let doubt = error.code() == ErrorCode::InDoubt;
                let will_retry = !doubt && self.will_retry(seq, &error)?;
                let remains = if doubt { Remains::Perhaps } else { error.remains() };
                let event = ActionFailed { seq, attempt, error: error.record(), remains, will_retry };
                self.record_one(Event::ActionFailed(event)).await?;
                if doubt {
                    return Ok(());
                }
                let retries = will_retry && !self.has_ended(seq)?;
                if retries { self.retry_later(seq, &error) } else { self.hand_back(seq) }
            }
        }
    }

    fn will_retry(&mut self, seq: Seq, error: &Error) -> Result<bool, Error> {
        if self.state()?.phase != Phase::Running || asks_too_much(error) {
            return Ok(false);
        }
        let Some(asking) = self.asked.get_mut(&seq) else {
            // The code of an earlier life asked; that of this one will ask again, and knows how often it may.
            return Ok(self.code.is_none() && error.is_retryable());
        };
        asking.failures = asking.failures.saturating_add(1);
        Ok(error.is_retryable() && asking.failures < asking.tries.max_attempts)
    }

    fn retry_later(&mut self, seq: Seq, error: &Error) -> Result<(), Error> {
        let asking = self.asked.get(&seq);
        let failures = asking.map_or(1, |asking| asking.failures);
        if let Some(call) = asking.and_then(|asking| asking.call.clone()) {
            let attempts = self.state()?.actions.get(&seq).map_or(0, |action| action.attempts.len());
            let next = u32::try_from(attempts).unwrap_or(u32::MAX).saturating_add(1);
            self.say_wait(self.effect(seq, next, Direction::Forward, 0), &call, error);
        }
        self.tell_later(backoff(failures, error, &*self.shared.clock), Told::RetryDue(seq));
        Ok(())
    }

    pub(super) async fn capture_failed(&mut self, seq: Seq, error: Error) -> Result<(), Error> {
        if self.will_retry(seq, &error)? {
            return self.retry_later(seq, &error);
        }
        let Some((call, verdicts)) = self.asked_call(seq)? else { return Ok(()) };
        let event = ActionCaptureFailed { call, verdicts, error: error.record() };
        self.record_one(Event::ActionCaptureFailed(event)).await?;
        self.hand_back(seq)
    }

    /// Once an intent exists, capture never says that it was so already: only a probe does.
    async fn already_done(&mut self, seq: Seq, output: JsonText) -> Result<(), Error> {
        let Some((call, verdicts)) = self.asked_call(seq)? else { return Ok(()) };
        let own = self.state()?.actions.get(&seq).and_then(|action| {
            let last = action.attempts.iter().rposition(|attempt| attempt.outcome.may_have_effect())?;
            u32::try_from(last).ok()?.checked_add(1)
        });
        if let Some(attempt) = own {
            return self.probe(seq, attempt).await.map(drop);
        }
        self.record_one(Event::ActionAlreadyDone(ActionAlreadyDone { call, verdicts, output })).await?;
        self.hand_back(seq)
    }

    // Doubt.

    /// Finds out what became of an intent, unless its job is still under way.
    pub(super) async fn settle(&mut self, seq: Seq, attempt: u32) -> Result<bool, Error> {
        if self.jobs.contains(&(seq, attempt, Direction::Forward)) {
            return Ok(false);
        }
        self.probe(seq, attempt).await
    }

    async fn probe(&mut self, seq: Seq, attempt: u32) -> Result<bool, Error> {
        let Some(call) = self.state()?.actions.get(&seq).map(|action| Arc::clone(&action.call)) else {
            return Err(Error::new(ErrorCode::Internal, format!("no action {seq} to probe")));
        };
        let Some(intent) = self.state()?.attempt(seq, attempt).map(|attempt| Arc::clone(&attempt.intent))
        else {
            return Err(Error::new(ErrorCode::Internal, format!("no attempt {attempt} of {seq} to probe")));
        };
        let sent = gate::recorded(&self.shared, &call).and_then(|permitted| {
            let what = What::Probe {
                pre: intent.pre.clone(),
                identity: intent.identity.clone(),
                once: self.go == Go::SettleOnly,
            };
            self.send_job(permitted, seq, attempt, (Direction::Forward, 0), what)
        });
        let unsettled =
            self.state()?.attempt(seq, attempt).is_some_and(|attempt| attempt.outcome.is_unsettled());
        match sent {
            Ok(()) => Ok(false),
            Err(error) if unsettled && error.is_retryable() => self.look_up_later(&error).await,
            Err(error) => {
                self.not_found_out(seq, attempt, &error).await?;
                Ok(!self.finished)
            }
        }
    }

    async fn found(&mut self, seq: Seq, attempt: u32, finding: Finding) -> Result<(), Error> {
        let was = self.state()?.attempt(seq, attempt).map(|attempt| attempt.outcome.clone());
        let running = self.state()?.phase == Phase::Running;
        // A timed-out attempt counts as a failure; one that a crash interrupted does not.
        let will_retry = finding == Finding::NotApplied
            && running
            && match (&was, self.asked.get_mut(&seq)) {
                (Some(Outcome::InDoubt(_)), Some(asking)) => {
                    asking.failures = asking.failures.saturating_add(1);
                    asking.failures < asking.tries.max_attempts
                }
                (Some(Outcome::Failed(..)), _) => false,
                _ => true,
            };
        if matches!(was, Some(Outcome::Failed(..))) && !matches!(finding, Finding::Applied(_)) {
            return self.not_ours(seq).await;
        }
        let event = ActionResolved { seq, attempt, finding, will_retry };
        self.record_one(Event::ActionResolved(event)).await?;
        if will_retry && self.asked.contains_key(&seq) && !self.has_ended(seq)? {
            let error = Error::new(ErrorCode::Timeout, "timed out");
            return self.retry_later(seq, &error);
        }
        self.hand_back(seq)
    }

    /// The wanted state is there, and it cannot be told that it is ours.
    async fn not_ours(&mut self, seq: Seq) -> Result<(), Error> {
        let Some((call, verdicts)) = self.asked_call(seq)? else { return Ok(()) };
        let error = Error::new(
            ErrorCode::Conflict,
            "an earlier attempt failed midway, and the state is now as it was wanted; whether that is its doing \
             or somebody else's cannot be told",
        );
        let event = ActionCaptureFailed { call, verdicts, error: error.record() };
        self.record_one(Event::ActionCaptureFailed(event)).await?;
        self.hand_back(seq)
    }

    /// One look told nothing: where only settling was wanted, it stays in doubt until the run is resumed. Where somebody
    /// asked for more meanwhile, it is looked up again, as often as it takes.
    pub(super) async fn looked_once(&mut self) -> Result<(), Error> {
        if self.go == Go::SettleOnly { self.finish().await } else { Ok(()) }
    }

    /// Its connector is being restarted: it is looked up when that is back.
    pub(super) async fn look_up_later(&mut self, error: &Error) -> Result<bool, Error> {
        if self.go == Go::SettleOnly {
            self.finish().await?;
        } else {
            self.tell_later(backoff(RESTARTING, error, &*self.shared.clock), Told::LookUpDue);
        }
        Ok(false)
    }

    /// It cannot be looked up.
    async fn not_found_out(&mut self, seq: Seq, attempt: u32, error: &Error) -> Result<(), Error> {
        if self.go == Go::SettleOnly {
            return self.finish().await;
        }
        let seen = format!("it could not be looked up: {error}");
        self.found(seq, attempt, Finding::Unknown(seen)).await
    }

    pub(super) fn has_ended(&self, seq: Seq) -> Result<bool, Error> {
        Ok(self.state()?.actions.get(&seq).is_some_and(|action| action.end.is_some()))
    }

    /// Gives the code the action's end, where it has ended and the code waits.
    pub(super) fn hand_back(&mut self, seq: Seq) -> Result<(), Error> {
        let Some(end) = self.state()?.actions.get(&seq).and_then(|action| action.end.clone()) else {
            return Ok(());
        };
        if let Some(asking) = self.asked.remove(&seq) {
            answer(asking.reply, replay::answer_of(seq, &end));
        }
        Ok(())
    }
}
