//! What looks like a secret is in nothing that is printed or logged, and in all that has to be exact.
#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;

use common::{Gave, World};
use serde_json::json;

/// Secrets by their formats, put together here: a scanner of this repository is not to find them.
fn secrets() -> [String; 3] {
    let body = "Ab3dEf6hIjK9mNoPqRsTuVwXyZ0123456789";
    [
        format!("ghp_{body}"),
        format!("xoxb-123456789012-{}", &body[..24]),
        format!("-----BEGIN {0} KEY-----\nMIIE{body}\nq80{body}\n-----END {0} KEY-----\n", "RSA PRIVATE"),
    ]
}

/// What of the secrets is in no output: the lines of the key on their own too.
fn hidden() -> Vec<String> {
    let [token, bot, key] = secrets();
    let lines = key.lines().filter(|line| !line.starts_with('-')).map(str::to_owned);
    [token, bot].into_iter().chain(lines).collect()
}

/// A folder with a connector whose secret is in the environment.
struct Desk {
    world: World,
    /// Of the connector; it has no format that is known.
    own: String,
}

impl Desk {
    fn new() -> Self {
        let world = World::new();
        let config = world.read("enact.toml");
        let slack = "\n[connectors.chat]\nkind = \"slack\"\ntoken_env = \"CHAT_TOKEN\"\nbase_url = \"http://127.0.0.1:9\"\n\
                     timeout_s = 1\nallowed_actions = [\"post_message\"]\n";
        world.write("enact.toml", &(config + slack));
        Self { world, own: "0wn-t0ken-of-the-connector".into() }
    }

    /// With the logs of everything, and looked through.
    fn gives(&self, args: &[&str]) -> Gave {
        let mut command = self.world.command(args);
        let gave: Gave =
            command.env("CHAT_TOKEN", &self.own).env("ENACT_LOG", "trace").output().unwrap().into();
        let key = self.world.path("enact-data.key");
        let master = std::fs::read_to_string(key).map(|key| key.trim().to_owned());
        for secret in hidden().iter().chain([&self.own]).chain(master.as_ref()) {
            for text in [&gave.stdout, &gave.stderr] {
                assert!(!text.contains(secret.as_str()), "{args:?} shows {secret}: {text}");
            }
        }
        gave
    }

    /// For people and as a document.
    fn both(&self, args: &[&str], code: i32) {
        self.gives(args).exits(code);
        let gave = self.gives(&[args, &["--json"]].concat()).exits(code);
        for document in serde_json::Deserializer::from_str(&gave.stdout).into_iter::<serde_json::Value>() {
            document.unwrap();
        }
    }
}

#[test]
fn case_42_no_command_shows_a_secret_and_what_is_recorded_is_exact() {
    let (desk, all) = (Desk::new(), secrets());
    let text = format!("one {} two {}\n{}end\n", all[0], all[1], all[2]);
    desk.world.write("workspace/secret.txt", &text);
    desk.world.write(
        "workflows/secret.yaml",
        "name: secret\nsteps:\n  - { id: r, action: files.read_file, with: { path: secret.txt } }\n  \
         - { id: w, action: files.write_file, with: { path: copy.txt, content: '{{ steps.r.output.content }}' } }\n  \
         - { id: d, action: files.delete_file, with: { path: secret.txt } }\n",
    );
    let payload = json!({ "token": text }).to_string();
    let start =
        ["secret", "--user", "me@example.com", "--attr", &format!("note={}", all[0]), "--payload", &payload];
    desk.both(&[&["plan"], &start[..]].concat(), 0);
    let run = desk.gives(&[&["run"], &start[..], &["--json"]].concat()).exits(0);
    let run = run.json()["run_id"].as_str().unwrap().to_owned();
    for args in [
        &["show", &run][..],
        &["events"],
        &["events", &run],
        &["replay", &run],
        &["replay", &run, "--until", "3"],
        &["runs"],
        &["resume"],
        &["connectors"],
        &["policy", "check"],
        &["store", "verify"],
    ] {
        desk.both(args, 0);
    }
    let shown = desk.gives(&["show", &run, "--json"]).stdout;
    assert!(
        shown.contains("[redacted: a GitHub token]") && shown.contains("[redacted: a private key]"),
        "{shown}"
    );
    // The one that shows what is recorded as it is.
    let whole = desk.world.enact(&["events", &run, "--whole"]).exits(0).stdout;
    assert!(whole.contains(&all[0]) && whole.contains(&all[1]));
    // What an undo needs is not touched.
    assert_eq!(desk.world.read("workspace/copy.txt"), text);
    desk.both(&["rollback", &run, "--reason", &all[0]], 0);
    assert_eq!(desk.world.read("workspace/secret.txt"), text);
    assert!(!desk.world.path("workspace/copy.txt").exists());
    desk.both(&["erase", &run], 0);
    desk.both(&["store", "rotate-key"], 0);
}

#[test]
fn what_goes_wrong_is_told_without_the_secrets_in_it() {
    let (desk, all) = (Desk::new(), secrets());
    let (user, secret) = (["--user", "me@example.com"], all[0].as_str());
    let path = json!({ "path": format!("none/{secret}") }).to_string();
    for args in [
        &["show", secret][..],
        &["rollback", secret],
        &["runs", "--status", secret],
        &["run", secret, user[0], user[1]],
        &["act", secret, user[0], user[1]],
        &["act", "files.list_dir", user[0], user[1], "--params", secret],
        &["policy", "test", secret],
        &["store", "restore", secret, "to"],
        &["replay", "x", "--until", secret],
        &[secret],
        &[&format!("--{secret}")],
    ] {
        desk.both(args, 2);
    }
    desk.both(&["act", "files.read_file", user[0], user[1], "--params", &path], 4);
    // Nobody is there: the connector says so, and its logs with it.
    let post = json!({ "channel": "C1", "text": secret }).to_string();
    let gave = desk.gives(&["act", "chat.post_message", user[0], user[1], "--params", &post, "--json"]);
    assert_ne!(gave.exit, 0, "{gave:?}");
}
