//! A GitHub App: tokens that last an hour and are had anew, and what the app lacks.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test by panicking"
)]

mod world;

use std::path::Path;

use enact_connector_github::GitHub;
use enact_core::Capture;
use enact_core::action::Doubt;
use enact_core::connector::{Allow, ConfigEnv, Connector as _, Toolbox};
use enact_core::ids::Direction;
use enact_core::json::JsonText;
use enact_testkit::github::{App, Fault, What};
use serde_json::json;
use world::{ALL, Hub, REPO};

fn toolbox(hub: &Hub, app: &App, installation: u64, folder: &Path) -> Toolbox {
    std::fs::write(folder.join("key.pem"), app.private_key_pem()).unwrap();
    let config = json!({
        "app_id": app.id(), "installation_id": installation, "private_key_file": "key.pem",
        "base_url": hub.server.url(), "settle_window_s": 0, "revert_pushes": true,
    });
    let config = JsonText::encode(&config).unwrap().decode().unwrap();
    GitHub::open(config, &ConfigEnv { name: "github", dir: folder }).unwrap().allow(ALL).unwrap()
}

fn tokens(hub: &Hub) -> usize {
    hub.server.effects().iter().filter(|effect| effect.what == What::TokenIssued).count()
}

#[tokio::test]
async fn an_installation_acts_with_one_token_and_gets_another_when_it_ends() {
    let (hub, folder) = (Hub::new(), tempfile::tempdir().unwrap());
    let app =
        hub.server.app("helper", ["contents:write", "pull_requests:write", "issues:write", "metadata:read"]);
    let installation = app.install("octo");
    let toolbox = toolbox(&hub, &app, installation, folder.path());
    assert_eq!(
        toolbox.warnings().await.unwrap(),
        ["'settle_window_s' (0) is not above 'timeout_s' (30): a request \
        that is still on its way may count as lost"]
    );
    let identity = toolbox.identity().await.unwrap();
    assert!(
        identity.0.ends_with(&format!("as app {} installation {installation}", app.id())),
        "{identity:?}"
    );
    let files = json!([{ "path": "x", "content": "x" }]);
    let act = async |action: &str, params: serde_json::Value| {
        let prepared = toolbox.prepare(action, &JsonText::encode(&params).unwrap()).unwrap();
        hub.carry_out(prepared, hub.cx(Direction::Forward, false)).await.unwrap()
    };
    let done = act("create_issue", json!({ "repo": REPO, "title": "T" })).await;
    act("push_commit", json!({ "repo": REPO, "branch": "feature", "message": "M", "files": files })).await;
    assert_eq!(tokens(&hub), 1);
    assert_eq!(hub.repo.git(["log", "-1", "--format=%an", "feature"]), "helper[bot]");
    // An hour later the token is worth nothing, whatever our own clock says.
    hub.server.advance_clock(3700);
    let undo = hub.undo_of(&done);
    let undo = toolbox.prepare_undo(undo.spec().name, undo.params()).unwrap();
    hub.carry_out(undo, hub.cx(Direction::Undo, false)).await.unwrap();
    assert_eq!(tokens(&hub), 2);
    assert!(!hub.repo.issues()[0].open);
}

#[tokio::test]
async fn a_rebase_whose_reply_was_lost_is_ours_by_who_merged_it() {
    let (hub, folder) = (Hub::new(), tempfile::tempdir().unwrap());
    let app = hub.server.app("helper", ["contents:write", "pull_requests:write", "metadata:read"]);
    let toolbox = toolbox(&hub, &app, app.install("octo"), folder.path());
    let params = JsonText::encode(&json!({ "repo": REPO, "pr_number": 1, "method": "rebase" })).unwrap();
    let action = toolbox.prepare("merge_pr", &params).unwrap();
    let before = hub.repo.tree("main");
    hub.repo.person("ann").open_pull("feature", "main", "Mine", "");
    let lost = hub.server.fault(Fault::drop_after("PUT", "/repos/octo/app/pulls/1/merge"));
    let cx = hub.cx(Direction::Forward, false);
    let Capture::Ready { pre, ready, .. } = action.capture(&cx).await.unwrap() else {
        panic!("merged already")
    };
    action.perform(&cx, ready).await.unwrap_err();
    assert!(lost.was_reached());
    assert!(matches!(action.probe(&cx, &pre).await.unwrap(), Doubt::Applied(_)));
    let undo = hub.undo_from(&action, &pre);
    let undo = toolbox.prepare_undo(undo.spec().name, undo.params()).unwrap();
    hub.carry_out(undo, hub.cx(Direction::Undo, false)).await.unwrap();
    assert_eq!(hub.repo.tree("main"), before);
}

#[tokio::test]
async fn a_rebase_by_somebody_else_is_not_taken_for_ours() {
    let hub = Hub::new();
    hub.repo.person("ann").open_pull("feature", "main", "Mine", "");
    let params = json!({ "repo": REPO, "pr_number": 1, "method": "rebase" });
    let action = hub.prepare("merge_pr", &params).unwrap();
    let lost = hub.server.fault(Fault::drop_before("PUT", "/repos/octo/app/pulls/1/merge"));
    let cx = hub.cx(Direction::Forward, false);
    let Capture::Ready { pre, ready, .. } = action.capture(&cx).await.unwrap() else {
        panic!("merged already")
    };
    action.perform(&cx, ready).await.unwrap_err();
    assert!(lost.was_reached());
    hub.repo.person("bob").merge(1, "rebase");
    assert!(matches!(action.probe(&cx, &pre).await.unwrap(), Doubt::NotApplied));
}

#[tokio::test]
async fn warnings_name_the_permissions_that_an_app_lacks() {
    let (hub, folder) = (Hub::new(), tempfile::tempdir().unwrap());
    let app = hub.server.app("helper", ["contents:read", "pull_requests:write", "metadata:read"]);
    let installation = app.install("octo");
    let warnings = toolbox(&hub, &app, installation, folder.path()).warnings().await.unwrap();
    assert!(warnings[0].contains("'contents: write'") && warnings[0].contains("push_commit"), "{warnings:?}");
    assert!(warnings[1].contains("'issues: write'") && warnings[1].contains("create_issue"), "{warnings:?}");
    let nowhere = toolbox(&hub, &app, 424_242, folder.path()).warnings().await.unwrap();
    assert!(nowhere[0].contains("does not exist, or"), "{nowhere:?}");
}

#[test]
fn the_private_key_is_in_no_error_and_no_debug_output() {
    let (hub, folder) = (Hub::new(), tempfile::tempdir().unwrap());
    let app = hub.server.app("helper", []);
    let toolbox = toolbox(&hub, &app, 1, folder.path());
    let line = app.private_key_pem().lines().nth(1).unwrap();
    assert!(!format!("{toolbox:?}").contains(line));
    std::fs::write(folder.path().join("key.pem"), app.private_key_pem().replace("KEY", "CAT")).unwrap();
    let config = json!({ "app_id": 1, "installation_id": 1, "private_key_file": "key.pem" });
    let config = JsonText::encode(&config).unwrap().decode().unwrap();
    let error = GitHub::open(config, &ConfigEnv { name: "github", dir: folder.path() }).unwrap_err();
    assert!(error.message().contains("private_key_file") && !format!("{error:?}").contains(line), "{error}");
}

#[tokio::test]
async fn an_app_with_the_permissions_of_the_table_is_warned_of_nothing() {
    let (hub, folder) = (Hub::new(), tempfile::tempdir().unwrap());
    let warned = async |words: &[&str], allowed: &[&str]| {
        let app = hub.server.app("helper", words.iter().copied());
        let config = json!({
            "app_id": app.id(), "installation_id": app.install("octo"), "private_key_file": "key.pem",
            "base_url": hub.server.url(), "revert_pushes": true,
        });
        std::fs::write(folder.path().join("key.pem"), app.private_key_pem()).unwrap();
        let config = JsonText::encode(&config).unwrap().decode().unwrap();
        let github = GitHub::open(config, &ConfigEnv { name: "github", dir: folder.path() }).unwrap();
        let warnings = github.allow(allowed.iter().copied()).unwrap().warnings().await.unwrap();
        warnings.into_iter().filter(|warning| !warning.contains("settle_window_s")).collect::<Vec<_>>()
    };
    let read = ["contents:write", "pull_requests:read"];
    assert_eq!(warned(&read, &["create_branch", "merge_pr", "push_commit"]).await, [""; 0]);
    let lacks = warned(&["contents:write"], &["push_commit"]).await;
    assert!(lacks[0].contains("'pull_requests: read'") && lacks[0].contains("revert_push"), "{lacks:?}");
    let lacks = warned(&["pull_requests:write"], &["create_pr"]).await;
    assert!(lacks.len() == 1 && lacks[0].contains("'contents: read'"), "{lacks:?}");
}
