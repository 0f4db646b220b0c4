//! The checks, one function each; the function's name says what holds.

use enact_core::action::{Doubt, EffectClass};
use enact_core::ids::Direction;
use enact_core::{Capture, ErrorCode};
use futures::future::{Either, select};
use serde_json::Value;

use super::stage::{Intended, Outcome, Stage, prepare, probe};
use super::{Case, World};

/// All checks, and what failed of them.
pub(super) async fn all<W: World>(case: &Case<W>, fresh: &impl AsyncFn() -> W) -> Vec<String> {
    let mut failures = Vec::new();
    macro_rules! run {
        ($($check:ident,)*) => {{
            $(if let Err(failure) = $check(case, fresh).await {
                failures.push(format!("- {}: {failure}", stringify!($check)));
            })*
        }};
    }
    run![
        wrong_parameters_are_refused_by_name,
        parameters_read_back,
        capture_changes_nothing,
        facts_are_declared,
        the_same_state_gives_the_same_facts,
    ];
    run![a_plan_changes_nothing_and_sees_what_capture_sees,];
    match prepare(&fresh().await.toolbox(), &case.action, &case.params) {
        Ok(action) if action.spec().effect == EffectClass::ReadOnly => run![a_read_changes_nothing,],
        Ok(action) if action.spec().effect == EffectClass::Reversible => run![
            undo_gives_the_same_world,
            undo_without_the_output_gives_the_same_world,
            undo_of_nothing_changes_nothing,
            undo_twice_is_already_undone,
            actions_twice_are_undone_twice,
            a_probe_of_what_was_done_says_so,
            a_probe_of_what_was_not_done_says_so,
            a_probe_of_an_undo_says_how_it_is,
            a_dropped_perform_is_settled_by_the_probe,
            a_dropped_undo_is_settled_by_the_probe,
            a_change_by_others_is_a_conflict,
            force_overrides_a_change_by_others,
        ],
        // What cannot be undone is proved all the same.
        _ => run![a_probe_of_what_was_done_says_so, a_probe_of_what_was_not_done_says_so,],
    }
    failures
}

async fn wrong_parameters_are_refused_by_name<W: World>(
    case: &Case<W>,
    fresh: &impl AsyncFn() -> W,
) -> Outcome {
    let toolbox = fresh().await.toolbox();
    let mut wrong = case.refused.clone();
    for field in &case.required {
        wrong.push((edit(&case.params, |fields| drop(fields.remove(field))), field.clone()));
    }
    let stray = "no_such_parameter";
    wrong.push((edit(&case.params, |fields| drop(fields.insert(stray.into(), 1.into()))), stray.into()));
    for (params, naming) in wrong {
        match prepare(&toolbox, &case.action, &params) {
            Ok(_) => return Err(format!("{params} is not refused")),
            Err(error) if error.code() != ErrorCode::InvalidParameters => {
                return Err(format!("{params} is refused with the wrong code: {error}"));
            }
            Err(error) if !error.message().contains(&naming) => {
                return Err(format!("the refusal of {params} does not name '{naming}': {error}"));
            }
            Err(_) => {}
        }
    }
    Ok(())
}

fn edit(params: &Value, change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> Value {
    let mut fields = params.as_object().cloned().unwrap_or_default();
    change(&mut fields);
    Value::Object(fields)
}

async fn parameters_read_back<W: World>(case: &Case<W>, fresh: &impl AsyncFn() -> W) -> Outcome {
    let stage = Stage::set(case, fresh).await?;
    let again = stage.world.toolbox().prepare(&case.action, stage.action.params());
    let again = again.map_err(|error| format!("its own parameters are refused: {error}"))?;
    if again.params() == stage.action.params() && again.target() == stage.action.target() {
        return Ok(());
    }
    Err(format!("{:?} reads back as {:?}", stage.action.params(), again.params()))
}

async fn facts_are_declared<W: World>(case: &Case<W>, fresh: &impl AsyncFn() -> W) -> Outcome {
    let stage = Stage::set(case, fresh).await?;
    let declared = stage.action.spec().facts;
    for (name, value) in stage.intend().await?.facts {
        match declared.iter().find(|(declared, _)| *declared == name) {
            None => return Err(format!("the fact '{name}' is not among the action's FACTS")),
            Some((_, kind)) if !kind.holds(&value) => {
                return Err(format!("the fact '{name}' is declared as {kind:?}, and is {value}"));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// An approval is bound to the facts, and the action is captured again once it is given.
async fn the_same_state_gives_the_same_facts<W: World>(
    case: &Case<W>,
    fresh: &impl AsyncFn() -> W,
) -> Outcome {
    let stage = Stage::set(case, fresh).await?;
    let first = stage.intend().await?.facts;
    let second = stage.intend_later().await?.facts;
    if first == second {
        return Ok(());
    }
    Err(format!("capture finds {first:?}, and {second:?} when it looks again, although nothing changed"))
}

async fn capture_changes_nothing<W: World>(case: &Case<W>, fresh: &impl AsyncFn() -> W) -> Outcome {
    let stage = Stage::set(case, fresh).await?;
    drop(stage.intend().await?);
    stage.same_as(&stage.before, "capture").await
}

/// What policies may ask about is the same in a plan, but for what only the change itself shows.
async fn a_plan_changes_nothing_and_sees_what_capture_sees<W: World>(
    case: &Case<W>,
    fresh: &impl AsyncFn() -> W,
) -> Outcome {
    let stage = Stage::set(case, fresh).await?;
    let preview = stage.action.preview(&stage.cx(Direction::Forward, false)).await;
    let preview = preview.map_err(|error| format!("it cannot be looked at: {error}"))?;
    stage.same_as(&stage.before, "a plan").await?;
    if preview.already_done.is_some() {
        return Err("a plan says that it is already done".into());
    }
    let captured = stage.action.capture(&stage.cx(Direction::Forward, false)).await;
    match captured.map_err(|error| format!("capture failed: {error}"))? {
        Capture::Ready { facts, .. } if facts.keys().eq(preview.facts.keys()) => Ok(()),
        Capture::Ready { facts, .. } => {
            Err(format!("capture finds {facts:?}, and a plan finds {:?}", preview.facts))
        }
        Capture::AlreadyDone(_) => Err("capture says that it is already done".into()),
    }
}

async fn a_read_changes_nothing<W: World>(case: &Case<W>, fresh: &impl AsyncFn() -> W) -> Outcome {
    let stage = Stage::set(case, fresh).await?;
    let (_, first) = stage.act().await?;
    let (_, second) = stage.act().await?;
    if first != second {
        return Err("reading twice gives different outputs".into());
    }
    stage.same_as(&stage.before, "reading").await
}

async fn undo_gives_the_same_world<W: World>(case: &Case<W>, fresh: &impl AsyncFn() -> W) -> Outcome {
    let stage = Stage::set(case, fresh).await?;
    let (pre, output) = stage.act().await?;
    if stage.world.observe().await == stage.before {
        return Err("the action changed nothing, so the case proves nothing".into());
    }
    stage.undo_all(&stage.undo_of(&pre, Some(&output))?, false).await
}

async fn undo_without_the_output_gives_the_same_world<W: World>(
    case: &Case<W>,
    fresh: &impl AsyncFn() -> W,
) -> Outcome {
    let stage = Stage::set(case, fresh).await?;
    let (pre, _) = stage.act().await?;
    stage.undo_all(&stage.undo_of(&pre, None)?, false).await
}

async fn undo_of_nothing_changes_nothing<W: World>(case: &Case<W>, fresh: &impl AsyncFn() -> W) -> Outcome {
    let stage = Stage::set(case, fresh).await?;
    let pre = stage.intend().await?.pre;
    stage.undo_all(&stage.undo_of(&pre, None)?, false).await
}

async fn undo_twice_is_already_undone<W: World>(case: &Case<W>, fresh: &impl AsyncFn() -> W) -> Outcome {
    let stage = Stage::set(case, fresh).await?;
    let (pre, output) = stage.act().await?;
    let undo = stage.undo_of(&pre, Some(&output))?;
    stage.undo_all(&undo, false).await?;
    match stage.undo(&undo, false).await {
        Ok(false) => stage.same_as(&stage.before, "the second undo").await,
        Ok(true) => Err("the second undo found something to undo".into()),
        Err(error) => Err(format!("the second undo failed: {error}")),
    }
}

/// Asked for again it is done again or already done; undone as often as it was done, the world is as before.
async fn actions_twice_are_undone_twice<W: World>(case: &Case<W>, fresh: &impl AsyncFn() -> W) -> Outcome {
    let stage = Stage::set(case, fresh).await?;
    let (first, _) = stage.act().await?;
    let cx = stage.cx(Direction::Forward, false);
    match stage.capture(&stage.action, cx).await {
        Ok(None) => {}
        Ok(Some(Intended { cx, pre, ready, .. })) => {
            stage.action.perform(&cx, ready).await.map_err(|error| format!("the second failed: {error}"))?;
            let undo = stage.undo_of(&pre, None)?;
            stage.undo(&undo, false).await.map_err(|error| format!("the second's undo failed: {error}"))?;
        }
        Err(error) if refuses_a_second(error.code()) => {}
        Err(error) => return Err(format!("the second failed: {error} ({})", error.code())),
    }
    stage.undo_all(&stage.undo_of(&first, None)?, false).await
}

/// What it would make exists, or what it would change has moved.
fn refuses_a_second(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::AlreadyExists | ErrorCode::Conflict | ErrorCode::NotFound | ErrorCode::PreconditionFailed
    )
}

async fn a_probe_of_what_was_done_says_so<W: World>(case: &Case<W>, fresh: &impl AsyncFn() -> W) -> Outcome {
    let stage = Stage::set(case, fresh).await?;
    let Intended { cx, pre, ready, .. } = stage.intend().await?;
    let output =
        stage.action.perform(&cx, ready).await.map_err(|error| format!("perform failed: {error}"))?;
    let after = stage.world.observe().await;
    for _ in 0..2 {
        match probe(&stage.action, &cx, &pre).await? {
            Doubt::Applied(found) if found == output => {}
            other => return Err(format!("it was done with {output:?}, and the probe says {other:?}")),
        }
    }
    stage.same_as(&after, "the probe").await
}

async fn a_probe_of_what_was_not_done_says_so<W: World>(
    case: &Case<W>,
    fresh: &impl AsyncFn() -> W,
) -> Outcome {
    let stage = Stage::set(case, fresh).await?;
    let Intended { cx, pre, ready, .. } = stage.intend().await?;
    drop(ready);
    for _ in 0..2 {
        match probe(&stage.action, &cx, &pre).await? {
            Doubt::NotApplied => {}
            other => return Err(format!("it was not done, and the probe says {other:?}")),
        }
    }
    stage.same_as(&stage.before, "the probe").await
}

async fn a_probe_of_an_undo_says_how_it_is<W: World>(case: &Case<W>, fresh: &impl AsyncFn() -> W) -> Outcome {
    let stage = Stage::set(case, fresh).await?;
    let (pre, output) = stage.act().await?;
    let undo = stage.undo_of(&pre, Some(&output))?;
    // A probe comes when nobody performs any more: what was captured is dropped, and captured anew.
    let Intended { cx, pre: given_up, ready, .. } = intend_undo(&stage, &undo).await?;
    drop(ready);
    match probe(&undo, &cx, &given_up).await? {
        Doubt::NotApplied => {}
        other => return Err(format!("the undo was not done, and its probe says {other:?}")),
    }
    let intended = intend_undo(&stage, &undo).await?;
    let undone = undo.perform(&intended.cx, intended.ready).await;
    let undone = undone.map_err(|error| format!("the undo failed: {error}"))?;
    match probe(&undo, &intended.cx, &intended.pre).await? {
        Doubt::Applied(found) if found == undone => {}
        other => return Err(format!("the undo was done with {undone:?}, and its probe says {other:?}")),
    }
    stage.same_as(&stage.before, "the undo and its probe").await
}

async fn intend_undo<W: World>(stage: &Stage<W>, undo: &enact_core::Prepared) -> Outcome<Intended> {
    stage
        .capture(undo, stage.cx(Direction::Undo, false))
        .await
        .map_err(|error| format!("the undo's capture failed: {error}"))?
        .ok_or_else(|| "the undo finds nothing to undo".into())
}

/// Nobody waits for the perform any more. What the probe then says stays true.
async fn a_dropped_perform_is_settled_by_the_probe<W: World>(
    case: &Case<W>,
    fresh: &impl AsyncFn() -> W,
) -> Outcome {
    let stage = Stage::set(case, fresh).await?;
    let Intended { cx, pre, ready, .. } = stage.intend().await?;
    start_and_drop(stage.action.perform(&cx, ready)).await;
    let found = probe(&stage.action, &cx, &pre).await?;
    let now = stage.world.observe().await;
    match found {
        Doubt::Unknown(why) => return left_in_doubt(case, &why),
        Doubt::NotApplied if now != stage.before => {
            return Err(format!("the probe says that nothing was done, and the world is:\n{now}"));
        }
        Doubt::Applied(_) if now == stage.before => {
            return Err("the probe says that it was done, and the world is as before".into());
        }
        Doubt::NotApplied | Doubt::Applied(_) => {}
    }
    stage.undo_all(&stage.undo_of(&pre, None)?, false).await
}

async fn a_dropped_undo_is_settled_by_the_probe<W: World>(
    case: &Case<W>,
    fresh: &impl AsyncFn() -> W,
) -> Outcome {
    let stage = Stage::set(case, fresh).await?;
    let (pre, output) = stage.act().await?;
    let undo = stage.undo_of(&pre, Some(&output))?;
    let Intended { cx, pre, ready, .. } = intend_undo(&stage, &undo).await?;
    start_and_drop(undo.perform(&cx, ready)).await;
    match probe(&undo, &cx, &pre).await? {
        Doubt::Applied(_) => stage.same_as(&stage.before, "the undo that its probe found").await,
        Doubt::NotApplied => stage.undo_all(&undo, false).await,
        Doubt::Unknown(why) => left_in_doubt(case, &why),
    }
}

fn left_in_doubt<W>(case: &Case<W>, why: &str) -> Outcome {
    if case.may_stay_in_doubt {
        return Ok(());
    }
    Err(format!("the probe leaves it to a person ({why}), and the case does not say that it may"))
}

/// Polls a future once and drops it.
async fn start_and_drop<T>(future: impl Future<Output = T>) {
    let future = std::pin::pin!(future);
    match select(future, std::future::ready(())).await {
        Either::Left(_) | Either::Right(_) => {}
    }
}

async fn a_change_by_others_is_a_conflict<W: World>(case: &Case<W>, fresh: &impl AsyncFn() -> W) -> Outcome {
    let Some(disturb) = &case.disturb else { return Ok(()) };
    let stage = Stage::set(case, fresh).await?;
    let (pre, output) = stage.act().await?;
    let undo = stage.undo_of(&pre, Some(&output))?;
    disturb(&stage.world);
    let disturbed = stage.world.observe().await;
    match stage.undo(&undo, false).await {
        Err(error) if error.code() == ErrorCode::Conflict => {}
        other => return Err(format!("somebody changed it, and the undo says {other:?}")),
    }
    stage.same_as(&disturbed, "the conflict").await
}

async fn force_overrides_a_change_by_others<W: World>(
    case: &Case<W>,
    fresh: &impl AsyncFn() -> W,
) -> Outcome {
    let Some(disturb) = &case.disturb else { return Ok(()) };
    let stage = Stage::set(case, fresh).await?;
    let (pre, output) = stage.act().await?;
    let undo = stage.undo_of(&pre, Some(&output))?;
    disturb(&stage.world);
    let forced = stage.capture(&undo, stage.cx(Direction::Undo, true)).await;
    let Intended { cx, pre, ready, .. } = forced
        .map_err(|error| format!("the forced undo's capture failed: {error}"))?
        .ok_or("the forced undo finds nothing to undo")?;
    if let Some(words) = case.kept.as_ref().filter(|words| !pre.as_str().contains(*words)) {
        return Err(format!(
            "a forced undo is to keep '{words}', which it overwrites; its pre-state: {pre:?}"
        ));
    }
    undo.perform(&cx, ready).await.map_err(|error| format!("the forced undo failed: {error}"))?;
    stage.same_as(&stage.before, "the forced undo").await
}
