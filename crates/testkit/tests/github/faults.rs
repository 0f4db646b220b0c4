//! How the stand-in for GitHub fails, and how other people are faster.

use std::time::Duration;

use crate::client::Client;
use crate::world;
use enact_testkit::github::Fault;
use serde_json::json;

const ISSUES: &str = "/repos/octo/app/issues";

async fn open(client: &Client) -> Result<u16, hyper::Error> {
    let body = json!({"title": "An issue"});
    client.send("POST", ISSUES, Some(&body)).await.map(|got| got.status)
}

#[tokio::test]
async fn a_request_is_dropped_before_or_after_its_effect() {
    let (hub, repo, client) = world();
    let before = hub.fault(Fault::drop_before("POST", ISSUES));
    assert!(open(&client).await.is_err() && before.was_reached());
    assert_eq!((repo.issues().len(), hub.effects().len()), (0, 0));
    let after = hub.fault(Fault::drop_after("POST", ISSUES));
    assert!(open(&client).await.is_err());
    after.reached().await;
    assert_eq!((repo.issues().len(), hub.effects().len()), (1, 1));
    assert_eq!(open(&client).await.unwrap(), 201);
    let requests = hub.requests();
    let said: Vec<_> = requests.iter().map(|request| (request.decided, request.status)).collect();
    assert_eq!(said, [(None, None), (Some(201), None), (Some(201), Some(201))]);
    assert_eq!(requests[1].by.as_deref(), Some("agent"));
    assert_eq!(hub.effects()[0].request, 2);
    hub.check();
}

#[tokio::test]
async fn an_answer_is_another_one_and_the_effect_is_there_or_not() {
    let (hub, repo, client) = world();
    let _bad_gateway = hub.fault(Fault::status_after("POST", ISSUES, 502));
    assert_eq!(open(&client).await.unwrap(), 502);
    assert_eq!(repo.issues().len(), 1);
    let _unavailable = hub.fault(Fault::status("POST", ISSUES, 503).times(2));
    assert_eq!((open(&client).await.unwrap(), open(&client).await.unwrap()), (503, 503));
    let _third = hub.fault(Fault::status("POST", ISSUES, 500).nth(2));
    assert_eq!((open(&client).await.unwrap(), open(&client).await.unwrap()), (201, 500));
    assert_eq!(repo.issues().len(), 2);
    hub.check();
}

#[tokio::test]
async fn an_answer_is_a_web_page_or_only_a_half() {
    let (hub, repo, client) = world();
    let _page = hub.fault(Fault::page_after("POST", ISSUES, 504));
    let got = client.post(ISSUES, json!({"title": "x"})).await;
    assert_eq!((got.status, got.header("content-type")), (504, Some("text/html")));
    let _cut = hub.fault(Fault::cut_after("POST", ISSUES));
    assert!(open(&client).await.is_err());
    assert_eq!(repo.issues().len(), 2);
    let odd = Fault::answer("PUT", "/repos/octo/app/pulls/*/merge", 200, json!({"merged": false}));
    let _odd = hub.fault(odd);
    let merged = client.put("/repos/octo/app/pulls/1/merge", json!({})).await.is(200);
    assert_eq!(merged["merged"], false);
    let down = hub.fault(Fault::drop_before("*", "/**").times(usize::MAX));
    assert!(client.send("GET", ISSUES, None).await.is_err() && open(&client).await.is_err());
    down.disarm();
    client.get(ISSUES).await.is(200);
    hub.check();
}

#[tokio::test]
async fn limits_are_told_by_status_and_headers() {
    let (hub, repo, client) = world();
    hub.stop_clock(1_800_000_000);
    let first = client.get(ISSUES).await;
    assert_eq!(first.header("date"), Some("Fri, 15 Jan 2027 08:00:00 GMT"));
    assert_eq!(
        (first.header("x-ratelimit-limit"), first.header("x-ratelimit-used")),
        (Some("5000"), Some("1"))
    );
    for (fault, status) in
        [(Fault::rate_limited("POST", ISSUES), 403), (Fault::too_many_requests("POST", ISSUES), 429)]
    {
        let _limited = hub.fault(fault);
        let got = client.post(ISSUES, json!({"title": "x"})).await;
        assert_eq!((got.header("x-ratelimit-remaining"), got.header("retry-after")), (Some("0"), None));
        let reset: i64 = got.header("x-ratelimit-reset").unwrap().parse().unwrap();
        assert!(reset > hub.now());
        got.refuses(status, "API rate limit exceeded for user ID");
        client.get(ISSUES).await.refuses(403, "API rate limit exceeded");
        let refused = client.post("/graphql", json!({"query": "{ viewer { login } }"})).await.is(200);
        assert_eq!((&refused["errors"][0]["type"], refused.get("data")), (&json!("RATE_LIMITED"), None));
        assert_eq!(client.get("/rate_limit").await.is(200)["rate"]["remaining"], 0);
        hub.advance_clock(reset - hub.now());
        client.get(ISSUES).await.is(200);
    }
    let _secondary = hub.fault(Fault::secondary("POST", ISSUES, Some(30)));
    let got = client.post(ISSUES, json!({"title": "x"})).await;
    assert_eq!((got.status, got.header("retry-after")), (403, Some("30")));
    assert_eq!(got.header("x-ratelimit-remaining"), Some("4999"));
    assert!(got.body["documentation_url"].as_str().unwrap().contains("secondary-rate-limits"));
    assert!(repo.issues().is_empty());
    hub.check();
}

#[tokio::test]
async fn a_request_hangs_before_or_after_its_effect() {
    let (hub, repo, client) = world();
    for (fault, issues) in [(Fault::hang_before("POST", ISSUES), 0), (Fault::hang_after("POST", ISSUES), 1)] {
        let hang = hub.fault(fault);
        let asked = tokio::spawn({
            let client = client.clone();
            async move { open(&client).await }
        });
        hang.reached().await;
        while hub.requests().len() < issues + 1 {
            tokio::task::yield_now().await;
        }
        asked.abort();
        assert_eq!(repo.issues().len(), issues);
    }
    let _slow = hub.fault(Fault::delay("GET", ISSUES, Duration::from_millis(20)));
    client.get(ISSUES).await.is(200);
    hub.check();
}

#[tokio::test]
async fn an_effect_comes_late_when_told_after_requests_or_after_time() {
    let (hub, repo, client) = world();
    let told = hub.fault(Fault::late("POST", ISSUES));
    assert!(open(&client).await.is_err());
    assert!(repo.issues().is_empty());
    assert_eq!(told.land(), 201);
    assert_eq!(repo.issues().len(), 1);
    assert_eq!(hub.requests()[0].decided, Some(201));

    let _by_requests = hub.fault(Fault::late_by_requests("POST", ISSUES, 2));
    assert!(open(&client).await.is_err());
    for expected in [1, 1, 2] {
        assert_eq!(client.get(ISSUES).await.is(200).as_array().unwrap().len(), expected);
    }

    let _by_time = hub.fault(Fault::late_by_seconds("POST", ISSUES, 30));
    assert!(open(&client).await.is_err());
    hub.advance_clock(29);
    assert_eq!(repo.issues().len(), 2);
    hub.advance_clock(1);
    assert_eq!(repo.issues().len(), 3);
    hub.check();
}

#[tokio::test]
async fn somebody_is_faster_just_before_a_request() {
    let (hub, repo, client) = world();
    let human = repo.person("human");
    human.push("work", [("a", "a")]);
    let number = human.open_pull("work", "main", "Work", "");
    let head = repo.head("work").unwrap();
    let path = format!("/repos/octo/app/pulls/{number}/merge");
    let faster = hub.fault(Fault::just_before("PUT", "/repos/octo/app/pulls/*/merge", move || {
        human.push("work", [("a", "another")]);
    }));
    let body = json!({"sha": head});
    client.put(&path, body).await.refuses(409, "Head branch was modified.");
    assert!(faster.was_reached());
    assert!(repo.pull(number).merged.is_none());
    let theirs = repo.person("human");
    let second = hub.fault(Fault::just_before("GET", ISSUES, move || drop(theirs.merge(1, "squash"))).nth(2));
    client.get(ISSUES).await.is(200);
    assert!(!second.was_reached());
    client.get(ISSUES).await.is(200);
    assert!(repo.pull(number).merged.is_some());
    assert!(hub.effects().is_empty() && !hub.ledger().is_empty());
    hub.check();
}

#[tokio::test]
#[should_panic(expected = "a fault was never reached: dropped before: POST /x")]
async fn a_fault_that_was_never_reached_fails_the_test() {
    let (hub, ..) = world();
    let _never = hub.fault(Fault::drop_before("POST", "/x"));
}

#[tokio::test]
#[should_panic(expected = "cannot delete a branch")]
async fn a_person_who_does_not_succeed_fails_the_test() {
    let (hub, repo, client) = world();
    let human = repo.person("human");
    let _faster = hub.fault(Fault::just_before("GET", ISSUES, move || human.delete_branch("none")));
    assert!(client.send("GET", ISSUES, None).await.is_err());
}

#[tokio::test]
#[should_panic(expected = "GET /repos/octo/app/teapots: this route is not known here")]
async fn an_unknown_route_fails_the_test() {
    let (_hub, _repo, client) = world();
    client.get("/repos/octo/app/teapots").await.is(404);
}

#[tokio::test]
async fn a_stopped_clock_makes_the_same_merges_in_each_run() {
    let mut merges = Vec::new();
    for _ in 0..2 {
        let (hub, repo, _client) = world();
        hub.stop_clock(1_800_000_000);
        let human = repo.person("human");
        human.push("work", [("a", "a")]);
        let number = human.open_pull("work", "main", "Work", "");
        merges.push(human.merge(number, "merge"));
        hub.check();
    }
    assert_eq!(merges[0], merges[1]);
}
