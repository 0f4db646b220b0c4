//! Who may ask for what, and how others are refused.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};

use enact_testkit::github::{App, Server};

use crate::client::Client;
use crate::world;

const REPO: &str = "/repos/octo/app";

/// A web token as an app signs it.
fn jwt(app: &App, claims: &Value) -> String {
    let text: String = app.private_key_pem().lines().filter(|line| !line.starts_with("-----")).collect();
    let key = RsaKeyPair::from_der(&STANDARD.decode(text).unwrap()).unwrap();
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&json!({"alg": "RS256", "typ": "JWT"})), part(claims));
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[tokio::test]
async fn who_is_not_known_is_refused_and_a_user_agent_is_needed() {
    let (hub, _repo, client) = world();
    assert_eq!(client.get("/user").await.is(200)["login"], "agent");
    let mut silent = client.clone();
    silent.headers.retain(|(name, _)| name != "user-agent");
    silent.get(REPO).await.refuses(403, "User-Agent");
    Client::new(&hub, "ghp_nobody").get(REPO).await.refuses(401, "Bad credentials");
    let user = hub.user("agent");
    let token = user.token(["repo"]);
    user.revoke(&token);
    Client::new(&hub, &token).get(REPO).await.refuses(401, "Bad credentials");
    let mut nobody = client.clone();
    nobody.headers.retain(|(name, _)| name != "authorization");
    let got = nobody.get(REPO).await;
    assert_eq!(got.header("x-ratelimit-limit"), Some("60"));
    got.is(200);
    nobody
        .post(&format!("{REPO}/issues"), json!({"title": "x"}))
        .await
        .refuses(401, "Requires authentication");
    hub.check();
}

#[tokio::test]
async fn a_classic_token_needs_its_scopes() {
    let (hub, _repo, client) = world();
    let hidden = hub.repo("octo/hidden").private().writer("agent").create();
    let path = format!("/repos/{}", hidden.name());
    let got = client.get(&path).await;
    assert_eq!(
        (got.header("x-oauth-scopes"), got.header("x-accepted-oauth-scopes")),
        (Some("repo"), Some("repo"))
    );
    got.is(200);
    let public = Client::new(&hub, &hub.user("agent").token(["public_repo"]));
    public.get(&path).await.refuses(404, "Not Found");
    public.post(&format!("{REPO}/issues"), json!({"title": "x"})).await.is(201);
    let none = Client::new(&hub, &hub.user("agent").token([]));
    none.get(REPO).await.is(200);
    none.post(&format!("{REPO}/issues"), json!({"title": "x"})).await.refuses(404, "Not Found");
    let stranger = Client::new(&hub, &hub.user("stranger").token(["repo"]));
    stranger.get(&path).await.refuses(404, "Not Found");
    stranger.post(&format!("{REPO}/issues"), json!({"title": "x"})).await.is(201);
    stranger
        .patch(&format!("{REPO}/issues/1"), json!({"state": "closed"}))
        .await
        .refuses(403, "Must have admin rights to Repository.");
    stranger.patch(&format!("{REPO}/issues/2"), json!({"state": "closed"})).await.is(200);
    stranger.post(&format!("{REPO}/git/blobs"), json!({"content": "x"})).await.refuses(403, "push access");
    hub.check();
}

#[tokio::test]
async fn a_fine_grained_token_needs_its_permissions() {
    let (hub, _repo, _client) = world();
    let user = hub.user("agent");
    let reads = Client::new(&hub, &user.fine_grained(["contents:read"]));
    let got = reads.get(REPO).await;
    assert!(got.header("x-oauth-scopes").is_none());
    got.is(200);
    let refused = reads.post(&format!("{REPO}/git/blobs"), json!({"content": "x"})).await;
    assert_eq!(refused.header("x-accepted-github-permissions"), Some("contents=write"));
    refused.refuses(403, "Resource not accessible by personal access token");
    let elsewhere = Client::new(&hub, &user.fine_grained_for(["octo/other"], ["issues:write"]));
    elsewhere.post(&format!("{REPO}/issues"), json!({"title": "x"})).await.refuses(403, "not accessible");
    let writes = Client::new(&hub, &user.fine_grained(["issues:write", "contents:write"]));
    writes.post(&format!("{REPO}/issues"), json!({"title": "x"})).await.is(201);
    writes.post(&format!("{REPO}/git/blobs"), json!({"content": "x"})).await.is(201);
    writes
        .post(&format!("{REPO}/pulls"), json!({"title": "x", "head": "a", "base": "main"}))
        .await
        .refuses(403, "not accessible");
    hub.check();
}

#[tokio::test]
async fn an_app_gets_tokens_that_end() {
    let (hub, _repo, _client) = world();
    hub.stop_clock(hub.now());
    let app = hub.app("robot", ["contents:write", "issues:write"]);
    let installation = app.install("octo");
    let path = format!("/app/installations/{installation}/access_tokens");
    let now = hub.now();
    let as_app = |claims: Value| Client::new(&hub, &jwt(&app, &claims));
    let good = as_app(json!({"iss": app.id().to_string(), "iat": now - 60, "exp": now + 540}));
    assert_eq!(good.get("/app").await.is(200)["slug"], "robot");
    assert_eq!(
        good.get(&format!("/app/installations/{installation}")).await.is(200)["account"]["login"],
        "octo"
    );
    good.get(&format!("/app/installations/{}", installation + 1)).await.is(404);
    as_app(json!({"iss": app.id(), "iat": now, "exp": now + 660}))
        .get("/app")
        .await
        .refuses(401, "too far in the future");
    as_app(json!({"iss": app.id(), "iat": now, "exp": now - 1})).get("/app").await.refuses(401, "'exp'");
    as_app(json!({"iss": app.id(), "exp": now + 60})).get("/app").await.refuses(401, "'iat'");
    as_app(json!({"iss": 7, "iat": now, "exp": now + 60}))
        .get("/app")
        .await
        .refuses(404, "Integration not found");
    Client::new(&hub, "a.b.c").get("/app").await.refuses(401, "could not be decoded");
    let made = good.post(&path, json!({"permissions": {"issues": "write"}})).await.is(201);
    let token = Client::new(&hub, made["token"].as_str().unwrap());
    let issue = token.post(&format!("{REPO}/issues"), json!({"title": "x"})).await.is(201);
    assert_eq!((&issue["user"]["login"], &issue["user"]["type"]), (&json!("robot[bot]"), &json!("Bot")));
    token
        .post(&format!("{REPO}/git/blobs"), json!({"content": "x"}))
        .await
        .refuses(403, "Resource not accessible by integration");
    let list = token.get("/installation/repositories").await.is(200);
    assert_eq!(
        (&list["total_count"], &list["repositories"][0]["full_name"]),
        (&json!(1), &json!("octo/app"))
    );
    token.get("/user").await.refuses(403, "not accessible by integration");
    good.post(&path, json!({"permissions": {"administration": "write"}})).await.refuses(422, "not granted");
    hub.advance_clock(3599);
    token.get(REPO).await.is(200);
    hub.advance_clock(1);
    token.get(REPO).await.refuses(401, "Bad credentials");
    app.suspend(installation);
    let now = hub.now();
    let again = as_app(json!({"iss": app.id(), "iat": now, "exp": now + 60}));
    again.post(&path, json!({})).await.refuses(403, "suspended");
    hub.check();
}

#[tokio::test]
async fn a_renamed_repository_is_found_by_its_number_and_an_archived_one_is_read_only() {
    let (hub, repo, client) = world();
    repo.rename("octo/new");
    let moved = client.get(&format!("{REPO}/issues?state=all")).await;
    let to = moved.header("location").unwrap().replacen(&hub.url(), "", 1);
    assert_eq!((moved.status, to.as_str()), (301, &*format!("/repositories/{}/issues?state=all", repo.id())));
    client.get(&to).await.is(200);
    let post = client.post(&format!("{REPO}/issues"), json!({"title": "x"})).await;
    assert_eq!(post.status, 307);
    client.post("/repos/OCTO/New/issues", json!({"title": "x"})).await.is(201);
    let mut enterprise = client.clone();
    "/api/v3".clone_into(&mut enterprise.base);
    assert_eq!(enterprise.get("/repos/octo/new").await.is(200)["full_name"], "octo/new");
    repo.set_archived(true);
    client
        .post("/repos/octo/new/issues", json!({"title": "x"}))
        .await
        .refuses(403, "Repository was archived so is read-only.");
    client.get("/repos/octo/new/issues").await.is(200);
    assert_eq!(hub.effects().len(), 1);
    hub.check();
}

#[tokio::test]
async fn an_empty_repository_and_bad_json_are_refused() {
    let hub = Server::start();
    let _repo = hub.repo("octo/app").empty().writer("agent").create();
    let client = Client::new(&hub, &hub.user("agent").token(["repo"]));
    client.get(&format!("{REPO}/git/ref/heads/main")).await.refuses(409, "Git Repository is empty.");
    client.get(&format!("{REPO}/branches/main")).await.refuses(404, "Branch not found");
    let bad = client.send_text("POST", &format!("{REPO}/issues"), "{".to_owned()).await.unwrap();
    bad.refuses(400, "Problems parsing JSON");
    let list = client.send_text("POST", &format!("{REPO}/issues"), "[]".to_owned()).await.unwrap();
    list.refuses(400, "Body should be a JSON object");
    hub.check();
}
