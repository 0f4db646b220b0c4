//! Moving refs: the only effect of whatever is made of commits. A ref is moved from what it is known to be.
//!
//! GraphQL's `updateRefs` compares and sets in one step. Servers without it are asked by REST, which has no comparison
//! for updates and deletions: the ref is looked at just before. That race is named in docs.md.

use std::sync::atomic::Ordering;

use enact_core::{Error, ErrorCode};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::client::Request;
use crate::error::precondition;
use crate::name::{BranchName, Sha};
use crate::repo::{Ref, Repo};

/// The server does not have `updateRefs`; whether it does is found out by using it.
const LACKS: u8 = 1;

const UPDATE: &str = "mutation($input: UpdateRefsInput!) { updateRefs(input: $input) { clientMutationId } }";

/// What became of a ref that was to be moved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Swap {
    /// It is moved.
    Done,
    /// It was not where it was expected to be, and was left there.
    Elsewhere(Option<Sha>),
}

/// Where a branch is, in words.
pub(crate) fn place(now: Option<&Sha>) -> String {
    now.map_or_else(|| "gone".to_owned(), |now| format!("at {}", now.short()))
}

impl Repo<'_> {
    /// Makes a branch, unless there is one of that name. REST compares here: it makes new refs only.
    pub(crate) async fn create_branch(&self, branch: &BranchName, sha: &Sha) -> Result<Swap, Error> {
        let doing = format!("create branch {branch} of {} at {}", self.name, sha.short());
        let body = json!({ "ref": branch.full(), "sha": sha });
        let request = self.request(Method::POST, "/git/refs".into(), doing).body(body);
        let answer = self.send(&request).await?;
        if answer.status.is_success() {
            return points(&request, &answer, branch, sha);
        }
        let refused = request.refused(&answer);
        if refused.code() != ErrorCode::AlreadyExists {
            return Err(refused);
        }
        match self.branch(branch).await? {
            Some(found) => Ok(Swap::Elsewhere(Some(found))),
            None => Err(precondition(format!(
                "cannot create branch {branch} of {}: a branch stands in its way, whose name is a part of it: {}",
                self.name,
                answer.words()
            ))),
        }
    }

    /// Moves a branch from `before` to `after`. `rewind` permits a commit that does not contain `before`.
    pub(crate) async fn move_branch(
        &self,
        branch: &BranchName,
        before: &Sha,
        after: &Sha,
        rewind: bool,
    ) -> Result<Swap, Error> {
        let doing =
            format!("move branch {branch} of {} from {} to {}", self.name, before.short(), after.short());
        if let Some(swap) = self.update_ref(branch, before, Some(after), rewind, &doing).await? {
            return Ok(swap);
        }
        let now = self.branch(branch).await?;
        if now.as_ref() != Some(before) {
            return Ok(Swap::Elsewhere(now));
        }
        let body = json!({ "sha": after, "force": rewind });
        let tail = format!("/git/refs/heads/{}", branch.path());
        let request = self.request(Method::PATCH, tail, doing).body(body);
        let answer = self.send(&request).await?;
        self.outcome(branch, before, Some(after), &request, &answer).await
    }

    /// Deletes a branch that points at `before`.
    pub(crate) async fn remove_branch(&self, branch: &BranchName, before: &Sha) -> Result<Swap, Error> {
        let doing = format!("delete branch {branch} of {}", self.name);
        if let Some(swap) = self.update_ref(branch, before, None, true, &doing).await? {
            return Ok(swap);
        }
        let now = self.branch(branch).await?;
        if now.as_ref() != Some(before) {
            return Ok(Swap::Elsewhere(now));
        }
        let request = self.request(Method::DELETE, format!("/git/refs/heads/{}", branch.path()), doing);
        let answer = self.send(&request).await?;
        self.outcome(branch, before, None, &request, &answer).await
    }

    /// By `updateRefs`; `None` where the server does not have it.
    async fn update_ref(
        &self,
        branch: &BranchName,
        before: &Sha,
        after: Option<&Sha>,
        rewind: bool,
        doing: &str,
    ) -> Result<Option<Swap>, Error> {
        let known = &self.github.client.update_refs;
        if known.load(Ordering::Relaxed) == LACKS {
            return Ok(None);
        }
        let update = json!({
            "name": branch.full(),
            "beforeOid": before,
            "afterOid": after.map_or_else(|| before.zeros(), ToString::to_string),
            "force": rewind,
        });
        let input = json!({ "repositoryId": self.node().await?, "refUpdates": [update] });
        let request = Request::graphql(json!({ "query": UPDATE, "variables": { "input": input } }), doing);
        let answer = self.send(&request).await?;
        match judge(&answer) {
            Said::Done => Ok(Some(Swap::Done)),
            Said::Unknown => {
                tracing::warn!("the server has no updateRefs; refs are compared just before they are moved");
                known.store(LACKS, Ordering::Relaxed);
                Ok(None)
            }
            // Some tokens may not speak to GraphQL. What they may do is for REST to say.
            Said::NotHere => {
                let (status, words) = (answer.status.as_u16(), answer.words());
                tracing::warn!(status, words, "no updateRefs this time; the ref is compared just before");
                Ok(None)
            }
            Said::Broken => {
                let words = answer.words();
                let words = if words.is_empty() { "it does not say what became of it" } else { &words };
                Err(request.undescribed(&answer, words))
            }
            Said::Refused(answer) => self.outcome(branch, before, after, &request, &answer).await.map(Some),
        }
    }

    /// What became of a move, by its answer. A refusal is told from a move by others by looking, not by its words.
    async fn outcome(
        &self,
        branch: &BranchName,
        before: &Sha,
        after: Option<&Sha>,
        request: &Request<'_>,
        answer: &Answer,
    ) -> Result<Swap, Error> {
        if answer.status.is_success() {
            return match after {
                Some(after) => points(request, answer, branch, after),
                None => request.read_nothing(answer).map(|()| Swap::Done),
            };
        }
        let now = self.branch(branch).await?;
        // That it is gone is never by a deletion that was refused.
        if after.is_some() && now.as_ref() == after {
            return Ok(Swap::Done);
        }
        if now.as_ref() == Some(before) {
            return Err(request.refused(answer));
        }
        Ok(Swap::Elsewhere(now))
    }
}

/// A success has to say that the branch is where it was to be.
fn points(request: &Request<'_>, answer: &Answer, branch: &BranchName, sha: &Sha) -> Result<Swap, Error> {
    let Ref { name, object } = request.read(answer)?;
    if name == branch.full() && object.sha == *sha {
        return Ok(Swap::Done);
    }
    Err(request.undescribed(answer, format_args!("it is of '{name}' at {}", object.sha)))
}

/// What GraphQL said.
enum Said {
    Done,
    /// The server does not know the mutation.
    Unknown,
    /// There is no GraphQL for this token, or for this request.
    NotHere,
    /// It broke off, and does not say whether that was before or after; or it says what is not known here.
    Broken,
    /// It refused; as REST would have said it.
    Refused(Answer),
}

fn judge(answer: &Answer) -> Said {
    if !answer.status.is_success() {
        return match answer.status {
            // Only the schema says that there is no such mutation; a proxy may answer 404 for a while.
            StatusCode::NOT_FOUND | StatusCode::FORBIDDEN => Said::NotHere,
            _ => Said::Refused(answer.clone()),
        };
    }
    let errors = answer.body.get("errors").and_then(Value::as_array).cloned().unwrap_or_default();
    let Some(first) = errors.first() else {
        let done = answer.body.pointer("/data/updateRefs").is_some_and(Value::is_object);
        return if done { Said::Done } else { Said::Broken };
    };
    let text = |pointer: &str| first.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let undefined = text("/extensions/code").starts_with("undefined")
        || text("/extensions/code") == "variableRequiresValidType"
        || ["doesn't exist on type", "isn't a defined input type"]
            .iter()
            .any(|no| text("/message").contains(no));
    match text("/type") {
        _ if undefined => Said::Unknown,
        // REST says what would permit it, or permits it.
        "FORBIDDEN" | "INSUFFICIENT_SCOPES" => Said::NotHere,
        "NOT_FOUND" => Said::Refused(refusal(answer, StatusCode::NOT_FOUND)),
        "UNPROCESSABLE" | "STALE_DATA" => Said::Refused(refusal(answer, StatusCode::UNPROCESSABLE_ENTITY)),
        // The types are not described anywhere. One that is not known is no proof that nothing was done.
        _ => Said::Broken,
    }
}

fn refusal(answer: &Answer, status: StatusCode) -> Answer {
    Answer { status, ..answer.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(error: Value) -> Said {
        judge(&Answer::of(StatusCode::OK, &json!({ "data": { "updateRefs": null }, "errors": [error] })))
    }

    #[test]
    fn what_graphql_says_is_told_apart() {
        let done =
            Answer::of(StatusCode::OK, &json!({ "data": { "updateRefs": { "clientMutationId": null } } }));
        assert!(matches!(judge(&done), Said::Done));
        let nothing = Answer::of(StatusCode::OK, &json!({ "data": { "updateRefs": null } }));
        assert!(matches!(judge(&nothing), Said::Broken));
        let gone = Answer::of(StatusCode::NOT_FOUND, &json!({ "message": "Not Found" }));
        assert!(matches!(judge(&gone), Said::NotHere));
        for message in [
            "Field 'updateRefs' doesn't exist on type 'Mutation'",
            "UpdateRefsInput isn't a defined input type (on $input)",
        ] {
            assert!(matches!(said(json!({ "message": message })), Said::Unknown), "{message}");
        }
        assert!(matches!(said(json!({ "type": "FORBIDDEN", "message": "no" })), Said::NotHere));
        for refused in ["UNPROCESSABLE", "STALE_DATA", "NOT_FOUND"] {
            assert!(
                matches!(said(json!({ "type": refused, "message": "no" })), Said::Refused(_)),
                "{refused}"
            );
        }
        for error in [
            json!({ "message": "Something went wrong while executing your query." }),
            json!({ "type": "INTERNAL", "message": "Could not update the refs" }),
            json!({ "type": "SERVICE_UNAVAILABLE", "message": "no" }),
            json!({ "type": "A_TYPE_OF_NEXT_YEAR", "message": "no" }),
        ] {
            assert!(matches!(said(error.clone()), Said::Broken), "{error}");
        }
    }
}
