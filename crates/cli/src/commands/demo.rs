//! `enact demo`: a run, a refusal, a crash and its recovery, rollbacks, and a verified log, on a scratch folder.

mod folder;

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use enact::document::RunDocument;
use enact::error::{Error, ErrorCode};
use enact::ids::{Direction, RunId, Seq};
use enact::json::JsonText;
use enact::run::RunStatus;
use enact::runtime::history;
use enact::yaml::Folder;
use enact::{Enact, Observer, RollbackOptions, Run, RunRequest, Stage, Step};
use serde_json::{Value, json};

use self::folder::Snapshot;
use crate::config::{self, Config};
use crate::failure::{Exit, Failure};
use crate::narrate::Progress;
use crate::out::{Out, Tone};
use crate::policies;
use crate::render::tone;
use crate::session::{Session, Unsigned, look};

const USER: &str = "agent@example.com";
const PERSON: &str = "you@example.com";
/// What the child says when the effect is made and its record is not.
const PARKED: &str = "parked";
/// The action of the second run in which the child stops.
const PARKED_AT: Seq = Seq(2);

/// Shows the whole thing. The exit code is 0 only where everything that it says held.
pub(crate) async fn demo(out: Out) -> Result<Exit, Failure> {
    let dir = folder::create().map_err(|error| setup(&error))?;
    let demo = Demo { out, workspace: dir.join("workspace"), dir };
    demo.show().await
}

/// The second run, in a process of its own: stops for ever between an effect and its record.
pub(crate) async fn child(dir: &Path, out: Out) -> Result<Exit, Failure> {
    let config = Config::load(Some(&dir.join(config::FILE)))?;
    let session = start(&config, Some(Parks)).await?;
    let work = async |enact: &Enact| enact.run_to_end(request(&config, "publish")?).await;
    Ok(session.carry(out, work, |_| Exit::OK).await)
}

/// A session with every connector and policy of the demo.
async fn start(config: &Config, watch: Option<impl Observer>) -> Result<Session, Failure> {
    let connectors = config.connectors()?;
    let policies = policies::for_runtime(config, &connectors)?;
    Session::start(config, connectors, policies, watch, Unsigned::Refused).await
}

/// Stops the process's run after the effect of [`PARKED_AT`] and before its record.
struct Parks;

impl Observer for Parks {
    fn on_step(&self, step: &Step<'_>) {
        let is_forward = step.effect.direction == Direction::Forward;
        if step.stage == Stage::Performed && is_forward && step.effect.seq == PARKED_AT {
            println!("{PARKED} {}", step.effect.run);
            drop(io::stdout().flush());
            loop {
                std::thread::park();
            }
        }
    }
}

fn request(config: &Config, workflow: &str) -> Result<RunRequest, Error> {
    let dir = config.workflows().unwrap_or_default();
    Ok(RunRequest::new(&*Folder::open(dir)?.find(workflow)?, USER, JsonText::null()))
}

fn setup(error: &io::Error) -> Failure {
    Error::new(ErrorCode::Internal, format!("the demo's folder cannot be made or read: {error}")).into()
}

struct Demo {
    out: Out,
    dir: PathBuf,
    workspace: PathBuf,
}

impl Demo {
    async fn show(&self) -> Result<Exit, Failure> {
        let config = Config::load(Some(&self.dir.join(config::FILE)))?;
        self.say(
            &self.out.paint(Tone::Strong, "enact: an agent gets hands, and every move can be taken back"),
        );

        self.title(1, "The folder that the agent will work in");
        let before = Snapshot::of(&self.workspace).map_err(|error| setup(&error))?;
        self.say(&format!("   {}", self.workspace.display()));
        before.lines().for_each(|line| self.say(&format!("     {line}")));

        self.title(2, "A workflow of seven actions, each recorded before it is done");
        let session = self.session(&config).await?;
        let tidied = session.enact.run_to_end(request(&config, "tidy")?).await?;
        self.status("the run is", &tidied);

        self.title(3, "The agent wants to delete a secret; the allowlist of 'vault' has only list_dir");
        let params = JsonText::parse(r#"{"path": "secret.txt"}"#)?;
        let refused = session.enact.run_to_end(RunRequest::act("vault", "delete_file", params, USER)).await?;
        self.status("the run is", &refused);
        let is_safe = self.dir.join("vault/secret.txt").exists();
        session.stop(std::time::Duration::from_secs(5)).await?;

        self.title(4, "A second run, in a process that is killed between an effect and its record");
        let (killed, pid) = self.crash()?;
        let seen = self.seen_after_crash(&config, killed).await?;

        self.title(5, "After the crash: the log knows what was intended, so enact looks instead of guessing");
        let session = self.session(&config).await?;
        let resumed = session.enact.resume(killed, PERSON).await?;
        self.status("the run is", &resumed);

        self.title(6, "Both runs are undone, the newest first; an undo is recorded like any action");
        let mut undone = Vec::new();
        for run in [resumed.id, tidied.id] {
            let run = session.enact.rollback(run, RollbackOptions::by(PERSON)).await?;
            self.status(&format!("the run '{}' is", run.state().accepted.workflow), &run);
            undone.push(run);
        }

        self.title(7, "The folder, compared byte for byte with what it was");
        let after = Snapshot::of(&self.workspace).map_err(|error| setup(&error))?;
        let differences = before.differences(&after);
        for difference in &differences {
            self.say(&format!("   {}", self.out.paint(Tone::Bad, difference)));
        }
        if differences.is_empty() {
            let said = "the same: contents, modes and times of files, and directories";
            self.say(&format!("   {} {said}", self.out.paint(Tone::Good, "✓")));
        }
        let verified = session.store.verify()?;
        let said = format!("the log is whole: {} events, every hash checked", verified.events);
        self.say(&format!("   {} {said}", self.out.paint(Tone::Good, "✓")));
        session.stop(std::time::Duration::from_secs(5)).await?;

        let held = [
            tidied.status() == RunStatus::Completed,
            refused.status() == RunStatus::Blocked && is_safe,
            seen,
            resumed.status() == RunStatus::Completed && was_found(&resumed),
            undone.iter().all(|run| run.status() == RunStatus::RolledBack),
            differences.is_empty(),
        ];
        self.end(&held, pid, &[tidied, refused, resumed], &undone, &differences);
        Ok(if held.iter().all(|held| *held) { Exit::OK } else { Exit::FAILED })
    }

    async fn session(&self, config: &Config) -> Result<Session, Failure> {
        let watch = (!self.out.json).then(|| Progress::new(self.out, true));
        start(config, watch).await
    }

    /// Starts the second run in a process of its own and kills it. Gives the run and the process's number.
    fn crash(&self) -> Result<(RunId, u32), Failure> {
        let failed =
            |error: io::Error| Error::new(ErrorCode::Internal, format!("the demo's second process: {error}"));
        let program = std::env::current_exe().map_err(failed)?;
        let mut child = Command::new(program)
            .arg("demo-child")
            .arg(&self.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let pid = child.id();
        let mut said = String::new();
        let read = child.stdout.take().map(|stdout| BufReader::new(stdout).read_line(&mut said));
        // SIGKILL: the process gets no chance to write or tidy anything.
        let killed = child.kill().and_then(|()| child.wait());
        read.transpose().map_err(failed)?;
        killed.map_err(failed)?;
        let run = said.trim().strip_prefix(PARKED).map(str::trim).unwrap_or_default().parse()?;
        self.say(&format!("   process {pid} is killed with SIGKILL, right after it wrote README.md"));
        Ok((run, pid))
    }

    /// Whether the effect is there and the log does not know of it.
    async fn seen_after_crash(&self, config: &Config, run: RunId) -> Result<bool, Failure> {
        let readme = fs::read_to_string(self.workspace.join("README.md")).map_err(|error| setup(&error))?;
        let store = look(config)?;
        let state = history::load(&*store, run).await?;
        let action = state.as_ref().and_then(|state| state.actions.get(&PARKED_AT));
        let is_open = action.is_some_and(|action| action.end.is_none());
        let said = if is_open { "its intent, and no outcome" } else { "an outcome, against expectation" };
        self.say(&format!("   on the disk: README.md says {:?}", readme.trim()));
        let actions = state.iter().flat_map(|state| &state.actions);
        for (seq, ended) in actions.filter(|(_, action)| action.end.is_some()) {
            let target = ended.call.target.as_ref().map(ToString::to_string).unwrap_or_default();
            self.say(&format!("   in the log:  action {seq}, {target}: done"));
        }
        self.say(&format!("   in the log:  action {PARKED_AT}: {said}"));
        drop(store);
        Ok(is_open && readme == "Published.\n")
    }

    fn end(&self, held: &[bool], pid: u32, runs: &[Run], undone: &[Run], differences: &[String]) {
        let all_held = held.iter().all(|held| *held);
        if self.out.json {
            let documents = |runs: &[Run]| runs.iter().map(Run::document).collect::<Vec<RunDocument>>();
            let document: Value = json!({
                "held": all_held,
                "folder": self.dir,
                "killed_process": pid,
                "runs": documents(runs),
                "rolled_back": documents(undone),
                "differences": differences,
            });
            return self.out.document(&document);
        }
        let config = self.dir.join(config::FILE);
        self.say("");
        if !all_held {
            self.say(&self.out.paint(Tone::Bad, "something above is not as it should be; please report it"));
        }
        self.say("Look further:");
        self.say(&format!("   enact runs   --config {}", config.display()));
        self.say(&format!("   enact events --config {}", config.display()));
        self.say(&format!("What the demo made is in {}; remove it with", self.dir.display()));
        self.say(&format!("   rm -r {}", self.dir.display()));
        self.say("Start your own: enact init");
    }

    fn title(&self, number: u32, title: &str) {
        self.say("");
        self.say(&format!(
            "{} {}",
            self.out.paint(Tone::Strong, &format!("{number} ")),
            self.out.paint(Tone::Strong, title)
        ));
    }

    fn status(&self, before: &str, run: &Run) {
        let status = run.status();
        self.say(&format!("   {before} {}", self.out.paint(tone(status), status.as_str())));
    }

    fn say(&self, line: &str) {
        if !self.out.json {
            self.out.line(line);
        }
    }
}

/// Whether the effect that the crash left was found, and not made a second time.
fn was_found(run: &Run) -> bool {
    run.state().actions.get(&PARKED_AT).is_some_and(|action| action.attempts.len() == 1)
}
