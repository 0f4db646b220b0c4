//! Protected branches and rulesets.

use enact_testkit::github::{Protection, Ruleset};
use serde_json::json;

use crate::world;

const REFS: &str = "/repos/octo/app/git/refs";

#[tokio::test]
async fn a_protected_branch_refuses_what_it_is_protected_from() {
    let (hub, repo, client) = world();
    let human = repo.person("human");
    let main = repo.head("main").unwrap();
    let work = human.push("work", [("a", "a")]);
    human.create_branch("release/1", "work");
    repo.protect(Protection::of("release/*"));
    assert_eq!(client.get("/repos/octo/app/branches/release%2F1").await.is(200)["protected"], true);
    assert_eq!(client.get("/repos/octo/app/branches/work").await.is(200)["protected"], false);
    client
        .delete(&format!("{REFS}/heads/release/1"))
        .await
        .refuses(422, "Cannot delete this protected branch");
    let back = json!({"sha": main, "force": true});
    client
        .patch(&format!("{REFS}/heads/release/1"), back)
        .await
        .refuses(422, "Cannot force-push to this protected branch");
    client.delete(&format!("{REFS}/heads/main")).await.refuses(422, "Cannot delete the default branch");

    repo.protect(Protection::of("main").require_pull_request().require_check("ci"));
    client
        .patch(&format!("{REFS}/heads/main"), json!({"sha": work}))
        .await
        .refuses(422, "Changes must be made through a pull request.");
    let number = human.open_pull("work", "main", "Work", "");
    let merge = format!("/repos/octo/app/pulls/{number}/merge");
    client.put(&merge, json!({})).await.refuses(405, "Required status check \\\"ci\\\" is expected.");
    client.get(&format!("/repos/octo/app/pulls/{number}")).await.is(200);
    assert_eq!(
        client.get(&format!("/repos/octo/app/pulls/{number}")).await.is(200)["mergeable_state"],
        "blocked"
    );
    repo.pass_check(&work, "ci");
    client.put(&merge, json!({})).await.is(200);
    assert_eq!(hub.effects().len(), 2, "a moved branch and a merged pull request");
    hub.check();
}

#[tokio::test]
async fn a_ruleset_names_all_the_rules_that_are_broken() {
    let (hub, repo, client) = world();
    let human = repo.person("human");
    let work = human.push("work", [("a", "a")]);
    let main = repo.head("main").unwrap();
    let rules =
        Ruleset::of("work").restrict_updates().restrict_deletions().block_force_pushes().bypass("human");
    repo.add_ruleset(rules);
    repo.add_ruleset(Ruleset::of("enact-tmp/**").restrict_creations());
    client
        .delete(&format!("{REFS}/heads/work"))
        .await
        .refuses(422, "Repository rule violations found\\n\\nCannot delete this branch\\n\\n");
    let forced =
        client.patch(&format!("{REFS}/heads/work"), json!({"sha": main, "force": true})).await.is(422);
    let message = forced["message"].as_str().unwrap();
    assert!(message.contains("Cannot update this protected ref.\n\nCannot force-push"), "{message}");
    let create = json!({"ref": "refs/heads/enact-tmp/1", "sha": main});
    client.post(REFS, create).await.refuses(422, "creations being restricted");
    assert_eq!(repo.head("work").unwrap(), work);
    human.delete_branch("work");
    assert!(hub.effects().is_empty());
    hub.check();
}
