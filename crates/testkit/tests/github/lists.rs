//! What the lists of the stand-in for GitHub show, and when.

use crate::world;
use serde_json::{Value, json};

const PULLS: &str = "/repos/octo/app/pulls";
const ISSUES: &str = "/repos/octo/app/issues";

fn numbers(list: &Value) -> Vec<u64> {
    list.as_array().unwrap().iter().map(|item| item["number"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn case_23_a_head_without_an_owner_filters_nothing() {
    let (hub, repo, client) = world();
    let human = repo.person("human");
    human.push("mine", [("a", "a")]);
    human.push("theirs", [("b", "b")]);
    let mine = human.open_pull("mine", "main", "Mine", "");
    let theirs = human.open_pull("theirs", "main", "Theirs", "");
    let fork = repo.fork("stranger");
    fork.person("stranger").push("mine", [("c", "c")]);
    let foreign = repo.person("stranger").open_pull("stranger:mine", "main", "Foreign", "");
    let list = async |query: &str| numbers(&client.get(&format!("{PULLS}?{query}")).await.is(200));
    assert_eq!(list("head=mine").await, [foreign, theirs, mine], "GitHub ignores it");
    assert_eq!(list("head=octo:mine").await, [mine]);
    assert_eq!(list("head=stranger%3Amine").await, [foreign]);
    assert_eq!(list("head=octo:none").await, [0_u64; 0]);
    assert_eq!(list("head=octo:mine&base=other").await, [0_u64; 0]);
    human.close(mine);
    assert_eq!(list("head=octo:mine").await, [0_u64; 0]);
    assert_eq!(list("head=octo:mine&state=all").await, [mine]);
    assert_eq!(list("state=all&sort=created&direction=asc").await, [mine, theirs, foreign]);
    hub.check();
}

#[tokio::test]
async fn case_24_issue_lists_contain_pull_requests_and_pages_lead_to_each_other() {
    let (hub, repo, client) = world();
    let human = repo.person("human");
    human.push("work", [("a", "a")]);
    for title in ["one", "two", "two", "four"] {
        human.open_issue(title, "");
    }
    let pull = human.open_pull("work", "main", "two", "");
    human.label(2, ["Bug"]);
    let all = client.get(ISSUES).await.is(200);
    assert_eq!(numbers(&all), [pull, 4, 3, 2, 1]);
    assert!(all[0]["pull_request"].is_object() && all[1].get("pull_request").is_none());
    assert_eq!(numbers(&client.get(&format!("{ISSUES}?labels=bug")).await.is(200)), [2]);
    let mut path = format!("{ISSUES}?per_page=2&state=all");
    let mut seen = Vec::new();
    loop {
        let page = client.get(&path).await;
        let links = page.header("link").unwrap().to_owned();
        seen.extend(numbers(&page.is(200)));
        let next = links.split(", ").find(|link| link.ends_with("rel=\"next\""));
        let Some(next) = next else { break };
        let url = next.split(['<', '>']).nth(1).unwrap();
        path = url.replacen(&hub.url(), "", 1);
        assert!(
            path.starts_with("/repositories/"),
            "GitHub's links name the number of the repository: {path}"
        );
    }
    assert_eq!(seen, [pull, 4, 3, 2, 1]);
    assert!(client.get(&format!("{ISSUES}?per_page=100")).await.header("link").is_none());
    hub.check();
}

#[tokio::test]
async fn lists_show_late_what_is_new_and_single_items_do_not() {
    let (hub, _repo, client) = world();
    hub.hide_new_items_for(2);
    let number = client.post(ISSUES, json!({"title": "New"})).await.is(201)["number"].as_u64().unwrap();
    client.get(&format!("{ISSUES}/{number}")).await.is(200);
    for expected in [0, 0, 1] {
        assert_eq!(numbers(&client.get(ISSUES).await.is(200)).len(), expected);
    }
    hub.hide_new_items();
    client.post(ISSUES, json!({"title": "Newer"})).await.is(201);
    for _ in 0..3 {
        assert_eq!(numbers(&client.get(ISSUES).await.is(200)), [number]);
    }
    hub.show_new_items();
    assert_eq!(numbers(&client.get(ISSUES).await.is(200)).len(), 2);
    hub.check();
}

#[tokio::test]
async fn issues_are_opened_edited_and_closed_and_refused() {
    let (hub, repo, client) = world();
    let body =
        json!({"title": "A bug", "body": "<!-- marker -->", "labels": ["bug"], "assignees": ["agent"]});
    let made = client.post(ISSUES, body).await.is(201);
    assert_eq!(
        (&made["labels"][0]["name"], &made["assignees"][0]["login"]),
        (&json!("bug"), &json!("agent"))
    );
    client.post(ISSUES, json!({"title": "x", "assignees": ["nobody"]})).await.refuses(422, "assignees");
    client.post(ISSUES, json!({"title": " "})).await.refuses(422, "missing_field");
    client.post(ISSUES, json!({"title": "x".repeat(257)})).await.refuses(422, "title is too long");
    client
        .post(ISSUES, json!({"title": "x", "body": "é".repeat(65_537)}))
        .await
        .refuses(422, "body is too long");
    let one = format!("{ISSUES}/1");
    let closed = client.patch(&one, json!({"state": "closed", "state_reason": "not_planned"})).await.is(200);
    assert_eq!((&closed["state"], &closed["closed_by"]["login"]), (&json!("closed"), &json!("agent")));
    assert_eq!(repo.issue(1).state_reason.as_deref(), Some("not_planned"));
    client.patch(&one, json!({"state": "open"})).await.is(200);
    assert!(repo.issue(1).open);
    client.get(&format!("{ISSUES}/99")).await.refuses(404, "Not Found");
    assert_eq!(hub.effects().len(), 3);
    repo.person("human").delete_issue(1);
    client.get(&one).await.refuses(410, "This issue was deleted");
    client.patch(&one, json!({"state": "closed"})).await.refuses(410, "This issue was deleted");
    assert_eq!(numbers(&client.get(&format!("{ISSUES}?state=all")).await.is(200)), [0_u64; 0]);
    assert_eq!(repo.person("human").open_issue("Next", ""), 2, "no number is given twice");
    hub.check();
    client.post(ISSUES, json!({"body": "no title"})).await.refuses(422, "\\\"title\\\" wasn't supplied.");
    client.post(ISSUES, json!({"title": "x", "milestones": 3})).await.is(201);
    client.get(&format!("{ISSUES}?sate=all")).await.is(200);
    client.get("/repos/octo/app/teapots").await.is(404);
    let problems = hub.take_problems();
    assert_eq!(problems.len(), 4, "{problems:?}");
    hub.check();
}

#[tokio::test]
async fn what_has_happened_to_a_branch_is_listed() {
    let (hub, repo, client) = world();
    let human = repo.person("human");
    let sha = human.push("work", [("a", "a")]);
    let main = repo.head("main").unwrap();
    human.set_branch("work", &main);
    human.delete_branch("work");
    let all = client.get("/repos/octo/app/activity?ref=refs/heads/work").await.is(200);
    let kinds: Vec<&str> =
        all.as_array().unwrap().iter().map(|one| one["activity_type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["branch_deletion", "force_push", "branch_creation"]);
    assert_eq!(
        (&all[1]["before"], &all[1]["after"], &all[0]["actor"]["login"]),
        (&json!(sha), &json!(main), &json!("human"))
    );
    let page = client.get("/repos/octo/app/activity?per_page=2").await;
    let next = page.header("link").unwrap().split(['<', '>']).nth(1).unwrap().replacen(&hub.url(), "", 1);
    assert_eq!(client.get(&next).await.is(200).as_array().unwrap().len(), 1);
    hub.check();
}
