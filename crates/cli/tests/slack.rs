//! The real binary on the stand-in for Slack: as the connector's page says, and without its secrets.
#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;

use std::process::{Command, Stdio};
use std::time::Duration;

use common::{Gave, World};
use enact_testkit::slack::{Channel, Fault, Server};
use serde_json::json;

const POST: &str = "chat.postMessage";

/// A folder with a configuration, and a channel.
struct Desk {
    world: World,
    slack: Server,
    general: Channel,
    token: String,
}

impl Desk {
    fn with_scopes<'a>(scopes: impl IntoIterator<Item = &'a str>) -> Self {
        let (world, slack) = (World::empty(), Server::start());
        let bot = slack.bot("agent");
        let general = slack.channel("general").invite(&bot);
        let token = bot.token(scopes);
        let config = format!(
            "[connectors.slack]\nkind = \"slack\"\ntoken_env = \"ENACT_TEST_TOKEN\"\nbase_url = \"{}\"\n\
             settle_window_s = 1\ntimeout_s = 5\nallowed_actions = [\"post_message\", \"delete_message\"]\n",
            slack.url()
        );
        world.write("enact.toml", &config);
        Self { world, slack, general, token }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.world.command(&[args, &["--json"]].concat());
        command.env("ENACT_TEST_TOKEN", &self.token);
        command
    }

    fn enact(&self, args: &[&str]) -> Gave {
        let gave: Gave = self.command(args).output().unwrap().into();
        assert!(!format!("{gave:?}").contains(&self.token), "the token is shown: {gave:?}");
        gave
    }

    fn act(&self, action: &str, params: &serde_json::Value) -> Gave {
        let action = format!("slack.{action}");
        self.enact(&["act", &action, "--user", "me@example.com", "--params", &params.to_string()])
    }

    /// Kills a command while its so-manieth request waits for an answer, before it happened or after that.
    fn kill_at(&self, nth: usize, is_done: bool, args: &[&str]) {
        let fault = if is_done { Fault::hang_after } else { Fault::hang_before };
        let armed = self.slack.fault(fault("*").nth(nth));
        let mut child = self.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let reached = runtime.block_on(async { tokio::time::timeout(PATIENCE, armed.reached()).await });
        child.kill().unwrap();
        child.wait().unwrap();
        reached.unwrap();
    }

    fn post(&self) -> Gave {
        self.act("post_message", &json!({ "channel": self.general.id(), "text": "a < b" }))
    }
}

/// How long a request may take to come; only a test that fails waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

const SCOPES: [&str; 3] = ["chat:write", "channels:history", "channels:read"];

#[test]
fn what_is_posted_is_shown_and_rolled_back() {
    let desk = Desk::with_scopes(SCOPES);
    let done = desk.post().exits(0).json();
    let id = done["run_id"].as_str().unwrap();
    assert_eq!(done["actions"][0]["output"]["ts"], desk.general.messages()[0].ts);
    assert_eq!(done["actions"][0]["output"]["text"], "a &lt; b");
    let shown = desk.enact(&["show", id]).exits(0).json();
    assert_eq!(shown["actions"][0]["target"]["kind"], "channel");
    // Edited, it is left alone until a person says otherwise.
    desk.general.person("ann").edit(&desk.general.messages()[0].ts, "a > b");
    let left = desk.enact(&["rollback", id]).exits(5).json();
    assert_eq!(left["rollback"]["actions"][0]["outcome"], "conflict");
    let undone = desk.enact(&["rollback", id, "--force"]).exits(0).json();
    assert_eq!(undone["rollback"]["actions"][0]["outcome"], "undone");
    assert_eq!(desk.general.messages(), []);
    // Gone meanwhile, there is nothing to do.
    let done = desk.post().exits(0).json();
    desk.general.person("ann").delete(&desk.general.messages()[0].ts);
    let undone = desk.enact(&["rollback", done["run_id"].as_str().unwrap()]).exits(0).json();
    assert_eq!(undone["rollback"]["actions"][0]["outcome"], "already_undone");
}

#[test]
fn a_deletion_is_done_once_and_stays() {
    let desk = Desk::with_scopes(SCOPES);
    desk.post().exits(0);
    let params = json!({ "channel": desk.general.id(), "ts": desk.general.messages()[0].ts });
    let done = desk.act("delete_message", &params).exits(0).json();
    assert_eq!(done["actions"][0]["already_done"], false);
    let again = desk.act("delete_message", &params).exits(0).json();
    assert_eq!(again["actions"].as_array().unwrap().last().unwrap()["already_done"], true, "{again}");
    let left = desk.enact(&["rollback", done["run_id"].as_str().unwrap()]).exits(5).json();
    assert_eq!(left["rollback"]["actions"][0]["outcome"], "irreversible");
    let undone = desk.enact(&["rollback", again["run_id"].as_str().unwrap()]).exits(0).json();
    assert_eq!(undone["rollback"]["actions"][0]["outcome"], "nothing_to_undo");
}

#[test]
fn a_deletion_survives_a_kill_at_every_request_and_is_not_forgotten_in_a_rollback() {
    let asked = |desk: &Desk| {
        let ts = desk.general.person("agent").post("old");
        json!({ "channel": desk.general.id(), "ts": ts }).to_string()
    };
    let act = |params: &str| {
        ["act", "slack.delete_message", "--user", "me@example.com", "--params", params].map(str::to_owned)
    };
    let whole = Desk::with_scopes(SCOPES);
    let params = asked(&whole);
    whole.enact(&act(&params).each_ref().map(String::as_str)).exits(0);
    let methods: Vec<String> = whole.slack.requests().into_iter().map(|request| request.method).collect();
    let delete = methods.iter().position(|method| method == "chat.delete").unwrap() + 1;
    let mut points: Vec<(usize, bool)> = (1..=methods.len()).map(|nth| (nth, false)).collect();
    points.push((delete, true));
    assert!(points.len() >= 4, "{methods:?}");
    for ((nth, is_done), is_resumed) in points.into_iter().flat_map(|point| [(point, true), (point, false)]) {
        let at = format!("killed at {nth}, {is_done}, resumed {is_resumed}");
        let desk = Desk::with_scopes(SCOPES);
        let params = asked(&desk);
        desk.kill_at(nth, is_done, &act(&params).each_ref().map(String::as_str));
        let runs = desk.enact(&["runs"]).exits(0).json();
        let Some(run) = runs["runs"][0]["run_id"].as_str() else {
            assert_eq!(desk.slack.effects().len(), 0, "{at}");
            continue;
        };
        if is_resumed {
            let resumed = desk.enact(&["resume", run]).exits(0).json();
            assert_eq!(resumed["actions"][0]["already_done"], false, "{at}: {resumed}");
            assert_eq!(desk.slack.effects().len(), 1, "{at}");
        }
        let is_gone = desk.general.messages().is_empty();
        assert_eq!(is_gone, is_done || is_resumed, "{at}");
        let (exit, outcome) = if is_gone { (5, "irreversible") } else { (0, "nothing_to_undo") };
        let undone = desk.enact(&["rollback", run]).exits(exit).json();
        for action in undone["rollback"]["actions"].as_array().unwrap() {
            assert_eq!(action["outcome"], outcome, "{at}: {undone}");
        }
        assert!(!is_gone || undone["rollback"]["actions"][0].is_object(), "{at}: {undone}");
        assert_eq!(desk.general.messages().is_empty(), is_gone, "{at}");
    }
}

#[test]
fn replies_that_stay_after_a_rollback_are_in_the_record_of_it() {
    let desk = Desk::with_scopes(SCOPES);
    let done = desk.post().exits(0).json();
    let run = done["run_id"].as_str().unwrap();
    desk.general.person("ann").reply(&desk.general.messages()[0].ts, "good");
    desk.enact(&["rollback", run]).exits(0);
    let events = desk.enact(&["events", run]).exits(0).stdout;
    let undo = events.lines().find(|line| line.contains("replies_left")).unwrap();
    assert!(undo.contains("\"replies_left\":1"), "{undo}");
}

#[test]
fn a_lost_reply_is_looked_up_within_the_same_command_or_waits_for_a_person() {
    let desk = Desk::with_scopes(SCOPES);
    let lost = desk.slack.fault(Fault::drop_after(POST));
    let done = desk.post().exits(0).json();
    assert!(lost.was_reached());
    assert_eq!(done["actions"][0]["success"], true);
    assert_eq!(desk.slack.effects().len(), 1);

    // Without a right to look it is said before, and a person is asked.
    let desk = Desk::with_scopes(["chat:write"]);
    let listed = desk.enact(&["connectors"]).exits(0).json();
    let warnings = listed["connectors"][0]["warnings"].to_string();
    assert!(warnings.contains("channels:history") && warnings.contains("stays in doubt"), "{warnings}");
    let lost = desk.slack.fault(Fault::drop_after(POST));
    let stuck = desk.post().exits(5).json();
    assert!(lost.was_reached());
    assert_eq!(stuck["status"], "quarantined");
    assert_eq!(stuck["actions"][0]["error"]["code"], "in_doubt");
    let id = stuck["run_id"].as_str().unwrap();
    let resolved = desk.enact(&["resolve", id, "--seq", "1", "--as", "not-applied"]);
    assert!(resolved.json()["status"] != "quarantined", "{resolved:?}");
}

#[test]
fn what_may_not_be_deleted_is_a_failed_undo_in_sight() {
    let desk = Desk::with_scopes(SCOPES);
    let done = desk.post().exits(0).json();
    desk.slack.keep_everything(true);
    let left = desk.enact(&["rollback", done["run_id"].as_str().unwrap()]).exits(5).json();
    let action = &left["rollback"]["actions"][0];
    assert_eq!((&action["outcome"], &action["error"]["code"]), (&json!("failed"), &json!("forbidden")));
    assert_eq!(left["status"], "partially_rolled_back");
    // So is what the app may delete no more; later, it may be again.
    desk.slack.keep_everything(false);
    let refused = desk.slack.fault(Fault::error("chat.delete", "cant_delete_message"));
    let left = desk.enact(&["rollback", done["run_id"].as_str().unwrap()]).exits(5).json();
    assert!(refused.was_reached());
    let action = &left["rollback"]["actions"][0];
    assert_eq!((&action["outcome"], &action["error"]["code"]), (&json!("failed"), &json!("forbidden")));
    let left = desk.enact(&["rollback", done["run_id"].as_str().unwrap()]).exits(0).json();
    assert_eq!(left["rollback"]["actions"][0]["outcome"], "undone");
}

#[test]
fn the_configuration_of_the_connectors_page_is_taken() {
    let page = include_str!("../../connector-slack/src/docs.md");
    let block = page.split_once("```toml\n").unwrap().1.split_once("```").unwrap().0;
    let slack = Server::start();
    let world = World::empty();
    world.write("enact.toml", &format!("{block}base_url = \"{}\"\n", slack.url()));
    let token = slack.bot("agent").token(["chat:write"]);
    let listed = world.command(&["connectors"]).env("SLACK_BOT_TOKEN", token).output().unwrap();
    let listed = Gave::from(listed).exits(0).stdout;
    assert!(listed.contains("slack (slack)") && listed.contains("warning: the token lacks"), "{listed}");
}
