//! What a run would do, found by looking only: nothing is changed, outside or in the log.
//!
//! The same gate judges and the same fold remembers what was asked for before, in a state that is thrown away. An
//! action is looked at as things are now: what an earlier one of the plan would change is not there yet.

use std::fmt::{self, Debug};
use std::future::Future;
use std::io::{self, Read};
use std::sync::Arc;

use enact_core::action::{EffectClass, Facts, Preview, Shown, Target};
use enact_core::blob::{BlobRef, BlobStore};
use enact_core::connector::{Cx, Identity, Surroundings};
use enact_core::error::{Error, ErrorCode, ErrorRecord};
use enact_core::event::{
    ActionAlreadyDone, ActionCall, ActionCaptureFailed, ActionIntended, ActionRead, ActionRefused,
    ActionSucceeded, Event, PoliciesEvaluated,
};
use enact_core::ids::{CallPath, Direction, EffectId, EventSeq, RunId, Seq};
use enact_core::json::JsonText;
use enact_core::policy::VerdictRecord;
use enact_core::run::RunState;
use enact_core::time::Timestamp;
use enact_core::{Capture, Prepared};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::cx::Tries;
use crate::enact::RunRequest;
use crate::gate::{self, Asked, Judged, Subject};
use crate::run::WORKFLOW;
use crate::shared::Shared;

/// Under which name a plan shows that the allowlist refuses an action.
const ALLOWLIST: &str = "allowlist";

/// Looks at what runs would do. Made by [`Builder::planner`](crate::Builder::planner).
pub struct Planner {
    shared: Arc<Shared>,
}

impl Debug for Planner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Planner").field("shared", &self.shared).finish()
    }
}

/// One run that is only looked at.
#[derive(Debug)]
pub struct Plan {
    shared: Arc<Shared>,
    state: RunState,
    subject: Subject,
}

/// An action as it would be asked for, and what would come of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PlannedAction {
    /// The exact parameters, where they could be read; else as they were given.
    pub params: JsonText,
    /// What it touches; `None`, where the parameters could not be read.
    pub target: Option<Target>,
    /// All verdicts on it; one under the name `allowlist`, where that refuses it.
    pub verdicts: Vec<VerdictRecord>,
    /// What is there, and what would become of it.
    pub shown: Shown,
    /// How it would be undone, or why it could not be.
    pub undo: String,
    /// Whether it could be undone.
    pub effect: EffectClass,
    /// What it would give, where that is known: of what is read, and of what is so already.
    pub output: Option<JsonText>,
    /// Whether the wanted state is there already.
    pub already_done: bool,
    /// What the connector says of it: what an operator should know before.
    pub notes: Vec<String>,
    /// Why it would fail as things are now; policies' refusals are among the verdicts.
    pub error: Option<ErrorRecord>,
}

impl Planner {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Begins to look at a run: the policies judge it as a whole.
    ///
    /// # Errors
    /// What would be refused before there is a run: a wrong input, no user, a step that no connector can do.
    pub fn begin(&self, mut request: RunRequest) -> Result<Plan, Error> {
        for foreseen in std::mem::take(&mut request.foreseen) {
            foreseen.check(&self.shared)?;
        }
        let accepted = Event::RunAccepted(Arc::new(request.accepted()?));
        let now = self.shared.clock.now();
        let id = RunId::from_parts(now.unix_ms(), [0; 10]);
        let state = RunState::begin(id, EventSeq(1), now, &accepted).map_err(defect)?;
        let subject = Subject::new(&state);
        let mut plan = Plan { shared: Arc::clone(&self.shared), state, subject };
        let judged = gate::judge_run(&plan.shared, &plan.state, &plan.subject);
        // A plan goes on where the run would not, and shows the verdict.
        plan.remember(Event::PoliciesEvaluated(PoliciesEvaluated { verdicts: Vec::new(), policies: None }))?;
        plan.state.verdicts = judged.verdicts;
        Ok(plan)
    }
}

impl Plan {
    /// The number that stands for the run's.
    #[must_use]
    pub fn run_id(&self) -> RunId {
        self.state.id
    }

    /// Who asks for the run.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.state.accepted.user
    }

    /// What is said of the user; a JSON object.
    #[must_use]
    pub fn attributes(&self) -> &JsonText {
        &self.state.accepted.attributes
    }

    /// The run's input.
    #[must_use]
    pub fn input(&self) -> &JsonText {
        &self.state.accepted.input
    }

    /// The verdicts on the run as a whole.
    #[must_use]
    pub fn verdicts(&self) -> &[VerdictRecord] {
        &self.state.verdicts
    }

    /// What can be said of an action whose parameters are not all known: whether it is allowed at all, and how it is
    /// undone. That the run would ask for it is remembered, and not what would come of it.
    ///
    /// # Errors
    /// Where there is no such connector or action.
    pub fn glance(
        &mut self,
        connector: &str,
        action: &str,
        params: JsonText,
    ) -> Result<PlannedAction, Error> {
        let planned = self.seen_from_afar(connector, action, params)?;
        let (seq, path) = self.next_call();
        let asked = Asked { seq, path: &path, connector, action, params: &planned.params };
        let call = ActionCall { effect: planned.effect, ..gate::unread_call(&asked) };
        self.remember_glance(Arc::new(call), &planned)?;
        Ok(planned)
    }

    fn next_call(&self) -> (Seq, CallPath) {
        let seq = Seq(self.state.actions.len() as u64).next();
        (seq, CallPath::root(u32::try_from(seq.0).unwrap_or(u32::MAX)))
    }

    fn seen_from_afar(
        &self,
        connector: &str,
        action: &str,
        params: JsonText,
    ) -> Result<PlannedAction, Error> {
        let toolbox = self.shared.connector(connector)?.toolbox();
        let spec = toolbox.actions().map(|(spec, _)| spec).find(|spec| spec.name == action);
        let spec = spec.ok_or_else(|| {
            Error::new(ErrorCode::Unsupported, format!("'{connector}' has no action '{action}'"))
        })?;
        let verdicts = toolbox.check_allowed(action).err().map(not_in_allowlist).into_iter().collect();
        Ok(PlannedAction {
            params,
            target: None,
            verdicts,
            shown: Shown::default(),
            undo: undo_text(spec.effect, spec.undo, None),
            effect: spec.effect,
            output: None,
            already_done: false,
            notes: Vec::new(),
            error: None,
        })
    }

    /// Looks at an action: judges it on its parameters, and on what is found. What is only read is read.
    ///
    /// # Errors
    /// Where there is no such connector or action. What else is wrong with it is a part of the answer.
    pub async fn look(
        &mut self,
        connector: &str,
        action: &str,
        params: &JsonText,
        tries: Tries,
    ) -> Result<PlannedAction, Error> {
        let mut planned = self.seen_from_afar(connector, action, params.clone())?;
        let (seq, path) = self.next_call();
        let asked = Asked { seq, path: &path, connector, action, params };
        let (permitted, judged) = match gate::admit(&self.shared, &self.state, &self.subject, &asked) {
            Ok(passed) => passed,
            Err(refusal) => {
                let (call, error) = (refusal.call, refusal.error);
                planned.params = call.params.clone();
                planned.target.clone_from(&call.target);
                planned.verdicts.extend(refusal.verdicts.iter().cloned());
                if !error.code().is_refusal() {
                    planned.error = Some(error.record());
                }
                let refused = ActionRefused { call, verdicts: refusal.verdicts, error: error.record() };
                self.remember(Event::ActionRefused(refused))?;
                return Ok(planned);
            }
        };
        let call = Arc::clone(permitted.call());
        planned.params = call.params.clone();
        planned.target.clone_from(&call.target);
        planned.verdicts = judged.verdicts;
        let around = Arc::new(Around { shared: Arc::clone(&self.shared), notes: Mutex::default() });
        let cx = self.cx(seq).within(Arc::clone(&around) as Arc<dyn Surroundings>);
        // What waits for a person's word is not read without it.
        let leave = judged.wanted.is_empty() && !tries.approval;
        let judge = |facts: &Facts| {
            gate::judge_captured(&self.shared, &self.state, &self.subject, permitted.parts(), facts)
        };
        match within(tries, found(permitted.prepared(), &cx, leave, judge)).await {
            Err(error) => planned.error = Some(error.record()),
            Ok(Found::Read(output, verdicts)) => {
                planned.output = output;
                planned.judged_again(verdicts.unwrap_or_default());
            }
            Ok(Found::Would(mut preview)) => {
                if preview.already_done.is_none() {
                    planned.judged_again(judge(&preview.facts).verdicts);
                }
                if gate::refusal(&planned.verdicts).is_some() {
                    // What is refused is not looked into: it may be somebody's secret.
                    preview.shown = Shown::default();
                } else if preview.already_done.is_none()
                    && let Some(why) = self.keeps_back(&asked, permitted.prepared())?
                {
                    // Policies' facts hold no content.
                    preview.shown =
                        Shown { before: JsonText::encode(&preview.facts)?, change: JsonText::null() };
                    planned.notes.push(why);
                }
                planned.take(preview, permitted.prepared());
            }
        }
        planned.notes.append(&mut around.notes.lock());
        if tries.approval {
            let reason = "needs a person's approval: the workflow wants it".to_owned();
            planned.verdicts.push(VerdictRecord { policy: WORKFLOW.into(), passed: true, reason });
        }
        self.remember_action(call, &planned)?;
        Ok(planned)
    }

    /// Why what is there is not shown: whoever asks could not read it. `None` where it is.
    fn keeps_back(&self, asked: &Asked<'_>, prepared: &Prepared) -> Result<Option<String>, Error> {
        let Some((action, params)) = prepared.shown_by()? else { return Ok(None) };
        let read = Asked { action, params: &params, ..*asked };
        if gate::would_be_allowed(&self.shared, &self.state, &self.subject, &read) {
            return Ok(None);
        }
        let name = format!("{}.{action}", asked.connector);
        Ok(Some(format!(
            "what is there and would change is not shown: {name} of it is not allowed without more"
        )))
    }

    fn cx(&self, seq: Seq) -> Cx {
        let run = self.state.id;
        let effect = EffectId { run, seq, attempt: 1, direction: Direction::Forward, undo_try: 0 };
        Cx::new(effect, false, Arc::new(Nowhere))
    }

    /// What came of it: what comes later is judged on what the run asked for before. What only waits for a person's word
    /// is as if it had got it.
    fn remember_action(&mut self, call: Arc<ActionCall>, planned: &PlannedAction) -> Result<(), Error> {
        let verdicts = planned.verdicts.clone();
        let output = planned.output.clone().unwrap_or_default();
        if let Some(error) = planned.error.clone() {
            return self.remember(Event::ActionCaptureFailed(ActionCaptureFailed { call, verdicts, error }));
        }
        if let Some(refusal) = gate::refusal(&verdicts) {
            let error = refusal.record();
            return self.remember(Event::ActionRefused(ActionRefused { call, verdicts, error }));
        }
        if call.effect == EffectClass::ReadOnly {
            return self.remember(Event::ActionRead(ActionRead { call, verdicts, output }));
        }
        if planned.already_done {
            return self.remember(Event::ActionAlreadyDone(ActionAlreadyDone { call, verdicts, output }));
        }
        let seq = call.seq;
        self.remember(asked_for(call, verdicts))?;
        self.remember(Event::ActionSucceeded(ActionSucceeded { seq, attempt: 1, output }))
    }

    fn remember_glance(&mut self, call: Arc<ActionCall>, planned: &PlannedAction) -> Result<(), Error> {
        let verdicts = planned.verdicts.clone();
        if let Some(refusal) = gate::refusal(&verdicts) {
            let error = refusal.record();
            return self.remember(Event::ActionRefused(ActionRefused { call, verdicts, error }));
        }
        self.shared.recent.look(|admitted| admitted.admit(&self.shared, &self.state, &call));
        self.remember(asked_for(call, verdicts))
    }

    fn remember(&mut self, event: Event) -> Result<(), Error> {
        self.state.apply(self.shared.clock.now(), &event).map_err(defect)
    }
}

impl PlannedAction {
    /// The verdicts on what capture found, in place of those on the parameters: of the same policies, in the same order. A
    /// policy that has nothing to say now keeps what it said before, such as that it wants an approval.
    fn judged_again(&mut self, verdicts: Vec<VerdictRecord>) {
        if verdicts.is_empty() {
            return;
        }
        let mut before = std::mem::take(&mut self.verdicts).into_iter();
        let newest = |now: VerdictRecord| match before.next() {
            Some(before) if now.passed && now.reason.is_empty() => before,
            _ => now,
        };
        self.verdicts = verdicts.into_iter().map(newest).collect();
    }

    fn take(&mut self, preview: Preview<JsonText>, prepared: &Prepared) {
        let spec = prepared.spec();
        self.already_done = preview.already_done.is_some();
        self.output = preview.already_done;
        self.shown = preview.shown;
        if self.already_done {
            self.shown.change = JsonText::null();
            self.undo = "nothing would be changed, and nothing undone".to_owned();
        } else {
            self.undo = undo_text(spec.effect, spec.undo, preview.irreversible.as_deref());
        }
        if preview.irreversible.is_some() {
            self.effect = EffectClass::Irreversible;
        }
    }
}

/// An action of which nobody knows what came.
fn asked_for(call: Arc<ActionCall>, verdicts: Vec<VerdictRecord>) -> Event {
    Event::ActionIntended(Arc::new(ActionIntended {
        call,
        attempt: 1,
        verdicts,
        facts: JsonText::null(),
        pre: JsonText::null(),
        blobs: Vec::new(),
        identity: Identity(String::new()),
    }))
}

fn undo_text(effect: EffectClass, how: &str, irreversible: Option<&str>) -> String {
    match (effect, irreversible) {
        (EffectClass::ReadOnly, _) => "nothing to undo".to_owned(),
        (_, Some(why)) => format!("cannot be undone: {why}"),
        (EffectClass::Irreversible, None) => format!("cannot be undone: {how}"),
        (EffectClass::Reversible, None) => how.to_owned(),
    }
}

fn not_in_allowlist(error: Error) -> VerdictRecord {
    VerdictRecord { policy: ALLOWLIST.into(), passed: false, reason: error.message().to_owned() }
}

enum Found {
    /// What was read, where it may be, and the verdicts on what capture found.
    Read(Option<JsonText>, Option<Vec<VerdictRecord>>),
    Would(Preview<JsonText>),
}

async fn found(
    prepared: &Prepared,
    cx: &Cx,
    leave: bool,
    judge: impl Fn(&Facts) -> Judged,
) -> Result<Found, Error> {
    if prepared.spec().effect != EffectClass::ReadOnly {
        return prepared.preview(cx).await.map(Found::Would);
    }
    let (facts, ready) = match prepared.capture(cx).await? {
        Capture::AlreadyDone(output) => return Ok(Found::Read(Some(output), None)),
        Capture::Ready { facts, ready, .. } => (facts, ready),
    };
    let judged = judge(&facts);
    let may = leave && judged.refusal().is_none() && judged.wanted.is_empty();
    let output = if may { Some(prepared.perform(cx, ready).await?) } else { None };
    Ok(Found::Read(output, Some(judged.verdicts)))
}

async fn within<T>(tries: Tries, look: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(tries.timeout, look).await.unwrap_or_else(|_| {
        let message = format!("no answer within {:?}; nothing was changed", tries.timeout);
        Err(Error::new(ErrorCode::Timeout, message).left_nothing())
    })
}

fn defect(illegal: enact_core::run::IllegalTransition) -> Error {
    Error::new(ErrorCode::Internal, format!("the plan has a defect: {illegal}")).with_source(illegal)
}

/// What is looked at is not kept.
#[derive(Debug)]
struct Nowhere;

impl BlobStore for Nowhere {
    fn put(&self, content: &mut dyn Read) -> io::Result<BlobRef> {
        let (mut hash, mut size, mut part) = (Sha256::new(), 0_u64, vec![0; 64 * 1024]);
        loop {
            let read = content.read(&mut part)?;
            let Some(bytes) = part.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
            hash.update(bytes);
            size = size.saturating_add(read as u64);
        }
        Ok(BlobRef { sha256: format!("{:x}", hash.finalize()), size })
    }

    fn open(&self, _: &BlobRef) -> io::Result<Box<dyn Read + Send>> {
        Err(io::Error::new(io::ErrorKind::NotFound, "a plan keeps no content"))
    }
}

/// The runtime's clock, and what connectors say.
struct Around {
    shared: Arc<Shared>,
    notes: Mutex<Vec<String>>,
}

impl Debug for Around {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a plan")
    }
}

impl Surroundings for Around {
    fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    fn note(&self, text: &str) {
        self.notes.lock().push(text.to_owned());
    }
}
