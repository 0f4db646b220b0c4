//! What the stand-in for GitHub promises to tests: git objects, refs, merges.

use crate::client::Client;
use crate::world;
use enact_testkit::github::{Repo, Server, What};
use serde_json::{Value, json};

const REPO: &str = "/repos/octo/app";

/// With a branch `work` that is one commit ahead.
fn with_work() -> (Server, Repo, Client) {
    let (hub, repo, client) = world();
    repo.person("human").push("work", [("b.txt", "b\n")]);
    (hub, repo, client)
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_else(|| panic!("{path} of {value}"))
}

#[tokio::test]
async fn a_commit_is_what_git_makes_of_the_same_words() {
    let (hub, repo, client) = with_work();
    let main = repo.head("main").unwrap();
    let blob = client
        .post(&format!("{REPO}/git/blobs"), json!({"content": "AAH/", "encoding": "base64"}))
        .await
        .is(201);
    let tree = client
        .post(
            &format!("{REPO}/git/trees"),
            json!({"base_tree": main, "tree": [
                {"path": "bin/run", "mode": "100755", "type": "blob", "content": "#!/bin/sh\n"},
                {"path": "bin/link", "mode": "120000", "type": "blob", "content": "run"},
                {"path": "bytes", "mode": "100644", "type": "blob", "sha": text(&blob, "/sha")},
                {"path": "src/a.txt", "mode": "100644", "type": "blob", "sha": null},
            ]}),
        )
        .await
        .is(201);
    let by = json!({"name": "An Agent", "email": "agent@example.com", "date": "2026-01-31T14:00:00+02:00"});
    let body = json!({"message": "Add ünïcode\n\nand more", "tree": text(&tree, "/sha"), "parents": [main], "author": by, "committer": by});
    let commit = client.post(&format!("{REPO}/git/commits"), body.clone()).await.is(201);
    let again = client.post(&format!("{REPO}/git/commits"), body).await.is(201);
    let sha = text(&commit, "/sha");
    assert_eq!(sha, text(&again, "/sha"));
    let expected = format!(
        "tree {}\nparent {main}\nauthor An Agent <agent@example.com> 1769860800 +0200\n\
         committer An Agent <agent@example.com> 1769860800 +0200\n\nAdd ünïcode\n\nand more",
        text(&tree, "/sha")
    );
    assert_eq!(repo.git(["cat-file", "commit", sha]), expected);
    assert_eq!(text(&commit, "/author/date"), "2026-01-31T12:00:00Z");
    let files = repo.tree(sha);
    assert_eq!(files["bin/run"], ("100755".to_owned(), b"#!/bin/sh\n".to_vec()));
    assert_eq!(files["bin/link"], ("120000".to_owned(), b"run".to_vec()));
    assert_eq!(files["bytes"].1, [0, 1, 255]);
    assert!(!files.contains_key("src/a.txt") && files.contains_key("README.md"));
    let read = client.get(&format!("{REPO}/git/trees/{}?recursive=1", text(&tree, "/sha"))).await.is(200);
    assert_eq!(read["tree"].as_array().unwrap().len(), 5, "{read}");
    client.get(&format!("{REPO}/git/commits/{sha}")).await.is(200);
    assert!(hub.effects().is_empty(), "objects alone are seen by nobody");
    hub.check();
}

#[tokio::test]
async fn trees_are_put_together_as_git_would_or_refused() {
    let (hub, repo, client) = with_work();
    let main = repo.head("main").unwrap();
    let trees = format!("{REPO}/git/trees");
    let tree = async |entries: Value| client.post(&trees, json!({"base_tree": main, "tree": entries})).await;
    let src = repo.git(["rev-parse", "main:src"]);
    let entries = json!([
        {"path": "copy", "mode": "040000", "type": "tree", "sha": src},
        {"path": "src", "mode": "100644", "type": "blob", "content": "a file where a folder was"},
        {"path": "README.md/inner", "mode": "100644", "type": "blob", "content": "and a folder where a file was"},
    ]);
    let made = tree(entries).await.is(201);
    let files = repo.tree(text(&made, "/sha"));
    assert_eq!(files.keys().collect::<Vec<_>>(), ["README.md/inner", "copy/a.txt", "src"]);
    let file = |path: &str, sha: &str| json!([{"path": path, "mode": "100644", "type": "blob", "sha": sha}]);
    let blob = repo.git(["rev-parse", "main:README.md"]);
    tree(json!([{"path": "none", "mode": "100644", "type": "blob", "sha": null}]))
        .await
        .refuses(422, "BadObjectState");
    tree(file("x", &main)).await.refuses(422, "is not a valid blob");
    for odd in ["/x", "x//y", "../x", ".git/config", ""] {
        tree(file(odd, &blob)).await.refuses(422, "malformed path component");
    }
    client.post(&trees, json!({"tree": []})).await.refuses(422, "Invalid tree info");
    client.post(&trees, json!({"base_tree": "0".repeat(40), "tree": []})).await.is(404);
    let gone = tree(json!([{"path": "src", "mode": "040000", "type": "tree", "sha": null}])).await.is(201);
    assert_eq!(repo.tree(text(&gone, "/sha")).len(), 1, "a folder goes with all that is in it");
    let read = client.get(&format!("{REPO}/git/blobs/{blob}")).await.is(200);
    assert_eq!((text(&read, "/content"), &read["size"]), ("aGkK", &json!(3)));
    let commits = format!("{REPO}/git/commits");
    client
        .post(&commits, json!({"message": "x", "tree": main}))
        .await
        .refuses(422, "Tree SHA does not exist");
    let orphan = json!({"message": "x", "tree": src, "parents": [blob]});
    client.post(&commits, orphan).await.refuses(422, "Parent SHA does not exist");
    hub.check();
}

#[tokio::test]
async fn branches_and_commits_are_listed() {
    let (hub, repo, client) = with_work();
    let branches = client.get(&format!("{REPO}/branches?per_page=1&page=2")).await.is(200);
    assert_eq!(text(&branches, "/0/name"), "work");
    let work = client.get(&format!("{REPO}/commits?sha=work")).await.is(200);
    assert_eq!(
        (work.as_array().unwrap().len(), text(&work, "/0/sha")),
        (2, repo.head("work").unwrap().as_str())
    );
    let of_file = client.get(&format!("{REPO}/commits?sha=work&path=b.txt")).await.is(200);
    assert_eq!(of_file.as_array().unwrap().len(), 1);
    let one = client.get(&format!("{REPO}/commits/heads/work")).await.is(200);
    assert_eq!((text(&one, "/files/0/filename"), text(&one, "/author/login")), ("b.txt", "human"));
    client.get(&format!("{REPO}/commits/none")).await.refuses(422, "No commit found for SHA: none");
    hub.check();
}

#[tokio::test]
async fn refs_are_made_moved_and_deleted_and_refused_in_githubs_words() {
    let (hub, repo, client) = with_work();
    let (main, work) = (repo.head("main").unwrap(), repo.head("work").unwrap());
    let refs = format!("{REPO}/git/refs");
    let create = async |name: &str, sha: &str| client.post(&refs, json!({"ref": name, "sha": sha})).await;
    let made = create("refs/heads/odd/ä#%25", &main).await.is(201);
    assert_eq!(text(&made, "/object/sha"), main);
    create("refs/heads/odd/ä#%25", &main).await.refuses(422, "Reference already exists");
    create("refs/heads/new", &"0123456789".repeat(4)).await.refuses(422, "Object does not exist");
    create("refs/heads/a..b", &main).await.refuses(422, "is not a valid ref name");
    create("heads/x", &main).await.refuses(422, "is not a valid ref name");
    create("refs/heads/odd", &main).await.refuses(422, "Reference update failed");
    let odd = "heads/odd/%C3%A4%23%2525";
    assert_eq!(text(&client.get(&format!("{REPO}/git/ref/{odd}")).await.is(200), "/object/sha"), main);
    client.get(&format!("{REPO}/git/ref/heads%2Fodd%2F%C3%A4%23%2525")).await.is(200);
    client.get(&format!("{REPO}/git/ref/heads/odd/%C3%A4%23%25")).await.is(404);
    client.get(&format!("{REPO}/git/ref/heads/odd")).await.is(404);
    let alike = client.get(&format!("{REPO}/git/matching-refs/heads/odd")).await.is(200);
    assert_eq!(alike.as_array().unwrap().len(), 1);
    client.get(&format!("{REPO}/branches/odd%2F%C3%A4%23%2525")).await.is(200);
    client.patch(&format!("{refs}/{odd}"), json!({"sha": work})).await.is(200);
    client
        .patch(&format!("{refs}/{odd}"), json!({"sha": main}))
        .await
        .refuses(422, "Update is not a fast forward");
    client.patch(&format!("{refs}/{odd}"), json!({"sha": main, "force": true})).await.is(200);
    client
        .patch(&format!("{refs}/heads/none"), json!({"sha": main}))
        .await
        .refuses(422, "Reference does not exist");
    client.delete(&format!("{refs}/{odd}")).await.is(204);
    client.delete(&format!("{refs}/{odd}")).await.refuses(422, "Reference does not exist");
    assert_eq!(repo.branches().keys().collect::<Vec<_>>(), ["main", "work"]);
    let name = "refs/heads/odd/ä#%25".to_owned();
    let kinds: Vec<What> = hub.effects().into_iter().map(|effect| effect.what).collect();
    assert_eq!(
        kinds,
        [
            What::RefCreated { name: name.clone(), sha: main.clone() },
            What::RefUpdated { name: name.clone(), before: main.clone(), after: work.clone(), forced: false },
            What::RefUpdated { name: name.clone(), before: work, after: main.clone(), forced: true },
            What::RefDeleted { name, sha: main },
        ]
    );
    hub.check();
}

#[tokio::test]
async fn branches_are_merged_by_git_or_not_at_all() {
    let (hub, repo, client) = with_work();
    let merge = async |base: &str, head: &str| {
        client.post(&format!("{REPO}/merges"), json!({"base": base, "head": head})).await
    };
    let before = repo.head("main").unwrap();
    repo.person("human").push("main", [("src/a.txt", "1\n2\nthree\n")]);
    let merged = merge("main", "work").await.is(201);
    let main = repo.head("main").unwrap();
    assert_eq!(text(&merged, "/sha"), main);
    assert_eq!(repo.git(["rev-list", "--parents", "-1", "main"]).split(' ').count(), 3);
    assert_eq!(repo.read("main", "b.txt").as_deref(), Some("b\n"));
    assert_eq!(merge("main", "work").await.status, 204);
    assert_eq!(merge("none", "work").await.status, 404);
    assert_eq!(merge("main", "none").await.status, 404);
    repo.person("human").create_branch("other", &before);
    repo.person("human").push("other", [("src/a.txt", "1\n2\nIII\n")]);
    merge("main", "other").await.refuses(409, "Merge conflict");
    assert_eq!(repo.head("main").unwrap(), main);
    let compared = client.get(&format!("{REPO}/compare/other...main")).await.is(200);
    assert_eq!(text(&compared, "/status"), "diverged");
    assert_eq!((&compared["ahead_by"], &compared["behind_by"]), (&json!(3), &json!(1)));
    assert_eq!(text(&compared, "/merge_base_commit/sha"), before);
    let page = client.get(&format!("{REPO}/compare/other...main?per_page=2&page=2")).await;
    assert!(page.header("link").unwrap().contains("rel=\"prev\""));
    assert_eq!(page.is(200)["commits"].as_array().unwrap().len(), 1);
    hub.check();
}

async fn open(client: &Client, head: &str) -> u64 {
    let body = json!({"title": "Add b", "head": head, "base": "main", "body": "why"});
    client.post(&format!("{REPO}/pulls"), body).await.is(201)["number"].as_u64().unwrap()
}

#[tokio::test]
async fn a_pull_request_is_merged_in_three_ways() {
    for (method, commits, parents) in [("merge", "4", 2), ("squash", "2", 1), ("rebase", "3", 1)] {
        let (hub, repo, client) = with_work();
        repo.person("human").push("work", [("c.txt", "c\n")]);
        let number = open(&client, "work").await;
        let path = format!("{REPO}/pulls/{number}");
        let first = client.get(&path).await.is(200);
        assert!(first["mergeable"].is_null(), "GitHub has not worked it out yet");
        let second = client.get(&path).await.is(200);
        assert_eq!((&second["mergeable"], text(&second, "/mergeable_state")), (&json!(true), "clean"));
        assert_eq!(client.get(&format!("{path}/merge")).await.status, 404);
        let wrong = json!({"sha": repo.head("main").unwrap(), "merge_method": method});
        client
            .put(&format!("{path}/merge"), wrong)
            .await
            .refuses(409, "Head branch was modified. Review and try the merge again.");
        let body = json!({"sha": repo.head("work").unwrap(), "merge_method": method});
        let merged = client.put(&format!("{path}/merge"), body.clone()).await.is(200);
        let main = repo.head("main").unwrap();
        assert_eq!((text(&merged, "/sha"), &merged["merged"]), (main.as_str(), &json!(true)));
        assert_eq!(repo.git(["rev-list", "--count", "main"]), commits, "{method}");
        assert_eq!(repo.git(["rev-list", "--parents", "-1", "main"]).split(' ').count(), parents + 1);
        assert_eq!(repo.tree("main"), repo.tree("work"));
        client.put(&format!("{path}/merge"), body).await.refuses(405, "not mergeable");
        assert_eq!(client.get(&format!("{path}/merge")).await.status, 204);
        let after = client.get(&path).await.is(200);
        assert_eq!((text(&after, "/state"), text(&after, "/merge_commit_sha")), ("closed", main.as_str()));
        assert_eq!(text(&after, "/merged_by/login"), "agent");
        let merges =
            hub.effects().into_iter().filter(|effect| matches!(effect.what, What::PullMerged { .. }));
        assert_eq!(merges.count(), 1);
        hub.check();
    }
}
