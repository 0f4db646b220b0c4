//! The real binary on the stand-in for GitHub: as the connector's page says, and without its secrets.
#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;

use common::{Gave, World};
use enact_testkit::github::{Fault, Repo, Server};
use serde_json::json;

/// What is allowed, as the configuration has it.
const ALLOWED: &str = r#"["create_branch", "push_commit", "create_pr"]"#;

/// A folder with a configuration, and a repository.
struct Desk {
    world: World,
    hub: Server,
    repo: Repo,
    token: String,
}

impl Desk {
    fn with_scopes<'a>(scopes: impl IntoIterator<Item = &'a str>) -> Self {
        let (world, hub) = (World::empty(), Server::start());
        let repo = hub.repo("octo/app").file("README.md", "hi\n").writer("agent").create();
        let token = hub.user("agent").token(scopes);
        let desk = Self { world, hub, repo, token };
        desk.configure("token_env = \"ENACT_TEST_TOKEN\"");
        desk
    }

    fn configure(&self, auth: &str) {
        let config = format!(
            "[connectors.github]\nkind = \"github\"\n{auth}\nbase_url = \"{}\"\nrevert_pushes = true\n\
             settle_window_s = 1\ntimeout_s = 5\nallowed_actions = {ALLOWED}\n",
            self.hub.url()
        );
        self.world.write("enact.toml", &config);
    }

    /// A workflow that makes a branch, pushes a commit, opens a pull request and merges it.
    fn agent_pr(&self, method: &str) {
        let config = self.world.read("enact.toml").replace(ALLOWED, &ALLOWED.replace(']', ", \"merge_pr\"]"));
        self.world.write("enact.toml", &config);
        let step = |id: &str, action: &str, with: &str| {
            format!("  - {{ id: {id}, action: github.{action}, with: {{ repo: octo/app, {with} }} }}\n")
        };
        let steps = [
            step("branch", "create_branch", "branch: agent/x"),
            step(
                "commit",
                "push_commit",
                "branch: agent/x, message: Add a, files: [{ path: a.txt, content: \"a\\n\" }]",
            ),
            step("pr", "create_pr", "title: Add a, head: agent/x"),
            step(
                "merge",
                "merge_pr",
                &format!("pr_number: '{{{{ steps.pr.output.pr_number }}}}', method: {method}"),
            ),
        ];
        self.world.write("agent-pr.yaml", &format!("name: agent-pr\nversion: 1\nsteps:\n{}", steps.concat()));
    }

    fn enact(&self, args: &[&str]) -> Gave {
        let mut command = self.world.command(&[args, &["--json"]].concat());
        let gave: Gave = command.env("ENACT_TEST_TOKEN", &self.token).output().unwrap().into();
        assert!(!format!("{gave:?}").contains(&self.token), "the token is shown: {gave:?}");
        gave
    }

    fn act(&self, action: &str, params: &serde_json::Value) -> Gave {
        let action = format!("github.{action}");
        self.enact(&["act", &action, "--user", "me@example.com", "--params", &params.to_string()])
    }
}

#[test]
fn what_is_done_is_shown_and_rolled_back() {
    let desk = Desk::with_scopes(["repo"]);
    let files = json!([{ "path": "a.txt", "content": "a\n" }]);
    let push = json!({ "repo": "octo/app", "branch": "agent/x", "message": "M", "files": files });
    let first = desk.act("push_commit", &push).exits(0).json();
    let second = desk.act("create_pr", &json!({ "repo": "octo/app", "title": "T", "head": "agent/x" }));
    let second = second.exits(0).json();
    assert_eq!(second["actions"][0]["output"]["pr_number"], 1);
    let shown = desk.enact(&["show", second["run_id"].as_str().unwrap()]).exits(0).json();
    assert_eq!(shown["actions"][0]["target"]["attributes"]["repo"], "octo/app");
    for run in [&second, &first] {
        desk.enact(&["rollback", run["run_id"].as_str().unwrap()]).exits(0);
    }
    assert!(!desk.repo.pull(1).issue.open);
    assert_eq!(desk.repo.head("agent/x"), None);
    // What the list does not name is refused.
    let refused = desk.act("merge_pr", &json!({ "repo": "octo/app", "pr_number": 1 })).exits(3);
    assert!(refused.stdout.contains("Action 'merge_pr' not in allowlist"), "{refused:?}");
}

#[test]
fn a_run_that_merges_its_own_pull_request_is_rolled_back_whole() {
    for method in ["merge", "squash", "rebase"] {
        let desk = Desk::with_scopes(["repo"]);
        desk.agent_pr(method);
        let before = desk.repo.git(["rev-parse", "main^{tree}"]);
        let run = desk.enact(&["run", "./agent-pr.yaml", "--user", "me@example.com"]).exits(0).json();
        assert_eq!(desk.repo.git(["show", "main:a.txt"]).trim(), "a", "{method}");
        // Somebody goes on working on top of it.
        desk.repo.person("ann").push("main", [("later.txt", "later\n")]);
        let id = run["run_id"].as_str().unwrap();
        let undone = desk.enact(&["rollback", id]).exits(0).json();
        assert_eq!(undone["status"], "rolled_back", "{method}: {undone}");
        let outcomes: Vec<&str> = undone["rollback"]["actions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["outcome"].as_str().unwrap())
            .collect();
        assert_eq!(outcomes, ["undone", "already_undone", "undone", "undone"], "{method}: {undone}");
        assert_eq!(
            desk.repo.git(["ls-tree", "--name-only", "main"]).trim(),
            "README.md\nlater.txt",
            "{method}"
        );
        assert_eq!(
            desk.repo.git(["rev-parse", "main:README.md"]),
            desk.repo.git(["rev-parse", &format!("{}:README.md", before.trim())])
        );
        assert_eq!(
            desk.repo.git(["log", "--format=%s", "--grep=^This reverts commit", "main"]).lines().count(),
            1
        );
        assert_eq!(
            desk.repo.git(["for-each-ref", "--format=%(refname)", "refs/heads"]).trim(),
            "refs/heads/main"
        );
    }
}

#[test]
fn a_pull_request_that_others_merge_stays_and_force_is_not_advised() {
    let desk = Desk::with_scopes(["repo"]);
    let push = json!({
        "repo": "octo/app", "branch": "agent/x", "message": "M", "files": [{ "path": "a.txt", "content": "a\n" }],
    });
    desk.act("push_commit", &push).exits(0);
    let opened = desk
        .act("create_pr", &json!({ "repo": "octo/app", "title": "T", "head": "agent/x" }))
        .exits(0)
        .json();
    desk.repo.person("ann").merge(1, "merge");
    let id = opened["run_id"].as_str().unwrap();
    let undone = desk.enact(&["rollback", id]).exits(5).json();
    let action = &undone["rollback"]["actions"][0];
    assert_eq!(
        (&action["outcome"], &action["error"]["code"]),
        (&json!("conflict"), &json!("precondition_failed"))
    );
    let mut shown = desk.world.command(&["show", id]);
    let shown: Gave = shown.env("ENACT_TEST_TOKEN", &desk.token).output().unwrap().into();
    assert!(!shown.stdout.contains("--force"), "{shown:?}");
}

#[test]
fn a_reply_that_is_lost_is_looked_up_within_the_same_command() {
    let desk = Desk::with_scopes(["repo"]);
    for (fault, effects) in [
        (Fault::drop_after("POST", "/repos/octo/app/git/refs"), 1),
        (Fault::drop_before("POST", "/repos/octo/app/git/refs"), 2),
    ] {
        let lost = desk.hub.fault(fault);
        let branch = format!("agent/{effects}");
        let done =
            desk.act("create_branch", &json!({ "repo": "octo/app", "branch": branch })).exits(0).json();
        assert!(lost.was_reached());
        assert_eq!(done["actions"][0]["success"], true);
        assert_eq!(done["actions"][0]["already_done"], false);
        assert_eq!(desk.hub.effects().len(), effects);
    }
}

#[test]
fn connectors_warns_of_what_the_token_lacks() {
    let desk = Desk::with_scopes(["read:user"]);
    let listed = desk.enact(&["connectors"]).exits(0).json();
    let github = &listed["connectors"][0];
    assert_eq!(github["actions"].as_array().unwrap().len(), 6);
    let warnings = github["warnings"].to_string();
    assert!(warnings.contains("lacks the scope 'repo'") && warnings.contains("push_commit"), "{warnings}");
    let text = desk.world.command(&["connectors"]).env("ENACT_TEST_TOKEN", &desk.token).output().unwrap();
    assert!(Gave::from(text).exits(0).stdout.contains("warning: the token lacks"));
    // A server that is not there keeps nobody from the list.
    let config = desk.world.read("enact.toml").replace(&desk.hub.url(), "http://127.0.0.1:9");
    desk.world.write("enact.toml", &config);
    let listed = desk.enact(&["connectors"]).exits(0).json();
    assert!(listed["connectors"][0]["warnings"].to_string().contains("could not be found out"), "{listed}");
}

#[test]
fn a_wrong_configuration_is_refused_with_its_line() {
    let desk = Desk::with_scopes(["repo"]);
    for (auth, naming) in [
        ("token_env = \"ENACT_NO_SUCH_VARIABLE\"", "line 3"),
        ("token = \"ghp_secret\"", "token"),
        ("app_id = 1", "installation_id"),
    ] {
        desk.configure(auth);
        let (code, message) = desk.enact(&["connectors"]).exits(2).error();
        assert_eq!(code, "invalid_parameters");
        assert!(message.contains(naming) && !message.contains("ghp_secret"), "{message}");
    }
}
