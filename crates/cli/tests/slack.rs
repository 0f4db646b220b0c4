//! The real binary on the stand-in for Slack: as the connector's page says, and without its secrets.
#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;

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

    fn enact(&self, args: &[&str]) -> Gave {
        let mut command = self.world.command(&[args, &["--json"]].concat());
        let gave: Gave = command.env("ENACT_TEST_TOKEN", &self.token).output().unwrap().into();
        assert!(!format!("{gave:?}").contains(&self.token), "the token is shown: {gave:?}");
        gave
    }

    fn act(&self, action: &str, params: &serde_json::Value) -> Gave {
        let action = format!("slack.{action}");
        self.enact(&["act", &action, "--user", "me@example.com", "--params", &params.to_string()])
    }

    fn post(&self) -> Gave {
        self.act("post_message", &json!({ "channel": self.general.id(), "text": "a < b" }))
    }
}

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
