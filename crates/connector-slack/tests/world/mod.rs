//! A channel on the stand-in for Slack, with a connector of a bot in it, and a way to see all of it.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use enact_connector_slack::Slack;
use enact_core::action::{Doubt, Facts, Undo};
use enact_core::blob::BlobStore;
use enact_core::connector::{Allow, Cx, Surroundings, Toolbox};
use enact_core::ids::{Direction, EffectId, RunId, Seq};
use enact_core::json::JsonText;
use enact_core::time::Timestamp;
use enact_core::{Capture, Error, Prepared};
use enact_store::MemoryBlobs;
use enact_testkit::connector_suite;
use enact_testkit::slack::{Bot, Channel, Server, What};
use parking_lot::Mutex;
use serde_json::Value;

/// Every action.
pub(crate) const ALL: [&str; 2] = ["post_message", "delete_message"];

/// Every scope that the connector has a use for.
pub(crate) const SCOPES: [&str; 9] = [
    "chat:write",
    "channels:history",
    "groups:history",
    "im:history",
    "mpim:history",
    "channels:read",
    "groups:read",
    "im:read",
    "mpim:read",
];

/// A server, a channel with the bot in it, and a connector of the bot.
pub(crate) struct Space {
    pub(crate) server: Server,
    pub(crate) bot: Bot,
    pub(crate) general: Channel,
    pub(crate) token: String,
    pub(crate) toolbox: Toolbox,
    pub(crate) around: Arc<Around>,
    blobs: Arc<dyn BlobStore>,
    effects: AtomicU32,
    run: RunId,
}

/// The system's clock, set by the test, and what a connector says.
#[derive(Debug, Default)]
pub(crate) struct Around {
    ahead: Mutex<Duration>,
    behind: Mutex<Duration>,
    pub(crate) notes: Mutex<Vec<String>>,
}

impl Around {
    /// Sets the clock on.
    pub(crate) fn advance(&self, by: Duration) {
        *self.ahead.lock() += by;
    }

    /// Sets the clock back.
    pub(crate) fn set_back(&self, by: Duration) {
        *self.behind.lock() += by;
    }
}

impl Surroundings for Around {
    fn now(&self) -> Timestamp {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + *self.ahead.lock();
        let now = now.saturating_sub(*self.behind.lock());
        Timestamp::from_unix_us(u64::try_from(now.as_micros()).unwrap_or(u64::MAX))
    }

    fn note(&self, text: &str) {
        self.notes.lock().push(text.to_owned());
    }
}

impl connector_suite::World for Space {
    fn toolbox(&self) -> Toolbox {
        self.toolbox.clone()
    }

    /// What people see.
    async fn observe(&self) -> String {
        let mut seen = String::new();
        for message in self.general.messages() {
            let said = if message.tombstone {
                "deleted".to_owned()
            } else {
                format!("{} {}", message.text, message.blocks)
            };
            writeln!(seen, "{} {:?} {said}", message.user, message.thread_ts).unwrap();
        }
        seen
    }
}

impl Space {
    /// With all scopes.
    pub(crate) fn new() -> Self {
        Self::with(&SCOPES)
    }

    /// With these scopes; no settle window.
    pub(crate) fn with(scopes: &[&str]) -> Self {
        Self::of(scopes, |slack| slack)
    }

    pub(crate) fn of(scopes: &[&str], options: impl FnOnce(Slack) -> Slack) -> Self {
        let server = Server::start();
        let bot = server.bot("agent");
        let general = server.channel("general").invite(&bot);
        let token = bot.token(scopes.iter().copied());
        let toolbox = connect(&server, &token, options);
        Self {
            server,
            bot,
            general,
            token,
            toolbox,
            around: Arc::default(),
            blobs: Arc::new(MemoryBlobs::default()),
            effects: AtomicU32::new(1),
            run: RunId::from_parts(1_700_000_000_000, [7; 10]),
        }
    }

    /// The context of a new intent.
    pub(crate) fn cx(&self, direction: Direction, force: bool) -> Cx {
        let number = self.effects.fetch_add(1, Ordering::Relaxed);
        let undo_try = u32::from(direction == Direction::Undo);
        let effect = EffectId { run: self.run, seq: Seq(u64::from(number)), attempt: 1, direction, undo_try };
        Cx::new(effect, force, Arc::clone(&self.blobs))
            .within(Arc::clone(&self.around) as Arc<dyn Surroundings>)
    }

    /// The context of the next try of an intent.
    pub(crate) fn next_try(&self, cx: &Cx) -> Cx {
        let was = cx.effect();
        let effect = match was.direction {
            Direction::Forward => EffectId { attempt: was.attempt + 1, ..was },
            Direction::Undo => EffectId { undo_try: was.undo_try + 1, ..was },
        };
        Cx::new(effect, cx.force(), Arc::clone(&self.blobs))
            .within(Arc::clone(&self.around) as Arc<dyn Surroundings>)
    }

    pub(crate) fn prepare(&self, action: &str, params: &Value) -> Result<Prepared, Error> {
        self.toolbox.prepare(action, &JsonText::encode(params)?)
    }

    /// Captures and performs, as the runtime does.
    pub(crate) async fn act(&self, action: &str, params: Value) -> Result<Done, Error> {
        let prepared = self.prepare(action, &params)?;
        self.carry_out(prepared, self.cx(Direction::Forward, false)).await
    }

    /// Posts to the channel.
    pub(crate) async fn post(&self, text: &str) -> Result<Done, Error> {
        self.act("post_message", serde_json::json!({ "channel": self.general.id(), "text": text })).await
    }

    pub(crate) async fn carry_out(&self, action: Prepared, cx: Cx) -> Result<Done, Error> {
        Ok(match action.capture(&cx).await? {
            Capture::AlreadyDone(output) => Done {
                action,
                cx,
                pre: JsonText::null(),
                output: output.value(),
                facts: Facts::new(),
                already: true,
            },
            Capture::Ready { pre, ready, facts } => {
                let output = action.perform(&cx, ready).await?.value();
                Done { action, cx, pre, output, facts, already: false }
            }
        })
    }

    /// Captures and performs; what became of it, settled by the probe where the reply was lost.
    pub(crate) async fn act_or_probe(&self, action: Prepared, cx: Cx) -> Result<Settled, Error> {
        let (pre, ready) = match action.capture(&cx).await? {
            Capture::AlreadyDone(_) => return Ok(Settled::Already),
            Capture::Ready { pre, ready, .. } => (pre, ready),
        };
        match action.perform(&cx, ready).await {
            Ok(output) => Ok(Settled::Done(pre, output.value())),
            Err(error) if error.code() == enact_core::ErrorCode::InDoubt => {
                match action.probe(&cx, &pre).await? {
                    Doubt::Applied(output) => Ok(Settled::Done(pre, output.value())),
                    Doubt::NotApplied => Ok(Settled::Nothing),
                    Doubt::Unknown(seen) => Ok(Settled::Unknown(seen)),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// What undoes it, with its output.
    pub(crate) fn undo_of(&self, done: &Done) -> Prepared {
        let output = JsonText::encode(&done.output).unwrap();
        self.undo_from(&done.action, &done.pre, Some(&output))
    }

    pub(crate) fn undo_from(&self, action: &Prepared, pre: &JsonText, output: Option<&JsonText>) -> Prepared {
        match action.undo(pre, output).unwrap() {
            Undo::By(undo) => self.toolbox.prepare_undo(undo.name, &undo.params).unwrap(),
            other => panic!("no undo: {other:?}"),
        }
    }

    /// Undoes what was done, as the runtime does.
    pub(crate) async fn undo(&self, done: &Done, force: bool) -> Result<Done, Error> {
        self.carry_out(self.undo_of(done), self.cx(Direction::Undo, force)).await
    }

    /// Effects that requests of the connector caused.
    pub(crate) fn effects(&self) -> Vec<What> {
        self.server.effects().into_iter().map(|effect| effect.what).collect()
    }
}

/// A connector to the server, with no settle window.
pub(crate) fn connect(server: &Server, token: &str, options: impl FnOnce(Slack) -> Slack) -> Toolbox {
    let slack = Slack::new(token).unwrap().base_url(&server.url()).unwrap();
    let slack = slack.settle_window(Duration::ZERO).timeout(Duration::from_secs(5));
    options(slack).allow(ALL).unwrap()
}

/// An action that was carried out.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) action: Prepared,
    pub(crate) cx: Cx,
    pub(crate) pre: JsonText,
    pub(crate) output: Value,
    pub(crate) facts: Facts,
    pub(crate) already: bool,
}

impl Done {
    /// The message that it posted.
    pub(crate) fn ts(&self) -> &str {
        self.output["ts"].as_str().unwrap()
    }
}

/// What became of an action.
#[derive(Debug)]
pub(crate) enum Settled {
    Already,
    Done(JsonText, Value),
    Nothing,
    Unknown(String),
}
