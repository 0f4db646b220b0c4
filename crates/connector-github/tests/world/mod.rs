//! A repository on the stand-in for GitHub, with a connector on it, and a way to see all of it.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use enact_connector_github::GitHub;
use enact_core::action::{Doubt, Facts, Undo};
use enact_core::blob::BlobStore;
use enact_core::connector::{Allow, Cx, Surroundings, Toolbox};
use enact_core::ids::{Direction, EffectId, RunId, Seq};
use enact_core::json::JsonText;
use enact_core::time::Timestamp;
use enact_core::{Capture, Error, Prepared};
use enact_store::MemoryBlobs;
use enact_testkit::connector_suite;
use enact_testkit::github::{Effect, Repo, RepoBuilder, Server, What};
use parking_lot::Mutex;
use serde_json::Value;

/// Every action.
pub(crate) const ALL: [&str; 6] =
    ["create_branch", "create_pr", "create_issue", "delete_branch", "merge_pr", "push_commit"];

/// The repository of most tests.
pub(crate) const REPO: &str = "octo/app";

/// A server, a repository on it, and a connector of the user `agent`.
pub(crate) struct Hub {
    pub(crate) server: Server,
    pub(crate) repo: Repo,
    pub(crate) token: String,
    pub(crate) toolbox: Toolbox,
    pub(crate) around: Arc<Around>,
    blobs: Arc<dyn BlobStore>,
    effects: AtomicU32,
    run: RunId,
}

/// The system's clock, set on by the test, and what a connector says.
#[derive(Debug, Default)]
pub(crate) struct Around {
    ahead: Mutex<Duration>,
    pub(crate) notes: Mutex<Vec<String>>,
}

impl Around {
    /// Sets the clock on.
    pub(crate) fn advance(&self, by: Duration) {
        *self.ahead.lock() += by;
    }
}

impl Surroundings for Around {
    fn now(&self) -> Timestamp {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + *self.ahead.lock();
        Timestamp::from_unix_us(u64::try_from(now.as_micros()).unwrap_or(u64::MAX))
    }

    fn note(&self, text: &str) {
        self.notes.lock().push(text.to_owned());
    }
}

impl connector_suite::World for Hub {
    fn toolbox(&self) -> Toolbox {
        self.toolbox.clone()
    }

    /// What people see: the files of each branch, and what is open.
    async fn observe(&self) -> String {
        let mut seen = String::new();
        for branch in self.repo.branches().keys() {
            writeln!(seen, "branch {branch}").unwrap();
            for (path, (mode, content)) in self.repo.tree(branch) {
                writeln!(seen, "  {mode} {path} {:?}", String::from_utf8_lossy(&content)).unwrap();
            }
        }
        for issue in self.repo.issues().into_iter().filter(|issue| issue.open) {
            writeln!(seen, "issue {} {:?}", issue.title, issue.body).unwrap();
        }
        for pull in self.repo.pulls().into_iter().filter(|pull| pull.issue.open) {
            writeln!(seen, "pull {} {} into {}", pull.issue.title, pull.head, pull.base).unwrap();
        }
        seen
    }
}

/// The repository of most tests: two files on `main`, one commit more on `feature`.
pub(crate) fn usual(builder: RepoBuilder) -> RepoBuilder {
    builder
        .file("README.md", "one\ntwo\nthree\n")
        .executable("bin/run", "#!/bin/sh\n")
        .symlink("link", "README.md")
        .writer("agent")
}

impl Hub {
    /// The usual repository.
    pub(crate) fn new() -> Self {
        Self::of(usual, |github| github)
    }

    /// A repository and a connector with options; no settle window.
    pub(crate) fn of(
        build: impl FnOnce(RepoBuilder) -> RepoBuilder,
        options: impl FnOnce(GitHub) -> GitHub,
    ) -> Self {
        let server = Server::start();
        let repo = build(server.repo(REPO)).create();
        if repo.head("main").is_some() {
            repo.person("ann").push("feature", [("feature.txt", "new\n")]);
        }
        let token = server.user("agent").token(["repo"]);
        let toolbox = connect(&server, &token, options);
        Self {
            server,
            repo,
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
        self.context(effect, force)
    }

    /// The context of another attempt of an action.
    pub(crate) fn again(&self, cx: &Cx) -> Cx {
        self.with(EffectId { attempt: cx.effect().attempt + 1, ..cx.effect() })
    }

    /// The context of an intent.
    pub(crate) fn with(&self, effect: EffectId) -> Cx {
        self.context(effect, false)
    }

    fn context(&self, effect: EffectId, force: bool) -> Cx {
        let around = Arc::clone(&self.around) as Arc<dyn Surroundings>;
        Cx::new(effect, force, Arc::clone(&self.blobs)).within(around)
    }

    pub(crate) fn prepare(&self, action: &str, params: &Value) -> Result<Prepared, Error> {
        self.toolbox.prepare(action, &JsonText::encode(params)?)
    }

    /// Captures and performs, as the runtime does.
    pub(crate) async fn act(&self, action: &str, params: Value) -> Result<Done, Error> {
        let prepared = self.prepare(action, &params)?;
        self.carry_out(prepared, self.cx(Direction::Forward, false)).await
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
            Capture::AlreadyDone(output) => return Ok(Settled::Already(output.value())),
            Capture::Ready { pre, ready, .. } => (pre, ready),
        };
        match action.perform(&cx, ready).await {
            Ok(output) => Ok(Settled::Done(pre, output.value())),
            Err(error) if error.code() == enact_core::ErrorCode::InDoubt => {
                match action.probe(&cx, &pre).await? {
                    Doubt::Applied(output) => Ok(Settled::Done(pre, output.value())),
                    Doubt::NotApplied => Ok(Settled::Nothing(pre)),
                    Doubt::Unknown(seen) => panic!("not settled: {seen}"),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// What undoes it, from its record alone.
    pub(crate) fn undo_of(&self, done: &Done) -> Prepared {
        self.undo_from(&done.action, &done.pre)
    }

    /// What undoes it, from its record and its output.
    pub(crate) fn undo_of_known(&self, done: &Done) -> Prepared {
        self.undo_by(&done.action, &done.pre, Some(&JsonText::encode(&done.output).unwrap()))
    }

    pub(crate) fn undo_from(&self, action: &Prepared, pre: &JsonText) -> Prepared {
        self.undo_by(action, pre, None)
    }

    fn undo_by(&self, action: &Prepared, pre: &JsonText, output: Option<&JsonText>) -> Prepared {
        match action.undo(pre, output).unwrap() {
            Undo::By(undo) => self.toolbox.prepare_undo(undo.name, &undo.params).unwrap(),
            other => panic!("no undo: {other:?}"),
        }
    }

    /// Undoes what was done, as the runtime does.
    pub(crate) async fn undo(&self, done: &Done, force: bool) -> Result<Done, Error> {
        self.carry_out(self.undo_of(done), self.cx(Direction::Undo, force)).await
    }

    /// Effects that requests of the connector caused, branches for the time of a merge left out.
    pub(crate) fn effects(&self) -> Vec<What> {
        let lasting = |effect: &Effect| !format!("{:?}", effect.what).contains("enact-tmp/");
        self.server.effects().into_iter().filter(lasting).map(|effect| effect.what).collect()
    }

    /// Whether a branch for the time of a merge is left.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        self.repo.branches().into_keys().filter(|name| name.starts_with("enact-tmp/")).collect()
    }
}

/// A connector to the server, with no settle window.
pub(crate) fn connect(server: &Server, token: &str, options: impl FnOnce(GitHub) -> GitHub) -> Toolbox {
    let github = GitHub::new(token).unwrap().base_url(&server.url()).unwrap();
    let github = github.settle_window(Duration::ZERO).timeout(Duration::from_secs(5));
    options(github).allow(ALL).unwrap()
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

/// What became of an action.
#[derive(Debug)]
pub(crate) enum Settled {
    Already(Value),
    Done(JsonText, Value),
    Nothing(JsonText),
}
