//! The way forward: the workflow's code asks, the gate judges, a connector acts, the outcome is recorded and
//! handed back.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use enact_core::error::{Error, ErrorCode, ErrorRecord};
use enact_core::event::{
    ActionCall, ActionCaptureFailed, Event, PoliciesEvaluated, RunAccepted, RunBlocked, RunFailed,
    RunQuarantined, RunSucceeded, TimerFired, TimerSet, ValueRecorded,
};
use enact_core::ids::{CallPath, Direction, EventSeq, Seq};
use enact_core::json::JsonText;
use enact_core::policy::{Approval, VerdictRecord};
use enact_core::run::{Call as Known, Outcome, Phase, RunState};
use enact_core::store::{Appended, Durability};
use enact_core::time::Timestamp;
use futures::FutureExt;
use ractor::ActorRef;
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;

use crate::connector_actor::ConnectorMsg;
use crate::cx::{Desk, Tries, WorkflowCx, stopped};
use crate::gate::{self, Asked, Judged, Permitted, Refusal};
use crate::job::{Job, What, panic_text};
use crate::replay::{self, Divergence, Recorded};
use crate::shared::Shared;

use super::approval::{Leave, No};
use super::{Ack, Ask, AskedAction, Call, Life, Reply, Run, RunMsg, Told};

/// An action that the code waits for.
pub(super) struct Asking {
    pub(super) tries: Tries,
    action: AskedAction,
    path: CallPath,
    pub(super) call: Option<Arc<ActionCall>>,
    /// The parameters of the call as policies see them.
    pub(super) params: Arc<serde_json::Value>,
    pub(super) verdicts: Vec<VerdictRecord>,
    /// The approvals that were wanted at the gate of the parameters, and by which policies.
    pub(super) wanted: Vec<(String, Approval)>,
    /// Whether a person's approval is waited for.
    pub(super) is_put_off: bool,
    /// Whether it waits until the code has come as far as in an earlier life.
    pub(super) is_held_back: bool,
    pub(super) failures: u32,
    pub(super) reply: oneshot::Sender<Result<Reply, Error>>,
}

/// An action as it passed the gate, and the verdicts on it.
pub(super) type PassedGate = (Arc<ActionCall>, Vec<VerdictRecord>);

impl Run {
    // The run as a whole.

    /// Judges the run and accepts it, in one append. One that is refused has ended with it.
    pub(super) async fn accept(&mut self, accepted: Arc<RunAccepted>, ack: Option<Ack>) -> Result<(), Error> {
        let recorded = self.record_acceptance(accepted, ack.is_some()).await;
        let Some(ack) = ack else {
            self.last = recorded?;
            return Ok(());
        };
        let durable = match recorded {
            Ok(Some(appended)) => appended.durable().await.map_err(Error::from),
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        // Whoever asked may be gone; the run goes on.
        drop(ack.send(durable.clone()));
        durable
    }

    async fn record_acceptance(
        &mut self,
        accepted: Arc<RunAccepted>,
        barrier: bool,
    ) -> Result<Option<Appended>, Error> {
        let key = accepted.key.clone();
        let acceptance = Event::RunAccepted(accepted);
        let now = self.shared.clock.now();
        let first = RunState::begin(self.id, EventSeq(1), now, &acceptance).map_err(super::defect)?;
        let judged = gate::judge_run(&self.shared, &first, &gate::Subject::new(&first));
        let judgement = self.conclude_judgement(&first, judged);
        let goes_on = matches!(judgement[..], [Event::PoliciesEvaluated(_)]);
        let events = [vec![acceptance], judgement].concat();
        let wait = barrier || !goes_on;
        let durability = if wait { Durability::Barrier } else { Durability::Enqueued };
        let appended = self.record_with_key(events, durability, key).await?;
        Ok(wait.then_some(appended))
    }

    pub(super) async fn judge(&mut self) -> Result<bool, Error> {
        if let Some(No { error, decided, .. }) = self.said_no(None)? {
            let blocked = Event::RunBlocked(RunBlocked { error: error.record() });
            let events = decided.map(Event::ApprovalDecided).into_iter().chain([blocked]).collect();
            self.record_end(events).await?;
            return Ok(true);
        }
        let subject = self.subject()?;
        let state = self.state()?;
        let judged = gate::judge_run(&self.shared, state, &subject);
        let events = self.conclude_judgement(state, judged);
        if !events.is_empty() {
            self.record_end(events).await?;
        }
        let open = self.state()?.open_approvals().next().map(|open| open.request.expires_at);
        if let Some(expires_at) = open {
            self.put_off(None, expires_at);
        }
        Ok(open.is_none())
    }

    /// What follows from the policies' verdicts on the run: it goes on, it has ended, or it waits for a person. Nothing,
    /// where it waits already.
    fn conclude_judgement(&self, state: &RunState, judged: Judged) -> Vec<Event> {
        let refused = judged.refusal();
        let verdicts = judged.verdicts.clone();
        let policies = Some(self.shared.policies_digest.clone());
        let passed = Event::PoliciesEvaluated(PoliciesEvaluated { verdicts, policies });
        let blocked = |error: Error| Event::RunBlocked(RunBlocked { error: error.record() });
        if let Some(error) = refused {
            return vec![passed, blocked(error)];
        }
        match self.leave(state, None, (None, None), judged.verdicts, judged.wanted) {
            Leave::Given => vec![passed],
            Leave::Asked => Vec::new(),
            Leave::Ask(request) => vec![Event::ApprovalRequested(request)],
            Leave::Refused(error) => vec![blocked(error)],
        }
    }

    /// Starts the workflow's code, or draws the conclusion from its end.
    pub(super) async fn ask_workflow(&mut self) -> Result<bool, Error> {
        if !self.jobs.is_empty() {
            return Ok(false);
        }
        if let Some(end) = self.code_end.take() {
            self.conclude(end).await?;
            return Ok(true);
        }
        if self.code.is_some() {
            return Ok(false);
        }
        let accepted = Arc::clone(&self.state()?.accepted);
        let workflow = match self.shared.workflows.of_run(&accepted) {
            Ok(workflow) => workflow,
            Err(error) => {
                self.quarantine(error, None).await?;
                return Ok(true);
            }
        };
        let input = accepted.input.clone();
        let life = self.life;
        let desk = RunDesk { actor: self.myself.clone(), life, shared: Arc::clone(&self.shared) };
        let cx = WorkflowCx::new(Arc::new(desk), self.id, accepted);
        let actor = self.myself.clone();
        let mut asked = self.rests.subscribe();
        let code = tokio::spawn(async move {
            let mut work = pin!(AssertUnwindSafe(workflow.run(&cx, input)).catch_unwind());
            // The code first: it says that it rests only when it has taken what it was given.
            let end = loop {
                tokio::select! {
                    biased;
                    end = &mut work => break end,
                    Ok(()) = asked.changed() => {
                        let answers = *asked.borrow_and_update();
                        drop(actor.send_message(RunMsg::Of(life, Told::CodeRests(answers))));
                    }
                }
            };
            let end = end.unwrap_or_else(|panic| {
                Err(Error::new(
                    ErrorCode::Internal,
                    format!("the workflow panicked: {}", panic_text(&*panic)),
                ))
            });
            if actor.send_message(RunMsg::Of(life, Told::CodeEnded(end))).is_err() {
                tracing::debug!("a workflow ended after its actor");
            }
        });
        self.code = Some(AbortOnDropHandle::new(code));
        Ok(false)
    }

    async fn conclude(&mut self, end: Result<JsonText, Error>) -> Result<(), Error> {
        let unasked = self.state()?.calls.keys().find(|path| !self.replayed.contains(*path)).cloned();
        if let Some(path) = unasked {
            let diverged = Divergence::at(self.state()?, &path, replay::describe_end(&end));
            return self.quarantine(diverged.into(), None).await;
        }
        let event = match end {
            Ok(output) => Event::RunSucceeded(RunSucceeded { output }),
            Err(error) if error.code().is_refusal() && !self.state()?.may_have_effects() => {
                Event::RunBlocked(RunBlocked { error: error.record() })
            }
            Err(error) => Event::RunFailed(RunFailed { error: error.record() }),
        };
        self.record_end(vec![event]).await
    }

    pub(super) async fn quarantine(&mut self, error: Error, seq: Option<Seq>) -> Result<(), Error> {
        tracing::warn!(run = %self.id, %error, "a run needs an operator");
        self.stop_code();
        let error = ErrorRecord { retryable: false, ..error.record() };
        self.record_end(vec![Event::RunQuarantined(RunQuarantined { error, seq })]).await
    }

    pub(super) async fn quarantine_doubt(&mut self, seq: Seq) -> Result<bool, Error> {
        let state = self.state()?;
        let seen = state.attempts().find_map(|(of, _, attempt)| match &attempt.outcome {
            Outcome::Unknown(seen) if of == seq => Some(seen.clone()),
            _ => None,
        });
        let name = state.actions.get(&seq).map_or_else(String::new, |action| {
            format!(" ({}.{})", action.call.connector, action.call.action)
        });
        let error = Error::new(
            ErrorCode::InDoubt,
            format!(
                "whether action {seq}{name} happened is not known: {}. Look at the system, then say `enact \
                 resolve {} --seq {seq} --as applied|not-applied|abandon`, or roll the run back",
                seen.unwrap_or_default(),
                self.id
            ),
        );
        self.quarantine(error, Some(seq)).await?;
        Ok(true)
    }

    // The code's calls.

    pub(super) async fn asked(&mut self, ask: Ask) -> Result<(), Error> {
        if self.state()?.phase != Phase::Running || self.code.is_none() {
            return Ok(());
        }
        let Ask { path, call, reply } = ask;
        self.replayed.insert(path.clone());
        let toolbox = match &call {
            Call::Action(action) => {
                self.shared.connector(&action.connector).ok().map(|known| known.toolbox())
            }
            _ => None,
        };
        match replay::look_up(self.state()?, toolbox.map(|toolbox| &**toolbox), &path, &call) {
            Recorded::Answered(recorded) => {
                self.answers = self.answers.saturating_add(1);
                answer(reply, recorded);
            }
            Recorded::Other(divergence) => return self.quarantine(divergence.into(), None).await,
            Recorded::Nothing | Recorded::Unanswered => return self.asked_now(path, call, reply).await,
        }
        Ok(())
    }

    /// A call that the log does not answer.
    async fn asked_now(
        &mut self,
        path: CallPath,
        call: Call,
        reply: oneshot::Sender<Result<Reply, Error>>,
    ) -> Result<(), Error> {
        let (name, value) = match call {
            Call::Action(action) => return self.asked_action(path, action, reply).await,
            Call::Sleep(how_long) => return self.asked_sleep(path, how_long, reply).await,
            Call::Now => (replay::value_name(&call), JsonText::encode(&self.shared.clock.now())?),
            Call::Random => (replay::value_name(&call), JsonText::encode(&self.shared.clock.random())?),
        };
        let event = ValueRecorded { path, what: name.to_owned(), value: value.clone() };
        self.record_one(Event::ValueRecorded(event)).await?;
        answer(reply, Ok(Reply::Value(value)));
        Ok(())
    }

    async fn asked_sleep(
        &mut self,
        path: CallPath,
        how_long: Duration,
        reply: oneshot::Sender<Result<Reply, Error>>,
    ) -> Result<(), Error> {
        let due = match self.state()?.calls.get(&path) {
            Some(Known::Timer { due, .. }) => *due,
            _ => {
                let due = self.shared.clock.now().after(how_long);
                self.record_one(Event::TimerSet(TimerSet { path: path.clone(), due })).await?;
                due
            }
        };
        self.wait_until(path, due, reply);
        Ok(())
    }

    fn wait_until(&mut self, path: CallPath, due: Timestamp, reply: oneshot::Sender<Result<Reply, Error>>) {
        self.timers.insert(path.clone(), reply);
        let wait = due.since(self.shared.clock.now());
        self.tell_later(wait, Told::TimerDue(path));
    }

    pub(super) async fn fire(&mut self, path: CallPath) -> Result<(), Error> {
        let Some(reply) = self.timers.remove(&path) else { return Ok(()) };
        self.record_one(Event::TimerFired(TimerFired { path })).await?;
        answer(reply, Ok(Reply::Awake));
        Ok(())
    }

    async fn asked_action(
        &mut self,
        path: CallPath,
        action: AskedAction,
        reply: oneshot::Sender<Result<Reply, Error>>,
    ) -> Result<(), Error> {
        let seq = match self.state()?.calls.get(&path) {
            Some(Known::Action(seq)) => *seq,
            _ => self.free_seq()?,
        };
        let tries = action.tries;
        let failures = self.failures_so_far(seq)?;
        let asking = Asking {
            tries,
            action,
            path,
            call: None,
            params: Arc::default(),
            verdicts: Vec::new(),
            wanted: Vec::new(),
            is_put_off: false,
            is_held_back: false,
            failures,
            reply,
        };
        self.asked.insert(seq, asking);
        // Whoever recorded the last failure may not have known how many attempts there are.
        if failures > 0 && failures >= tries.max_attempts {
            return self.end_with_last_failure(seq).await;
        }
        if self.state()?.approvals.iter().any(|approval| approval.seq() == Some(seq)) {
            self.hold_back(seq);
            return Ok(());
        }
        self.attempt(seq).await
    }

    /// An earlier life waited for a person here, and the code may have gone on without it, as after a sleep. What is
    /// approved since is not done before the code has had all that the log answers, and still waits for it.
    fn hold_back(&mut self, seq: Seq) {
        if let Some(asking) = self.asked.get_mut(&seq) {
            asking.is_held_back = true;
            self.rests.send_replace(self.answers);
        }
    }

    /// The code has done what it could, with so many answers.
    pub(super) async fn code_rests(&mut self, answers: u64) -> Result<(), Error> {
        let held_back = self.asked.iter().filter(|(_, asking)| asking.is_held_back).map(|(seq, _)| *seq);
        let held_back: BTreeSet<Seq> = held_back.collect();
        if answers != self.answers && !held_back.is_empty() {
            self.rests.send_replace(self.answers);
            return Ok(());
        }
        for seq in held_back {
            if self.is_given_up(seq).await? {
                continue;
            }
            if let Some(asking) = self.asked.get_mut(&seq) {
                asking.is_held_back = false;
            }
            self.retry(seq).await?;
        }
        Ok(())
    }

    /// The attempts were spent in earlier lives.
    async fn end_with_last_failure(&mut self, seq: Seq) -> Result<(), Error> {
        let Some(action) = self.state()?.actions.get(&seq) else { return Ok(()) };
        let (call, verdicts) = (Arc::clone(&action.call), action.verdicts.clone());
        let error = match action.attempts.last().map(|attempt| &attempt.outcome) {
            Some(Outcome::Failed(error, _)) => error.clone(),
            _ => Error::new(ErrorCode::Timeout, "timed out; nothing happened").record(),
        };
        let event = ActionCaptureFailed { call, verdicts, error };
        self.record_one(Event::ActionCaptureFailed(event)).await?;
        self.hand_back(seq)
    }

    /// Numbers count actions in the order in which they are asked for; one that a crash has forgotten is given
    /// again.
    fn free_seq(&self) -> Result<Seq, Error> {
        let state = self.state()?;
        let count = u64::try_from(state.actions.len().saturating_add(self.asked.len())).unwrap_or(u64::MAX);
        let is_free = |seq: &Seq| !state.actions.contains_key(seq) && !self.asked.contains_key(seq);
        let dense = Seq(state.actions.len() as u64).next();
        if self.asked.is_empty() && is_free(&dense) {
            return Ok(dense);
        }
        (1..=count.saturating_add(1))
            .map(Seq)
            .find(is_free)
            .ok_or_else(|| Error::new(ErrorCode::Internal, "the run is out of action numbers"))
    }

    fn failures_so_far(&self, seq: Seq) -> Result<u32, Error> {
        let failed =
            self.state()?.actions.get(&seq).map_or(0, |action| {
                action.attempts.iter().filter(|attempt| attempt.counts_as_failure()).count()
            });
        Ok(u32::try_from(failed).unwrap_or(u32::MAX))
    }

    /// Sends an action through the gate and to its connector.
    async fn attempt(&mut self, seq: Seq) -> Result<(), Error> {
        if self.is_refused(seq).await? || self.is_given_up(seq).await? {
            return Ok(());
        }
        let subject = self.subject()?;
        let Some(asking) = self.asked.get(&seq) else { return Ok(()) };
        let asked = Asked {
            seq,
            path: &asking.path,
            connector: &asking.action.connector,
            action: &asking.action.action,
            params: &asking.action.params,
        };
        match gate::admit(&self.shared, self.state()?, &subject, &asked) {
            Err(refusal) => {
                let Refusal { call, verdicts, error } = *refusal;
                self.refuse(&call, verdicts, &error).await
            }
            Ok((permitted, judged)) => {
                if self.waits_already(seq, &permitted, judged)? {
                    return Ok(());
                }
                let asks = self.asked.get(&seq).is_some_and(|asking| !asking.wanted.is_empty());
                let attempts = self.state()?.actions.get(&seq).map_or(0, |action| action.attempts.len());
                let attempt = u32::try_from(attempts).unwrap_or(u32::MAX).saturating_add(1);
                let what = What::Act { force: false, undoes: None, asks };
                match self.send_job(permitted, seq, attempt, (Direction::Forward, 0), what) {
                    Ok(()) => Ok(()),
                    Err(error) => self.capture_failed(seq, error).await,
                }
            }
        }
    }

    pub(super) async fn retry(&mut self, seq: Seq) -> Result<(), Error> {
        let is_under_way =
            self.jobs.iter().any(|(of, _, direction)| *of == seq && *direction == Direction::Forward);
        let is_asked = self.asked.get(&seq).is_some_and(|asking| !asking.is_held_back);
        if self.state()?.phase == Phase::Running && is_asked && !is_under_way {
            return self.attempt(seq).await;
        }
        Ok(())
    }

    pub(super) fn send_job(
        &mut self,
        permitted: Permitted,
        seq: Seq,
        attempt: u32,
        (direction, undo_try): (Direction, u32),
        what: What,
    ) -> Result<(), Error> {
        // First, so that the key of a target in doubt is not lost with a job that nobody takes.
        let connector = self.shared.connector(&permitted.call().connector)?.actor()?;
        let guard = permitted.lock_key().and_then(|key| self.guards.take(&key));
        let job = Job {
            permitted,
            effect: self.effect(seq, attempt, direction, undo_try),
            what,
            guard,
            timeout: self.timeout_of(seq),
            run: self.myself.clone(),
            under_way: Arc::clone(&self.under_way),
            told: AtomicBool::new(false),
        };
        // Where it has just died, the job says that it is lost.
        self.jobs.insert((seq, attempt, direction));
        drop(connector.send_message(ConnectorMsg::Do(Box::new(job))));
        Ok(())
    }
}

/// The run's actor answers, from the log or by going to the world.
struct RunDesk {
    actor: ActorRef<RunMsg>,
    life: Life,
    shared: Arc<Shared>,
}

impl Desk for RunDesk {
    fn connector_kind(&self, name: &str) -> Result<Option<&'static str>, Error> {
        Ok(Some(self.shared.connector(name)?.toolbox().kind()))
    }

    fn ask(&self, ask: Ask) -> Result<(), Error> {
        self.actor.send_message(RunMsg::Of(self.life, Told::Ask(Box::new(ask)))).map_err(|_| stopped())
    }
}

/// The code may have gone on without the answer.
pub(super) fn answer(reply: oneshot::Sender<Result<Reply, Error>>, answer: Result<Reply, Error>) {
    drop(reply.send(answer));
}
