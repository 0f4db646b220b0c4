//! How pull requests are opened, closed, reopened and follow their branches.

use enact_testkit::github::What;
use serde_json::json;

use crate::world;

const PULLS: &str = "/repos/octo/app/pulls";
const REFS: &str = "/repos/octo/app/git/refs";

#[tokio::test]
async fn a_pull_request_is_refused_where_there_is_nothing_to_merge_or_there_is_one() {
    let (hub, repo, client) = world();
    let human = repo.person("human");
    human.push("work", [("a", "a")]);
    human.create_branch("same", "main");
    let open = async |head: &str, base: &str| {
        client.post(PULLS, json!({"title": "T", "head": head, "base": base})).await
    };
    open("same", "main").await.refuses(422, "No commits between main and same");
    open("none", "main").await.refuses(422, "\"field\":\"head\"");
    open("work", "none").await.refuses(422, "\"field\":\"base\"");
    open("octo:work", "main").await.is(201);
    open("work", "main").await.refuses(422, "A pull request already exists for octo:work.");
    let draft = json!({"title": "T", "head": "work", "base": "same", "draft": true});
    let draft = client.post(PULLS, draft).await.is(201)["number"].as_u64().unwrap();
    client.put(&format!("{PULLS}/{draft}/merge"), json!({})).await.refuses(405, "still a draft");
    repo.allow_merges(["squash"]);
    client
        .put(&format!("{PULLS}/1/merge"), json!({}))
        .await
        .refuses(405, "Merge commits are not allowed on this repository.");
    let commits = client.get(&format!("{PULLS}/1/commits")).await.is(200);
    assert_eq!(commits.as_array().unwrap().len(), 1);
    let files = client.get(&format!("{PULLS}/1/files")).await.is(200);
    assert_eq!((&files[0]["filename"], &files[0]["status"]), (&json!("a"), &json!("added")));
    let text = json!({"title": "Other", "body": "words", "base": "same"});
    client.patch(&format!("{PULLS}/1"), text).await.refuses(422, "A pull request already exists");
    client.patch(&format!("{PULLS}/1"), json!({"title": "Other", "body": "words"})).await.is(200);
    assert_eq!(
        (repo.pull(1).issue.title.as_str(), repo.pull(1).issue.body.as_deref()),
        ("Other", Some("words"))
    );
    hub.check();
}

#[tokio::test]
async fn a_pull_request_closes_with_its_branch_and_opens_again_with_it() {
    let (hub, repo, client) = world();
    let human = repo.person("human");
    let sha = human.push("work", [("a", "a")]);
    let number = human.open_pull("work", "main", "Work", "");
    let path = format!("{PULLS}/{number}");
    client.delete(&format!("{REFS}/heads/work")).await.is(204);
    assert_eq!(client.get(&path).await.is(200)["state"], "closed");
    assert_eq!(repo.git(["rev-parse", &format!("refs/pull/{number}/head")]), sha, "its commits stay");
    let reopen = async || client.patch(&path, json!({"state": "open"})).await;
    reopen().await.refuses(422, "state cannot be changed. The work branch has been deleted.");
    let main = repo.head("main").unwrap();
    client.post(REFS, json!({"ref": "refs/heads/work", "sha": main})).await.is(201);
    reopen().await.refuses(422, "The work branch was force-pushed or recreated.");
    human.set_branch("work", &sha);
    assert_eq!(reopen().await.is(200)["state"], "open");
    let kinds: Vec<What> = hub.effects().into_iter().map(|effect| effect.what).collect();
    let expected = [What::PullClosed(number), What::PullReopened(number)];
    assert!(expected.iter().all(|what| kinds.contains(what)), "{kinds:?}");
    hub.check();
}

#[tokio::test]
async fn a_push_that_brings_all_its_commits_merges_a_pull_request() {
    let (hub, repo, client) = world();
    let human = repo.person("human");
    human.push("work", [("a", "a")]);
    let number = human.open_pull("work", "main", "Work", "");
    let merged = client.post("/repos/octo/app/merges", json!({"base": "main", "head": "work"})).await.is(201);
    let after = client.get(&format!("{PULLS}/{number}")).await.is(200);
    assert_eq!((&after["merged"], &after["merge_commit_sha"]), (&json!(true), &merged["sha"]));
    client
        .patch(&format!("{PULLS}/{number}"), json!({"state": "open"}))
        .await
        .refuses(422, "state cannot be changed");
    hub.check();
}

#[tokio::test]
async fn a_conflict_is_found_and_nothing_is_merged() {
    let (hub, repo, client) = world();
    let human = repo.person("human");
    human.push("work", [("src/a.txt", "1\ntwo\n3\n")]);
    let number = human.open_pull("work", "main", "Work", "");
    let path = format!("{PULLS}/{number}");
    client.get(&path).await.is(200);
    assert_eq!(client.get(&path).await.is(200)["mergeable"], true);
    let main = human.push("main", [("src/a.txt", "1\nII\n3\n")]);
    assert!(client.get(&path).await.is(200)["mergeable"].is_null(), "it is worked out anew");
    let known = client.get(&path).await.is(200);
    assert_eq!((&known["mergeable"], &known["mergeable_state"]), (&json!(false), &json!("dirty")));
    for method in ["merge", "squash", "rebase"] {
        assert_eq!(client.put(&format!("{path}/merge"), json!({"merge_method": method})).await.status, 405);
    }
    assert_eq!(repo.head("main").unwrap(), main);
    assert!(hub.effects().is_empty());
    hub.check();
}

#[tokio::test]
async fn a_pull_request_comes_from_a_fork() {
    let (hub, repo, client) = world();
    let fork = repo.fork("stranger");
    let theirs = fork.person("stranger");
    theirs.push("fix", [("a", "a")]);
    let body = json!({"title": "Fix", "head": "stranger:fix", "base": "main"});
    let made = client.post(PULLS, body).await.is(201);
    assert_eq!(
        (&made["head"]["label"], &made["head"]["repo"]["fork"]),
        (&json!("stranger:fix"), &json!(true))
    );
    let number = made["number"].as_u64().unwrap();
    let head = theirs.push("fix", [("a", "aa")]);
    assert_eq!(repo.pull(number).head_sha, head);
    let merge =
        json!({"sha": head, "merge_method": "merge", "commit_title": "Take it", "commit_message": "all"});
    client.put(&format!("{PULLS}/{number}/merge"), merge).await.is(200);
    assert_eq!(repo.read("main", "a").as_deref(), Some("aa"));
    assert_eq!(repo.git(["log", "-1", "--format=%B", "main"]), "Take it\n\nall");
    assert_eq!(client.get("/repos/stranger/app").await.is(200)["parent"]["full_name"], "octo/app");
    hub.check();
}
