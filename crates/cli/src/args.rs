//! The command line, as the public contract has it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use enact::event::Event;
use enact::time::Timestamp;

/// Lets an agent act on real systems through a middleman that limits it, records what happens, and can undo it.
#[derive(Debug, Parser)]
#[command(name = "enact", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// The configuration; else $ENACT_CONFIG, else ./enact.toml.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print one JSON document on standard output, and nothing else there.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a commented enact.toml, a sample workflow and a sample policy.
    Init {
        /// Where; made if it is not there.
        #[arg(default_value = ".")]
        dir: PathBuf,
    },
    /// Run a workflow and wait for its end.
    Run(Start),
    /// Run one action as a run of its own.
    Act {
        /// The action, such as files.write_file.
        #[arg(value_name = "CONNECTOR.ACTION")]
        action: String,
        /// On whose behalf.
        #[arg(long, value_name = "EMAIL", value_parser = person)]
        user: String,
        #[command(flatten)]
        attributes: Attributes,
        /// Its parameters: JSON, or @FILE.
        #[arg(long, value_name = "JSON|@FILE")]
        params: Option<String>,
    },
    /// Show what a workflow would do, and change nothing.
    Plan(Start),
    /// Finish every interrupted run, or one.
    Resume {
        /// The run, or the beginning of its id.
        run: Option<String>,
    },
    /// Undo a run, newest action first.
    Rollback {
        /// The run, or the beginning of its id.
        run: String,
        /// Keep the actions up to this number.
        #[arg(long, value_name = "SEQ")]
        to: Option<u64>,
        /// Overwrite what others changed since.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        by: By,
        /// Why.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// List runs, newest first.
    Runs(Runs),
    /// Show one run: its actions, verdicts, pre-states, reversals.
    Show {
        /// The run, or the beginning of its id.
        run: String,
    },
    /// Print recorded events, one JSON object a line.
    Events {
        /// Only those of this run.
        run: Option<String>,
        /// From this position of the log on.
        #[arg(long, value_name = "POS", default_value_t = 1)]
        from: u64,
        /// Wait for more.
        #[arg(long)]
        follow: bool,
        /// Show binary content as it was recorded, whatever its size; a history for tests needs it.
        #[arg(long)]
        whole: bool,
    },
    /// Rebuild a run's state as it was after one of its events.
    Replay {
        /// The run, or the beginning of its id.
        run: String,
        /// The number of the event within the run; the last one by default.
        #[arg(long, value_name = "EVENT_SEQ", value_parser = clap::value_parser!(u64).range(1..))]
        until: Option<u64>,
    },
    /// Stop a run; what it did is undone.
    Cancel {
        /// The run, or the beginning of its id.
        run: String,
        #[command(flatten)]
        by: By,
    },
    /// Erase the content of a run that has ended, for good: its key is destroyed. Hashes and proofs stay.
    Erase {
        /// The run, or the beginning of its id.
        run: String,
        #[command(flatten)]
        by: By,
    },
    /// Print a run's signed receipt, which proves what the run did to those who do not have the log.
    Receipt {
        /// The run, or the beginning of its id.
        run: String,
        /// With everything that the receipt has digests of: input, parameters, outputs, states before.
        #[arg(long)]
        disclose: bool,
    },
    /// Check or export the log.
    Audit {
        #[command(subcommand)]
        command: Audit,
    },
    /// Approve what waits for a person, and carry the run on.
    Approve {
        /// The run, or the beginning of its id.
        run: String,
        /// The action's number, where several wait.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        seq: Option<u64>,
        #[command(flatten)]
        by: By,
    },
    /// Deny what waits for a person, and carry the run on.
    Deny {
        /// The run, or the beginning of its id.
        run: String,
        /// The action's number, where several wait.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        seq: Option<u64>,
        #[command(flatten)]
        by: By,
        /// Why.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Say what became of an action that is in doubt or cannot be undone.
    Resolve {
        /// The run, or the beginning of its id.
        run: String,
        /// The action's number.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        seq: u64,
        /// What became of it.
        #[arg(long = "as", value_name = "WORD")]
        word: Word,
        #[command(flatten)]
        by: By,
    },
    /// List the configured connectors, their actions, which are allowed, and how each is undone.
    Connectors,
    /// Check or test policies.
    Policy {
        #[command(subcommand)]
        command: Policy,
    },
    /// Serve an HTTP API and a web console.
    Serve {
        /// Where to listen.
        #[arg(long, value_name = "ADDR")]
        listen: Option<String>,
    },
    /// Serve MCP on standard input and output.
    Mcp,
    /// Show the whole thing on a scratch folder.
    Demo,
    /// Keep the event store.
    Store {
        #[command(subcommand)]
        command: Store,
    },
    /// Print a script that completes commands in a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Part of the demo: runs until it is killed.
    #[command(hide = true)]
    DemoChild {
        /// The demo's folder.
        dir: PathBuf,
    },
}

/// What a run is started with.
#[derive(Debug, Args)]
pub(crate) struct Start {
    /// A name from the workflows folder, or a file, where it holds a '/' or ends in '.yaml'.
    pub(crate) workflow: String,
    /// On whose behalf.
    #[arg(long, value_name = "EMAIL", value_parser = person)]
    pub(crate) user: String,
    #[command(flatten)]
    pub(crate) attributes: Attributes,
    /// The input: JSON, or @FILE.
    #[arg(long, value_name = "JSON|@FILE")]
    pub(crate) payload: Option<String>,
    /// The same key never runs twice.
    #[arg(long, value_name = "IDEMPOTENCY_KEY")]
    pub(crate) key: Option<String>,
}

/// What is said of the user.
#[derive(Debug, Args)]
pub(crate) struct Attributes {
    /// What is said of the user; may be given several times, and is a list where the same K is.
    #[arg(long = "attr", value_name = "K=V")]
    pub(crate) given: Vec<String>,
}

/// Who asks.
#[derive(Debug, Args)]
pub(crate) struct By {
    /// Who asks; os:USER by default.
    #[arg(long = "by", value_name = "EMAIL", value_parser = person)]
    by: Option<String>,
}

impl By {
    /// Who asks.
    pub(crate) fn name(&self) -> String {
        self.by.clone().unwrap_or_else(os_user)
    }
}

/// A name of a person that reads as what it is.
fn person(name: &str) -> Result<String, String> {
    match enact::person::refuses(name) {
        None => Ok(name.to_owned()),
        Some(why) => Err(why),
    }
}

/// The user of the operating system, by name where the environment has one.
pub(crate) fn os_user() -> String {
    let named = ["USER", "LOGNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|name| enact::person::refuses(name).is_none()));
    let number = || format!("uid:{}", rustix::process::getuid().as_raw());
    format!("os:{}", named.unwrap_or_else(number))
}

/// An operator's word on an action.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Word {
    /// It did happen.
    Applied,
    /// It did not happen and will not.
    NotApplied,
    /// Leave it as it is, whatever that is.
    Abandon,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Check the whole log against its signatures.
    Verify {
        /// A checkpoint that was kept elsewhere than with the log; may be given several times.
        #[arg(long, value_name = "FILE", conflicts_with = "receipt")]
        checkpoint: Vec<PathBuf>,
        /// Check this receipt alone, without the log; `-` reads it from standard input.
        #[arg(long, value_name = "FILE")]
        receipt: Option<PathBuf>,
        /// The public keys to trust, one on each line; those beside the signing key by default.
        #[arg(long, value_name = "FILE")]
        public_key: Option<PathBuf>,
    },
    /// Sign the log as it is, and print the checkpoint: kept elsewhere, it shows later that nothing before it was changed.
    Checkpoint,
    /// Exchange the key that signs the log.
    RotateKey {
        /// The old key is lost and cannot sign that a new one follows it.
        #[arg(long)]
        lost: bool,
    },
    /// Export the log as JSON Lines; docs/export.md says in which form.
    Export(Export),
    /// Delete runs that ended before a time, to get disk space back; their hashes stay, and the log can still be proved.
    Prune {
        /// A date or a time of RFC 3339, such as 2026-01-31 or 2026-01-31T12:00:00Z; a date begins at midnight in UTC.
        #[arg(long, value_name = "TIME", value_parser = time)]
        before: Timestamp,
    },
}

/// Which runs are listed: those for which all that is asked for holds.
#[derive(Debug, Args)]
pub(crate) struct Runs {
    /// Only those with this status.
    #[arg(long, value_name = "STATUS")]
    pub(crate) status: Option<String>,
    /// Only those of this user.
    #[arg(long, value_name = "EMAIL")]
    pub(crate) user: Option<String>,
    /// Only those of this workflow.
    #[arg(long, value_name = "NAME")]
    pub(crate) workflow: Option<String>,
    /// Only those that asked this connector for something.
    #[arg(long, value_name = "NAME")]
    pub(crate) connector: Option<String>,
    /// Only those that asked for this action, such as write_file or files.write_file.
    #[arg(long, value_name = "ACTION")]
    pub(crate) action: Option<String>,
    /// Only those that asked for something on the target with this id, such as a path; with --connector and --action, by one action.
    #[arg(long, value_name = "ID")]
    pub(crate) target: Option<String>,
    /// Only those that were accepted at this time or later.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) since: Option<Timestamp>,
    /// Only those that were accepted before this time.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) until: Option<Timestamp>,
    /// Only those older than this run: where the list before ended.
    #[arg(long, value_name = "RUN")]
    pub(crate) before: Option<String>,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) limit: usize,
}

/// What of the log is exported. An event is exported where all that is asked for holds.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// From this position on.
    #[arg(long, value_name = "POS", default_value_t = 1)]
    pub(crate) from: u64,
    /// Only events of this run; may be given several times.
    #[arg(long, value_name = "RUN")]
    pub(crate) run: Vec<String>,
    /// Only events of runs of this user.
    #[arg(long, value_name = "EMAIL")]
    pub(crate) user: Option<String>,
    /// Only events of runs of this workflow.
    #[arg(long, value_name = "NAME")]
    pub(crate) workflow: Option<String>,
    /// Only events of this kind, such as RunAccepted; may be given several times.
    #[arg(long, value_name = "KIND", value_parser = kind)]
    pub(crate) kind: Vec<String>,
    /// Only events of this time or later.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) since: Option<Timestamp>,
    /// Only events from before this time.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) before: Option<Timestamp>,
    /// Exactly as it was recorded: also what looks like a secret, and binary content of any size.
    #[arg(long)]
    pub(crate) whole: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Validate policies against the actions' schema.
    Check,
    /// Run policy cases.
    Test {
        /// The cases.
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Store {
    /// Copy the store into a folder that is not there yet or empty.
    Backup {
        /// Where to.
        dir: PathBuf,
    },
    /// Check a backup and put it in place as a store.
    Restore {
        /// The backup.
        from: PathBuf,
        /// Where to; not there yet, or empty.
        to: PathBuf,
    },
    /// Read the whole store and check every hash in it.
    Verify,
    /// Exchange the master key that everything is encrypted under. The old one opens nothing here any more.
    RotateKey {
        /// The environment variable with the new key, where the key is in the environment: 64 hexadecimal digits.
        #[arg(long, value_name = "VARIABLE")]
        new_key_env: Option<String>,
    },
    /// Delete runs that ended long ago, to get disk space back; their hashes stay.
    Prune {
        /// Delete what is older than so many days.
        #[arg(long, value_name = "DAYS")]
        older_than: u64,
    },
}

/// A time, or the midnight in UTC with which a date begins.
fn time(text: &str) -> Result<Timestamp, String> {
    let is_date = text.len() == "2026-01-31".len();
    let at = if is_date { format!("{text}T00:00:00Z").parse() } else { text.parse() };
    at.map_err(|why: String| format!("write 2026-01-31T12:00:00Z, or a date such as 2026-01-31 ({why})"))
}

/// The name of a kind of event.
fn kind(text: &str) -> Result<String, String> {
    let mut kinds = Event::kinds();
    if kinds.any(|kind| kind == text) {
        return Ok(text.to_owned());
    }
    Err(format!("there is no such kind; there is: {}", Event::kinds().collect::<Vec<_>>().join(", ")))
}
