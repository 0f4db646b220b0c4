//! GraphQL: what compares and sets, and what it needs.

use serde_json::{Value, json};

use crate::client::Client;
use crate::world;

const ZEROS: &str = "0000000000000000000000000000000000000000";
const UPDATE: &str = "mutation($input: UpdateRefsInput!) { updateRefs(input: $input) { clientMutationId } }";

async fn ask(client: &Client, query: &str, variables: Value) -> Value {
    client.post("/graphql", json!({"query": query, "variables": variables})).await.is(200)
}

async fn id(client: &Client) -> String {
    let query = "query($owner: String!, $name: String!) { viewer { login } repository(owner: $owner, name: $name) \
                 { id defaultBranchRef { name target { oid } } none: ref(qualifiedName: \"refs/heads/none\") { id } } }";
    let got = ask(client, query, json!({"owner": "octo", "name": "app"})).await;
    assert_eq!(
        (&got["data"]["viewer"]["login"], &got["data"]["repository"]["none"]),
        (&json!("agent"), &Value::Null)
    );
    assert_eq!(got["data"]["repository"]["defaultBranchRef"]["name"], "main");
    got["data"]["repository"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn refs_are_compared_and_set_all_or_none() {
    let (hub, repo, client) = world();
    let id = id(&client).await;
    let human = repo.person("human");
    let (main, work) = (repo.head("main").unwrap(), human.push("work", [("a", "a")]));
    let update = async |updates: Value| {
        let input = json!({"input": {"repositoryId": id, "refUpdates": updates}});
        let got = ask(&client, UPDATE, input).await;
        got["errors"][0]["message"].as_str().map(str::to_owned)
    };
    let one = |name: &str, before: &str, after: &str| json!({"name": format!("refs/heads/{name}"), "beforeOid": before, "afterOid": after});
    assert_eq!(update(json!([one("new", ZEROS, &main), one("work", &work, ZEROS)])).await, None);
    assert_eq!(repo.branches().keys().collect::<Vec<_>>(), ["main", "new"]);
    assert!(update(json!([one("new", ZEROS, &main)])).await.unwrap().contains("cannot be updated"));
    let stale = json!([one("other", ZEROS, &main), one("new", &work, &main)]);
    assert!(update(stale).await.unwrap().contains("cannot be updated"));
    assert!(repo.head("other").is_none(), "all or none");
    assert_eq!(update(json!([one("new", &main, &work)])).await, None);
    assert!(update(json!([one("new", &work, &main)])).await.unwrap().contains("not a fast forward"));
    let forced = json!([{"name": "refs/heads/new", "beforeOid": work, "afterOid": main, "force": true}]);
    assert_eq!(update(forced).await, None);
    let tree = repo.git(["rev-parse", "main^{tree}"]);
    assert_eq!(
        update(json!([one("x", ZEROS, &tree)])).await.unwrap(),
        "Invalid object type tree, expected commit"
    );
    assert_eq!(hub.effects().len(), 4);
    assert_eq!(hub.count("POST", "/graphql#updateRefs"), 7);
    let read_only = Client::new(&hub, &hub.user("agent").fine_grained(["contents:read"]));
    let input = json!({"input": {"repositoryId": id, "refUpdates": [one("y", ZEROS, &main)]}});
    assert_eq!(ask(&read_only, UPDATE, input).await["errors"][0]["type"], "FORBIDDEN");
    hub.check();
}

#[tokio::test]
async fn an_old_server_has_no_update_refs_and_variables_may_be_parts() {
    let (hub, repo, client) = world();
    let id = id(&client).await;
    let main = repo.head("main").unwrap();
    let query = "mutation($id: ID!, $updates: [RefUpdate!]!) { updateRefs(input: {repositoryId: $id, refUpdates: $updates}) { clientMutationId } }";
    let variables =
        json!({"id": id, "updates": [{"name": "refs/heads/a", "beforeOid": ZEROS, "afterOid": main}]});
    hub.set_update_refs(false);
    let refused = ask(&client, query, variables.clone()).await;
    assert_eq!(refused["errors"][0]["message"], "Field 'updateRefs' doesn't exist on type 'Mutation'");
    assert!(refused.get("data").is_none() && repo.head("a").is_none());
    hub.set_update_refs(true);
    let mut enterprise = client.clone();
    "/api".clone_into(&mut enterprise.base);
    assert!(ask(&enterprise, query, variables).await.get("errors").is_none());
    assert_eq!(repo.head("a").unwrap(), main);
    hub.check();
}

#[tokio::test]
async fn a_document_that_does_not_fit_the_schema_is_refused() {
    let (hub, _repo, client) = world();
    for (query, variables, words) in [
        (
            "{ repository(owner: \"octo\", name: \"app\") { idd } }",
            json!({}),
            "Field 'idd' doesn't exist on type 'Repository'",
        ),
        ("{ repository(owner: \"octo\") { id } }", json!({}), "missing required arguments: name"),
        ("{ repository(owner: \"octo\", name: \"app\") }", json!({}), "must have selections"),
        ("{ viewer { login { x } } }", json!({}), "Selections can't be made on scalars"),
        ("{ viewer(x: 1) { login } }", json!({}), "doesn't accept argument 'x'"),
        ("query($a: String) { viewer { login } }", json!({}), "declared by anonymous query but not used"),
        (
            "query($a: Int!) { repository(owner: $a, name: \"app\") { id } }",
            json!({"a": 1}),
            "has an invalid value",
        ),
        (
            "query($a: String) { repository(owner: $a, name: \"app\") { id } }",
            json!({"a": "octo"}),
            "Type mismatch",
        ),
        (
            "query($a: String!) { repository(owner: $a, name: \"app\") { id } }",
            json!({}),
            "was provided invalid value",
        ),
        (
            UPDATE,
            json!({"input": {"repositoryId": "R_", "refUpdates": [{"name": "x", "afterOid": "y"}]}}),
            "has an invalid value",
        ),
        ("{", json!({}), "Parse error"),
    ] {
        let got = ask(&client, query, variables).await;
        let message = got["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains(words), "{query}: {message}");
    }
    assert_eq!(hub.take_problems().len(), 11);
    let missing = ask(&client, "{ repository(owner: \"octo\", name: \"none\") { id } }", json!({})).await;
    assert_eq!(
        (&missing["errors"][0]["type"], &missing["data"]["repository"]),
        (&json!("NOT_FOUND"), &Value::Null)
    );
    hub.check();
}
