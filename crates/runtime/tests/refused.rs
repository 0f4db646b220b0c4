//! What is refused before anything happens.

mod common;

use common::{Script, as_dyn, builder, put, request, start};
use enact_core::error::{Error, ErrorCode};
use enact_core::event::Decision;
use enact_core::ids::Seq;
use enact_core::json::JsonText;
use enact_core::run::RunStatus;
use enact_core::store::EventStore;
use enact_runtime::{RollbackOptions, RunRequest, Workflow, WorkflowCx, history};
use enact_store::MemoryStore;
use enact_testkit::world::World;

struct Act;

impl Workflow for Act {
    const NAME: &'static str = "act";
    const VERSION: u32 = 7;
    type Input = ();
    type Output = ();

    async fn run(&self, _: &WorkflowCx, (): ()) -> Result<(), Error> {
        Ok(())
    }
}

#[tokio::test]
async fn two_workflows_of_one_name_and_version_and_one_that_is_named_act_are_refused() {
    let (world, store) = (World::new(), MemoryStore::new());
    let twice = builder(&world, &as_dyn(&store)).workflow(Script).start().await.unwrap_err();
    assert_eq!(twice.code(), ErrorCode::InvalidParameters);
    assert_eq!(twice.message(), "two workflows are named 'script', version 1");
    let act = builder(&world, &as_dyn(&store)).workflow(Act).start().await.unwrap_err();
    assert_eq!(act.message(), "the name 'act' is that of runs of one action");
}

#[tokio::test]
async fn an_empty_id_is_no_beginning_of_a_runs_id_and_nobody_is_nobody_who_asks() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store).await;
    let run = enact.run_to_end(request(&[put("a")])).await.unwrap().id;
    for empty in ["", " "] {
        let found = history::find(&store, empty).await.unwrap_err();
        assert_eq!(found.code(), ErrorCode::InvalidParameters, "{found}");
        let refusals = [
            enact.rollback(run, RollbackOptions::by(empty)).await,
            enact.cancel(run, empty, None).await,
            enact.resume(run, empty).await,
            enact.resolve(run, Seq(1), Decision::Applied, empty).await,
        ];
        for refusal in refusals {
            assert_eq!(refusal.unwrap_err().code(), ErrorCode::InvalidParameters);
        }
    }
    assert_eq!(enact.state(run).await.unwrap().status(), RunStatus::Completed);
    assert_eq!(history::find(&store, &run.to_string()[..4]).await.unwrap(), run);
}

#[tokio::test]
async fn one_action_that_cannot_be_right_is_refused_before_there_is_a_run() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store).await;
    let act = |connector: &str, action: &str, params: &str| {
        RunRequest::act(connector, action, JsonText::parse(params).unwrap(), common::USER)
    };
    let wrong = [
        (act("nope", "put", "{}"), "no connector 'nope' is configured; there are: world"),
        (act("world", "nope", "{}"), "'world' has no action 'nope'; it has: "),
        (act("world", "put", r#"{"key": "a"}"#), "missing field `value`"),
    ];
    for (request, why) in wrong {
        let keyed = request.clone().key(Some("once".into()));
        for refused in [enact.run_to_end(request).await.map(drop), enact.submit(keyed).await.map(drop)] {
            let error = refused.unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidParameters);
            assert!(error.message().contains(why) && !error.message().starts_with(':'), "{error}");
        }
    }
    // What the allowlist does not name is recorded.
    let idle = enact.run_to_end(act("world", "idle", "{}")).await.unwrap();
    assert_eq!(idle.status(), RunStatus::Blocked);
    assert_eq!(store.runs(None, 10).await.unwrap(), [idle.id]);
}
