//! The way back: compensations, newest intent first, one at a time. An undo is an action: it is captured,
//! intended, performed and probed like any other.

use std::sync::Arc;

use enact_core::action::Undo;
use enact_core::error::{Error, ErrorCode, Remains};
use enact_core::event::{
    CompensationConflicted, CompensationFailed, CompensationIntended, CompensationResolved,
    CompensationSkipped, CompensationSucceeded, Event, Finding, Skipped,
};
use enact_core::ids::{Direction, EffectId, Seq};
use enact_core::run::{Attempt, Next, UNDO_BUDGET, Undoing};
use enact_core::store::{Appended, Durability};
use tokio::sync::oneshot;

use crate::backoff::backoff;
use crate::gate;
use crate::job::{Intent, Report, Said, What, lost};

use super::{Go, Run, Told};

impl Run {
    /// Begins a try of an undo, unless one has to wait, or any is under way: they go one at a time, and one that was
    /// sent for an earlier request reports first.
    pub(super) async fn compensate(&mut self, seq: Seq, number: u32) -> Result<bool, Error> {
        let under_way = self.jobs.iter().any(|(.., direction)| *direction == Direction::Undo);
        if self.undo_waits || under_way {
            return Ok(false);
        }
        let attempt = self.attempt_to_undo(seq, number)?;
        if attempt.undo_failures >= UNDO_BUDGET {
            let error = Error::new(
                ErrorCode::Timeout,
                format!(
                    "tried {UNDO_BUDGET} times without success; ask for the rollback again when it can work"
                ),
            );
            self.record_undo_failure(seq, number, &error, false).await?;
            return Ok(true);
        }
        let call = Arc::clone(&attempt.intent.call);
        let undo = gate::compensation(&self.shared, &call, &attempt);
        match undo {
            Ok(Undo::By((permitted, _))) => {
                let force = self.forces()?;
                self.undo_force = force;
                let undo_try = attempt.undo_tries.saturating_add(1);
                let what = What::Act { force, undoes: Some(attempt.intent.identity.clone()), asks: false };
                match self.send_job(permitted, seq, number, (Direction::Undo, undo_try), what) {
                    Ok(()) => Ok(false),
                    Err(error) => self.undo_failed(seq, number, &error).await.map(|()| true),
                }
            }
            Ok(Undo::Nothing) => self.skip_undo(seq, number, Skipped::NothingToUndo).await.map(|()| true),
            Ok(Undo::Irreversible(reason)) => {
                self.skip_undo(seq, number, Skipped::Irreversible(reason)).await.map(|()| true)
            }
            Err(error) => self.undo_failed(seq, number, &error).await.map(|()| true),
        }
    }

    /// Whether what others changed is to be overwritten.
    fn forces(&self) -> Result<bool, Error> {
        Ok(self.state()?.rollback.as_ref().is_some_and(|rollback| rollback.force))
    }

    /// Whether what an undo found before its intent comes to nothing: somebody asked for another rollback meanwhile,
    /// under which another undo is due, or this one with other rights.
    fn is_outdated(&self, seq: Seq, attempt: u32, said: &Said) -> Result<bool, Error> {
        let before_intent = match said {
            Said::Intend { .. } | Said::AlreadyDone(_) | Said::CaptureFailed(_) => true,
            Said::Lost => !matches!(
                self.attempt_to_undo(seq, attempt)?.undoing,
                Undoing::Intended(_) | Undoing::InDoubt(..)
            ),
            _ => false,
        };
        let is_due = self.state()?.next() == Next::Compensate { seq, attempt };
        Ok(before_intent && !(is_due && self.undo_force == self.forces()?))
    }

    fn attempt_to_undo(&self, seq: Seq, number: u32) -> Result<Attempt, Error> {
        self.state()?
            .attempt(seq, number)
            .cloned()
            .ok_or_else(|| Error::new(ErrorCode::Internal, format!("no attempt {number} of {seq} to undo")))
    }

    pub(super) async fn undo_reported(&mut self, report: Report) -> Result<(), Error> {
        let (seq, number) = (report.effect.seq, report.effect.attempt);
        let job = (seq, number, Direction::Undo);
        if self.is_outdated(seq, number, &report.said)? {
            // What is due now is sent when this is taken.
            self.jobs.remove(&job);
            return Ok(());
        }
        match report.said {
            Said::Intend { captured, reply } => {
                let intended = self.intend_undo(&report.effect, *captured, reply).await;
                if intended.is_err() {
                    // The job got no answer, and ends without another word.
                    self.jobs.remove(&job);
                }
                intended
            }
            Said::AlreadyDone(_) => {
                self.jobs.remove(&job);
                self.skip_undo(seq, number, Skipped::AlreadyUndone).await
            }
            Said::CaptureFailed(error) => {
                self.jobs.remove(&job);
                self.undo_failed(seq, number, &error).await
            }
            Said::Performed(outcome, held) => {
                let holding = self.hold(held);
                match outcome {
                    Ok(output) => {
                        self.jobs.remove(&job);
                        let event = CompensationSucceeded { seq, attempt: number, output };
                        self.record_one(Event::CompensationSucceeded(event)).await?;
                    }
                    Err(error) if error.code() == ErrorCode::InDoubt => {
                        // The job goes on to find out.
                        self.record_undo_failure(seq, number, &error, false).await?;
                    }
                    Err(error) => {
                        self.jobs.remove(&job);
                        self.undo_failed(seq, number, &error).await?;
                    }
                }
                self.let_go(holding);
                Ok(())
            }
            Said::Found(finding, held) => {
                self.jobs.remove(&job);
                let holding = self.hold(held);
                self.undo_found(seq, number, finding).await?;
                self.let_go(holding);
                Ok(())
            }
            Said::NotFound { error, once } => {
                self.jobs.remove(&job);
                if once {
                    self.looked_once().await
                } else {
                    self.undo_not_found_out(seq, number, &error).await
                }
            }
            Said::Lost => {
                self.jobs.remove(&job);
                match self.attempt_to_undo(seq, number)?.undoing {
                    Undoing::Intended(_) | Undoing::InDoubt(..) => Ok(()),
                    _ => self.undo_failed(seq, number, &lost()).await,
                }
            }
            Said::Read(_) | Said::Begin { .. } | Said::Look { .. } => {
                Err(Error::new(ErrorCode::Internal, "an undo that only reads"))
            }
        }
    }

    async fn intend_undo(
        &mut self,
        effect: &EffectId,
        captured: Intent,
        reply: oneshot::Sender<Appended>,
    ) -> Result<(), Error> {
        let (seq, number) = (effect.seq, effect.attempt);
        let attempt = self.attempt_to_undo(seq, number)?;
        if effect.undo_try != attempt.undo_tries.saturating_add(1) {
            // Sent out by an earlier life, of which the log has less than it knew.
            self.jobs.remove(&(seq, number, Direction::Undo));
            return Ok(());
        }
        let call = Arc::clone(&attempt.intent.call);
        let Undo::By((_, undo)) = gate::compensation(&self.shared, &call, &attempt)? else {
            return Err(Error::new(ErrorCode::Internal, format!("the undo of action {seq} is gone")));
        };
        let intended = CompensationIntended {
            seq,
            attempt: number,
            undo_try: attempt.undo_tries.saturating_add(1),
            action: undo.name.to_owned(),
            version: undo.version,
            params: undo.params,
            pre: captured.pre,
            blobs: captured.blobs,
            identity: captured.identity,
            by: self.state()?.rollback_by().to_owned(),
        };
        let events = vec![Event::CompensationIntended(Arc::new(intended))];
        let appended = self.record(events, Durability::Barrier).await?;
        if reply.send(appended).is_err() {
            self.jobs.remove(&(seq, number, Direction::Undo));
        }
        Ok(())
    }

    async fn skip_undo(&mut self, seq: Seq, attempt: u32, why: Skipped) -> Result<(), Error> {
        self.record_one(Event::CompensationSkipped(CompensationSkipped { seq, attempt, why })).await
    }

    /// A try came to nothing: a conflict is settled, another failure is tried again where that can help.
    async fn undo_failed(&mut self, seq: Seq, attempt: u32, error: &Error) -> Result<(), Error> {
        let unchanged = error.remains() == Remains::Nothing;
        let others_changed_it = error.code() == ErrorCode::Conflict
            || (error.code() == ErrorCode::PreconditionFailed && unchanged);
        // Others that were only at it at the same moment, as in a deadlock, have changed nothing.
        if others_changed_it && !error.is_retryable() {
            let event = CompensationConflicted { seq, attempt, error: error.record() };
            return self.record_one(Event::CompensationConflicted(event)).await;
        }
        if error.code() == ErrorCode::Irreversible {
            let reason = error.message().to_owned();
            return self.skip_undo(seq, attempt, Skipped::Irreversible(reason)).await;
        }
        let failures = self.attempt_to_undo(seq, attempt)?.undo_failures.saturating_add(1);
        let will_retry = error.is_retryable() && failures < UNDO_BUDGET;
        self.record_undo_failure(seq, attempt, error, will_retry).await?;
        if will_retry {
            self.undo_waits = true;
            let attempt_now = self.attempt_to_undo(seq, attempt)?;
            let next = self.effect(seq, attempt, Direction::Undo, attempt_now.undo_tries.saturating_add(1));
            self.say_wait(next, &attempt_now.intent.call, error);
            self.tell_later(backoff(failures, error, &*self.shared.clock), Told::UndoDue);
        }
        Ok(())
    }

    async fn record_undo_failure(
        &mut self,
        seq: Seq,
        attempt: u32,
        error: &Error,
        will_retry: bool,
    ) -> Result<(), Error> {
        let event = CompensationFailed { seq, attempt, error: error.record(), will_retry };
        self.record_one(Event::CompensationFailed(event)).await
    }

    /// Finds out what became of the intent of an undo, unless its job is still under way.
    pub(super) async fn settle_undo(&mut self, seq: Seq, number: u32) -> Result<bool, Error> {
        if self.jobs.contains(&(seq, number, Direction::Undo)) {
            return Ok(false);
        }
        let attempt = self.attempt_to_undo(seq, number)?;
        let (Undoing::Intended(intent) | Undoing::InDoubt(intent, _)) = &attempt.undoing else {
            return Err(Error::new(ErrorCode::Internal, format!("the undo of action {seq} is not in doubt")));
        };
        let call = Arc::clone(&attempt.intent.call);
        let sent = gate::recorded_undo(&self.shared, &call, intent).and_then(|permitted| {
            let what = What::Probe {
                pre: intent.pre.clone(),
                identity: intent.identity.clone(),
                once: self.go == Go::SettleOnly,
            };
            self.send_job(permitted, seq, number, (Direction::Undo, intent.undo_try), what)
        });
        match sent {
            Ok(()) => Ok(false),
            Err(error) if error.is_retryable() => self.look_up_later(&error).await,
            Err(error) => {
                self.undo_not_found_out(seq, number, &error).await?;
                Ok(!self.finished)
            }
        }
    }

    async fn undo_found(&mut self, seq: Seq, attempt: u32, finding: Finding) -> Result<(), Error> {
        self.record_one(Event::CompensationResolved(CompensationResolved { seq, attempt, finding })).await
    }

    async fn undo_not_found_out(&mut self, seq: Seq, attempt: u32, error: &Error) -> Result<(), Error> {
        if self.go == Go::SettleOnly {
            return self.finish().await;
        }
        let seen = format!("it could not be looked up: {error}");
        self.undo_found(seq, attempt, Finding::Unknown(seen)).await
    }

    pub(super) async fn finish_rollback(&mut self) -> Result<bool, Error> {
        if !self.jobs.is_empty() {
            return Ok(false);
        }
        self.record_end(vec![Event::RollbackFinished]).await?;
        Ok(true)
    }
}
