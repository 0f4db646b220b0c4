//! A workflow over all four connectors, by the real binary: killed at every request that it sends and at every 13th of its
//! calls of the system, forward and back, it is carried on to its end and rolled back, and all four worlds are as before.
//! (Every single call of the system, with files alone, is in `kill_at_every_call.rs`.)
#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at what it does not expect"
)]

mod common;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use common::{Gave, World};
use enact_testkit::github::{self, Repo};
use enact_testkit::kill_points::Sweep;
use enact_testkit::postgres::{Database, Proxy, Server};
use enact_testkit::slack::{self, Channel};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, block_in_place};

const ME: [&str; 2] = ["--user", "me@example.com"];

/// How many worlds are worked on at once.
const AT_ONCE: usize = 4;

/// How long a request may take to come; only a test that fails waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two calls of the system at which the process is killed.
const STRIDE: usize = 13;

/// How many times that is, at the least: five, and threads do not make the same calls in each run.
const KILLS: usize = 4;

/// What the Postgres connector commits with.
const COMMIT: &str = "SET LOCAL";

const TABLES: &str = "
    CREATE TABLE ledger (number int GENERATED ALWAYS AS IDENTITY, did text);
    CREATE TABLE deployments (id int PRIMARY KEY, what text);
    INSERT INTO deployments VALUES (1, 'first');
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO ledger (did) VALUES (TG_OP); RETURN NULL; END $$;
    CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON deployments FOR EACH ROW EXECUTE FUNCTION note();";

const WORKFLOW: &str = r##"
name: deploy
steps:
  - { id: note, action: files.write_file, with: { path: notes/deploy.md, content: "going out" } }
  - { id: row, action: db.insert_row, with: { table: deployments, data: { id: 2, what: "{{ steps.note.output.sha256 }}" } } }
  - { id: branch, action: github.create_branch, with: { repo: octo/app, branch: agent/deploy, from_branch: feature } }
  - { id: pr, action: github.create_pr, with: { repo: octo/app, title: Deploy, head: "{{ steps.branch.output.branch }}" } }
  - { id: tell, action: slack.post_message, with: { channel: "#general", text: "see {{ steps.pr.output.url }} & <look>" } }
"##;

const SCOPES: [&str; 5] =
    ["chat:write", "channels:history", "groups:history", "channels:read", "groups:read"];

/// All four worlds, and a folder with a configuration.
struct Four {
    world: World,
    db: Database,
    proxy: Proxy,
    hub: github::Server,
    repo: Repo,
    slack: slack::Server,
    general: Channel,
    tokens: [String; 2],
    branches: BTreeMap<String, String>,
}

/// What each world's own ledger says.
#[derive(PartialEq, Eq, Debug)]
struct Ledgers {
    rows: Vec<String>,
    github: Vec<String>,
    slack: Vec<slack::What>,
}

impl Ledgers {
    fn expected(is_undone: bool) -> Self {
        let upto = |there: &[&str], back: &[&str]| {
            let back = back.iter().filter(|_| is_undone);
            there.iter().chain(back).map(|word| (*word).to_owned()).collect()
        };
        let mut slack = vec![slack::What::Posted];
        slack.extend(is_undone.then_some(slack::What::Deleted));
        Self {
            rows: upto(&["INSERT"], &["DELETE"]),
            github: upto(&["RefCreated", "PullOpened"], &["PullClosed", "RefDeleted"]),
            slack,
        }
    }
}

impl Four {
    async fn new() -> Self {
        let db = Server::shared().database().await;
        db.exec(TABLES).await;
        let proxy = Proxy::start(db.server()).await;
        let hub = github::Server::start();
        let repo = hub.repo("octo/app").file("README.md", "hi\n").writer("agent").create();
        repo.person("ann").push("feature", [("feature.txt", "new\n")]);
        let slack = slack::Server::start();
        let bot = slack.bot("agent");
        let general = slack.channel("general").invite(&bot);
        let tokens = [hub.user("agent").token(["repo"]), bot.token(SCOPES)];
        let world = World::empty();
        fs::create_dir(world.path("workspace")).unwrap();
        world.write("workflows/deploy.yaml", WORKFLOW);
        world.write("enact.toml", &configuration(&hub.url(), &slack.url(), 0));
        let branches = repo.branches();
        Self { world, db, proxy, hub, repo, slack, general, tokens, branches }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.world.command(&[args, &["--json"]].concat());
        command.env("GITHUB_TOKEN", &self.tokens[0]).env("SLACK_BOT_TOKEN", &self.tokens[1]);
        command.env("DATABASE_URL", self.proxy.url(&self.db));
        command
    }

    fn enact(&self, args: &[&str]) -> Gave {
        // The proxy's tasks go on meanwhile.
        let gave: Gave = block_in_place(|| self.command(args).output()).unwrap().into();
        let shown = format!("{gave:?}");
        assert!(!self.tokens.iter().any(|token| shown.contains(token)), "a token is shown: {shown}");
        gave
    }

    fn begun(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn run(&self) -> String {
        let run = self.enact(&["run", "deploy", ME[0], ME[1]]).exits(0).json();
        run["run_id"].as_str().unwrap().to_owned()
    }

    /// The only run of the log, if it came to be.
    fn the_run(&self) -> Option<(String, String)> {
        let runs = self.enact(&["runs"]).exits(0).json();
        let run = runs["runs"].as_array().unwrap().first()?;
        Some((run["run_id"].as_str()?.to_owned(), run["status"].as_str()?.to_owned()))
    }

    async fn ledgers(&self) -> Ledgers {
        let client = self.db.client().await;
        let rows = client.query("SELECT did FROM ledger ORDER BY number", &[]).await.unwrap();
        let github = self.hub.effects().into_iter().map(|effect| {
            let what = format!("{:?}", effect.what);
            what.split([' ', '(']).next().unwrap().to_owned()
        });
        let slack = self.slack.effects().into_iter().map(|effect| effect.what);
        Ledgers {
            rows: rows.iter().map(|row| row.get(0)).collect(),
            github: github.collect(),
            slack: slack.collect(),
        }
    }

    /// Everything that the run does is there, once.
    async fn assert_whole(&self, at: &str) {
        assert_eq!(self.world.workspace(), ["notes", "notes/deploy.md"], "{at}");
        assert_eq!(self.world.read("workspace/notes/deploy.md"), "going out");
        assert_eq!(self.ledgers().await, Ledgers::expected(false), "{at}");
        assert_eq!(self.general.messages().len(), 1, "{at}");
        let pulls = self.repo.pulls();
        assert!(pulls.len() == 1 && pulls[0].issue.open, "{at}: {pulls:?}");
    }

    /// All four worlds are as before.
    async fn assert_as_before(&self, at: &str) {
        assert!(self.world.workspace().is_empty(), "{at}: {:?}", self.world.workspace());
        let client = self.db.client().await;
        let rows = client.query("SELECT id FROM deployments", &[]).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.get::<_, i32>(0)).collect::<Vec<_>>(), [1], "{at}");
        assert_eq!(self.repo.branches(), self.branches, "{at}");
        assert!(self.repo.pulls().iter().all(|pull| !pull.issue.open), "{at}");
        assert_eq!(self.general.messages(), [], "{at}");
    }

    /// Whatever was left by a crash on the way forward: it is carried on to its end, and undone.
    async fn finish(&self, at: &str) {
        let Some((run, _)) = self.the_run() else { return self.assert_as_before(at).await };
        let resumed = self.enact(&["resume", &run]);
        assert_eq!(resumed.exit, 0, "{at}: {resumed:?}");
        self.assert_whole(at).await;
        self.roll_back(&run, at).await;
    }

    /// Whatever was left by a crash on the way back: it is resumed, and is undone.
    async fn finish_back(&self, run: &str, at: &str) {
        let (_, status) = self.the_run().unwrap();
        if status == "rolling_back" {
            // Exit 4: it was resumed, and did not complete.
            let resumed = self.enact(&["resume", run]);
            assert_eq!(resumed.exit, 4, "{at}: {resumed:?}");
        }
        self.roll_back(run, at).await;
    }

    async fn roll_back(&self, run: &str, at: &str) {
        let gave = self.enact(&["rollback", run]);
        assert_eq!(gave.exit, 0, "{at}: {gave:?}");
        assert_eq!(gave.json()["status"], "rolled_back", "{at}");
        self.assert_as_before(at).await;
        assert_eq!(self.ledgers().await, Ledgers::expected(true), "{at}");
    }
}

/// Without a settle window, an effect that is not to be seen counts as absent at once.
fn configuration(github: &str, slack: &str, settle_window_s: u32) -> String {
    format!(
        r#"
[store]
path = "data"
[workflows]
dir = "workflows"
[connectors.files]
kind = "filesystem"
root = "workspace"
allowed_actions = ["write_file"]
[connectors.db]
kind = "postgres"
url_env = "DATABASE_URL"
allowed_actions = ["insert_row"]
[connectors.github]
kind = "github"
token_env = "GITHUB_TOKEN"
base_url = "{github}"
settle_window_s = {settle_window_s}
allowed_actions = ["create_branch", "create_pr"]
[connectors.slack]
kind = "slack"
token_env = "SLACK_BOT_TOKEN"
base_url = "{slack}"
settle_window_s = {settle_window_s}
allowed_actions = ["post_message"]
"#
    )
}

/// Where the process is killed.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Point {
    /// At the so-manieth request of a method to GitHub; before it happens, or when it has happened.
    GitHub(String, usize, bool),
    /// At the so-manieth request to Slack; before it happens, or when it has happened.
    Slack(usize, bool),
    /// At COMMIT; before it happens, or when it has happened.
    Commit(bool),
}

/// How many requests have come: of each method to GitHub, and to Slack which change something.
#[derive(Clone, Default, Debug)]
struct Seen {
    github: BTreeMap<String, usize>,
    slack: Vec<String>,
}

impl Seen {
    fn of(four: &Four) -> Self {
        let mut github = BTreeMap::new();
        for request in four.hub.requests() {
            *github.entry(request.method).or_default() += 1;
        }
        Self { github, slack: four.slack.requests().into_iter().map(|request| request.method).collect() }
    }

    /// The points of what came after `before`; of what only looks, its answer makes no difference.
    fn points(&self, before: &Self) -> Vec<Point> {
        let mut points = vec![Point::Commit(false), Point::Commit(true)];
        for (method, count) in &self.github {
            let done = before.github.get(method).copied().unwrap_or(0);
            for nth in 1..=count - done {
                points.push(Point::GitHub(method.clone(), nth, false));
                if method != "GET" {
                    points.push(Point::GitHub(method.clone(), nth, true));
                }
            }
        }
        for (nth, method) in (1..).zip(&self.slack[before.slack.len()..]) {
            points.push(Point::Slack(nth, false));
            if method.starts_with("chat.") {
                points.push(Point::Slack(nth, true));
            }
        }
        points
    }
}

/// Kills a command at a point.
async fn kill_at(four: &Four, point: &Point, args: &[&str]) {
    let kill = |mut child: Child| {
        child.kill().unwrap();
        child.wait().unwrap();
    };
    let late = |_| panic!("{point:?} of {args:?} is not reached");
    match point {
        Point::GitHub(method, nth, is_done) => {
            let fault = if *is_done { github::Fault::hang_after } else { github::Fault::hang_before };
            let armed = four.hub.fault(fault(method, "**").nth(*nth));
            let child = four.begun(args);
            tokio::time::timeout(PATIENCE, armed.reached()).await.unwrap_or_else(late);
            kill(child);
        }
        Point::Slack(nth, is_done) => {
            let fault = if *is_done { slack::Fault::hang_after } else { slack::Fault::hang_before };
            let armed = four.slack.fault(fault("*").nth(*nth));
            let child = four.begun(args);
            tokio::time::timeout(PATIENCE, armed.reached()).await.unwrap_or_else(late);
            kill(child);
        }
        Point::Commit(is_done) => {
            let held = if *is_done { four.proxy.delay_reply(COMMIT) } else { four.proxy.hold(COMMIT) };
            let child = four.begun(args);
            tokio::time::timeout(PATIENCE, held.reached()).await.unwrap_or_else(late);
            kill(child);
            held.cut();
        }
    }
}

/// Both ways at a point, each in worlds of its own.
async fn forward(point: Point) {
    let four = Four::new().await;
    kill_at(&four, &point, &["run", "deploy", ME[0], ME[1]]).await;
    four.finish(&format!("forward {point:?}")).await;
}

async fn back(point: Point) {
    let four = Four::new().await;
    let run = four.run();
    kill_at(&four, &point, &["rollback", &run]).await;
    four.finish_back(&run, &format!("back {point:?}")).await;
}

/// At a point of Slack's, with a settle window as in a real configuration.
async fn forward_with_a_window(point: Point) {
    let four = Four::new().await;
    four.world.write("enact.toml", &configuration(&four.hub.url(), &four.slack.url(), 2));
    kill_at(&four, &point, &["run", "deploy", ME[0], ME[1]]).await;
    four.finish(&format!("forward with a window {point:?}")).await;
}

/// For a thread that may block.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    Handle::current().block_on(future)
}

/// Kills a command at its calls of the system.
fn sweep(rolls_back: bool) -> usize {
    let there = RefCell::new(None);
    let swept = Sweep::default().stride(STRIDE).run(
        |_| {
            let four = block_on(Four::new());
            // The store's own first files, of which there are many, are no part of it.
            four.enact(&["resume"]).exits(0);
            let run = rolls_back.then(|| four.run());
            let command = match &run {
                Some(run) => four.command(&["rollback", run]),
                None => four.command(&["run", "deploy", ME[0], ME[1]]),
            };
            *there.borrow_mut() = Some((four, run));
            command
        },
        |_, point| {
            let taken = there.borrow_mut().take();
            let (four, run) = taken.unwrap();
            let at = point.to_string();
            match run {
                Some(run) => block_on(four.finish_back(&run, &at)),
                None => block_on(four.finish(&at)),
            }
        },
    );
    swept.unwrap().points.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 12)]
async fn a_workflow_over_four_connectors_survives_a_kill_at_every_point_and_rolls_back_whole() {
    // Left alone, it does what it says; that also tells which requests there are.
    let four = Four::new().await;
    let run = four.run();
    four.assert_whole("left alone").await;
    let there = Seen::of(&four);
    four.roll_back(&run, "left alone").await;
    let and_back = Seen::of(&four);
    let (out, home) = (there.points(&Seen::default()), and_back.points(&there));
    assert!(out.len() > 15 && home.len() > 8, "{out:?} {home:?}");

    let (places, mut tasks) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
    for rolls_back in [false, true] {
        let places = Arc::clone(&places);
        let sweep = move || {
            let place = block_on(places.acquire_owned());
            let kills = sweep(rolls_back);
            drop(place);
            assert!(kills >= KILLS, "{kills} kills");
        };
        tasks.spawn_blocking(sweep);
    }
    let posts = there.slack.iter().position(|method| method == "chat.postMessage").unwrap() + 1;
    for point in [Point::Slack(posts, false), Point::Slack(posts, true)] {
        let places = Arc::clone(&places);
        tasks.spawn(async move {
            let place = places.acquire_owned().await;
            forward_with_a_window(point).await;
            drop(place);
        });
    }
    for (point, is_out) in
        out.into_iter().map(|point| (point, true)).chain(home.into_iter().map(|p| (p, false)))
    {
        let places = Arc::clone(&places);
        tasks.spawn(async move {
            let place = places.acquire_owned().await;
            if is_out {
                forward(point).await
            } else {
                back(point).await
            }
            drop(place);
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
}
