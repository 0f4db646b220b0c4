//! Transitions of approvals: what a person is asked, and what comes of it.
//!
//! A request is on exactly one thing, the run or one of its actions, by a digest. A word is taken on a request that is
//! open, once, and not from the one who asked for the run.

use std::sync::Arc;

use crate::event::{ApprovalDecided, ApprovalRequested, ApprovalWord};
use crate::ids::Seq;
use crate::person;
use crate::time::Timestamp;

use super::{Phase, Refusal, RunState};

/// A request for approval and what became of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApprovalState {
    /// What was asked.
    pub request: Arc<ApprovalRequested>,
    /// When.
    pub asked_at: Timestamp,
    /// The word; `None` while there is none.
    pub decided: Option<ApprovalDecided>,
}

impl ApprovalState {
    /// The action; `None` where it is the run as a whole.
    #[must_use]
    pub fn seq(&self) -> Option<Seq> {
        self.request.seq()
    }

    /// Whether a person's word is waited for.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.decided.is_none()
    }
}

impl ApprovalRequested {
    /// The action; `None` where it is the run as a whole.
    #[must_use]
    pub fn seq(&self) -> Option<Seq> {
        self.call.as_ref().map(|call| call.seq)
    }

    /// Why somebody may not approve it; `None` where they may.
    #[must_use]
    pub fn refuses(&self, approver: &str, user: &str) -> Option<String> {
        if is_same_person(approver, user) {
            return Some(format!("{approver} asked for the run, and somebody else has to approve it"));
        }
        let may =
            self.approvers.is_empty() || self.approvers.iter().any(|named| is_same_person(approver, named));
        (!may).then(|| {
            format!("{approver} is not one of those who may approve it: {}", self.approvers.join(", "))
        })
    }
}

/// Whether two names are of one person, as [`person::folded`] has them.
#[must_use]
pub fn is_same_person(one: &str, other: &str) -> bool {
    person::folded(one) == person::folded(other)
}

impl RunState {
    /// The requests that wait for a person's word.
    pub fn open_approvals(&self) -> impl Iterator<Item = &ApprovalState> {
        self.approvals.iter().filter(|approval| approval.is_open())
    }

    /// The newest request on something, by its digest.
    #[must_use]
    pub fn approval(&self, seq: Option<Seq>, digest: &str) -> Option<&ApprovalState> {
        self.approvals
            .iter()
            .rev()
            .find(|approval| approval.seq() == seq && approval.request.digest == digest)
    }

    /// The no that was said to something, or the time that was over for it: it is final, whatever is asked later.
    #[must_use]
    pub fn refused_approval(&self, seq: Option<Seq>) -> Option<&ApprovalState> {
        let is_no = |approval: &&ApprovalState| {
            let word = approval.decided.as_ref().map(|decided| decided.word);
            approval.seq() == seq && matches!(word, Some(ApprovalWord::Denied | ApprovalWord::Expired))
        };
        self.approvals.iter().find(is_no)
    }

    /// What a person did not approve does not go on.
    pub(super) fn refuse_the_refused(&self, seq: Option<Seq>) -> Result<(), Refusal> {
        match self.refused_approval(seq) {
            Some(_) => Err("it was not approved".into()),
            None => Ok(()),
        }
    }

    /// Takes the place of one on the same thing that is still open.
    pub(super) fn approval_requested(
        &mut self,
        at: Timestamp,
        request: &Arc<ApprovalRequested>,
    ) -> Result<(), Refusal> {
        self.refuse_the_refused(request.seq())?;
        match (&request.call, self.phase) {
            (None, Phase::Judging) => self.verdicts.clone_from(&request.verdicts),
            (Some(call), Phase::Running) => {
                self.check_call(call)?;
                self.action_of(call).verdicts.clone_from(&request.verdicts);
            }
            (None, _) => return Err("the policies have passed the run already".into()),
            (Some(_), _) => return Err("the policies have not passed the run yet".into()),
        }
        self.withdraw_approval(request.seq());
        let request = Arc::clone(request);
        self.approvals.push(ApprovalState { request, asked_at: at, decided: None });
        Ok(())
    }

    pub(super) fn approval_decided(&mut self, at: Timestamp, event: &ApprovalDecided) -> Result<(), Refusal> {
        let user = self.accepted.user.clone();
        let open =
            self.approvals.iter_mut().find(|approval| approval.is_open() && approval.seq() == event.seq);
        let approval = open.ok_or("nothing of it waits for an approval")?;
        let request = &approval.request;
        if request.digest != event.digest {
            return Err("what waits for an approval is something else by now".into());
        }
        let over = at >= request.expires_at;
        match (event.word, &event.by) {
            (ApprovalWord::Expired, None) if over => {}
            (ApprovalWord::Expired, _) => {
                return Err(format!("it expires by itself, at {}", request.expires_at));
            }
            (_, None) => return Err("a word is somebody's".into()),
            (_, Some(_)) if over => {
                return Err(format!("the time for it was over at {}", request.expires_at));
            }
            (ApprovalWord::Approved, Some(by)) => {
                if let Some(why) = request.refuses(by, &user) {
                    return Err(why);
                }
            }
            (ApprovalWord::Denied, Some(_)) => {}
        }
        approval.decided = Some(event.clone());
        Ok(())
    }

    /// What is open on it is not wanted any more: it went on without, or was asked anew.
    pub(super) fn withdraw_approval(&mut self, seq: Option<Seq>) {
        self.approvals.retain(|approval| !(approval.is_open() && approval.seq() == seq));
    }
}
