//! Every request is lost once, before and after it happened; and runs crash at every step, are resumed and rolled back:
//! nothing is lost, doubled or left.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test by panicking"
)]

mod world;

use enact_connector_slack::{PostMessage, Slack};
use enact_core::action::{Doubt, Undo};
use enact_core::connector::Cx;
use enact_core::ids::Direction;
use enact_core::json::JsonText;
use enact_core::{Capture, Error, ErrorCode, Prepared};
use enact_runtime::{Builder, Enact, RunRequest, Workflow, WorkflowCx};
use enact_testkit::connector_suite::World as _;
use enact_testkit::crash_points::{self, Place};
use enact_testkit::slack::{Fault, What};
use serde_json::json;
use world::{SCOPES, Space, connect};

/// How often something is tried before the test gives up.
const TRIES: usize = 6;

/// Carries an action out as the runtime does: tried again where that is safe, looked up where it is in doubt. Gives pre-state
/// and output of the attempt that is there.
async fn drive(space: &Space, action: &Prepared, direction: Direction) -> Option<(JsonText, JsonText)> {
    let mut cx = space.cx(direction, false);
    for _ in 0..TRIES {
        match attempt(action, &cx).await {
            Ok(Some(done)) => return done,
            Ok(None) => {}
            Err(error) if error.is_retryable() => {}
            Err(error) => panic!("{action:?}: {error}"),
        }
        cx = space.next_try(&cx);
    }
    panic!("{action:?} does not come to an end");
}

/// Nothing, where it is to be tried again.
async fn attempt(action: &Prepared, cx: &Cx) -> Result<Option<Option<(JsonText, JsonText)>>, Error> {
    let (pre, ready) = match action.capture(cx).await? {
        Capture::AlreadyDone(_) => return Ok(Some(None)),
        Capture::Ready { pre, ready, .. } => (pre, ready),
    };
    match action.perform(cx, ready).await {
        Ok(output) => return Ok(Some(Some((pre, output)))),
        Err(error) if error.code() == ErrorCode::InDoubt => {}
        Err(error) => return Err(error),
    }
    for _ in 0..TRIES {
        match action.probe(cx, &pre).await {
            Ok(Doubt::Applied(output)) => return Ok(Some(Some((pre, output)))),
            Ok(Doubt::NotApplied) => return Ok(None),
            Ok(Doubt::Unknown(why)) => panic!("{action:?} is left to a person: {why}"),
            Err(error) if error.is_retryable() => {}
            Err(error) => return Err(error),
        }
    }
    panic!("the probe of {action:?} does not come to an end");
}

async fn there_and_back(space: &Space) {
    let before = space.observe().await;
    let action = space.prepare("post_message", &json!({ "channel": "#general", "text": "x & y" })).unwrap();
    let (pre, output) = drive(space, &action, Direction::Forward).await.unwrap();
    assert_eq!(space.effects(), [What::Posted]);
    let undo = space.undo_from(&action, &pre, Some(&output));
    drive(space, &undo, Direction::Undo).await;
    assert_eq!(space.observe().await, before);
    assert_eq!(space.effects(), [What::Posted, What::Deleted]);
}

/// Deletes a message, which is an effect of its own and no deed of others, whatever became of the first requests.
async fn away(space: &Space) {
    let ts = space.general.person("agent").post("old");
    let params = json!({ "channel": space.general.id(), "ts": ts });
    let action = space.prepare("delete_message", &params).unwrap();
    let (pre, output) = drive(space, &action, Direction::Forward).await.unwrap();
    assert_eq!(space.effects(), [What::Deleted]);
    assert!(matches!(action.undo(&pre, Some(&output)).unwrap(), Undo::Irreversible(_)));
}

#[tokio::test]
async fn every_request_of_a_post_and_its_undo_may_be_lost() {
    every_request_may_be_lost(5, there_and_back).await;
}

#[tokio::test]
async fn every_request_of_a_deletion_may_be_lost() {
    every_request_may_be_lost(2, away).await;
}

async fn every_request_may_be_lost(at_least: usize, act: impl AsyncFn(&Space)) {
    let whole = Space::new();
    act(&whole).await;
    let requests = whole.server.requests().len();
    assert!(requests >= at_least, "{:?}", whole.server.requests());
    let faults: [fn(&str) -> Fault; 4] = [
        Fault::drop_before,
        Fault::drop_after,
        |method| Fault::status_after(method, 502),
        |method| Fault::error_after(method, "fatal_error"),
    ];
    for fault in faults {
        for nth in 1..=requests {
            let space = Space::new();
            let lost = space.server.fault(fault("*").nth(nth));
            act(&space).await;
            assert!(lost.was_reached(), "request {nth}");
        }
    }
}

/// What an agent does that tells a channel, and a person.
struct Tell;

impl Workflow for Tell {
    const NAME: &'static str = "tell";
    const VERSION: u32 = 1;
    type Input = String;
    type Output = ();

    async fn run(&self, cx: &WorkflowCx, person: String) -> Result<(), Error> {
        let slack = cx.connector::<Slack>("slack")?;
        let told = slack.act(PostMessage::new("#general", "deployed")?).await?;
        slack.act(PostMessage::new(&person, format!("see {}", told.channel))?).await.map(drop)
    }
}

struct Workspace(Space);

impl Workspace {
    fn new() -> Self {
        Self(Space::with(&SCOPES))
    }

    /// A person's id, the same in each workspace.
    fn ann(&self) -> String {
        self.0.server.person("ann")
    }
}

impl Place for Workspace {
    fn runtime(&self) -> Builder {
        self.ann();
        let slack = connect(&self.0.server, &self.0.token, |slack| slack);
        Enact::builder().connector("slack", slack).workflow(Tell)
    }

    async fn observe(&self) -> String {
        // Ids are times.
        let messages = [self.0.general.messages(), self.0.bot.direct("ann").messages()].concat();
        format!("{:?}", messages.into_iter().map(|message| message.text).collect::<Vec<_>>())
    }
}

#[test]
fn telling_survives_a_crash_at_every_step() {
    let ann = Workspace::new().ann();
    let request = RunRequest::of(Tell, "agent@company.com", &ann).unwrap();
    let moments = crash_points::check(&request, Workspace::new);
    assert!(moments > 15, "two actions and their undo have more than {moments} moments");
}
