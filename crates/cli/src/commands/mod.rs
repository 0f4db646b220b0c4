//! One function for each command.

mod audit;
mod demo;
mod init;
mod keep;
mod look;
mod plan;
mod policy;
mod receipt;
mod runs;
mod start;

use std::path::Path;

use clap::CommandFactory;
use enact::error::{Error, ErrorCode};

use crate::args::{Audit, Cli, Command, Policy};
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::out::Out;

/// Carries a command out.
pub(crate) async fn carry_out(command: Command, config: Option<&Path>, out: Out) -> Result<Exit, Failure> {
    let load = || Config::load(config).map_err(Failure::from);
    match command {
        Command::Init { dir } => init::init(&dir, out),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "enact", &mut script);
            out.line(String::from_utf8_lossy(&script).trim_end());
            Ok(Exit::OK)
        }
        Command::Demo => demo::demo(out).await,
        Command::DemoChild { dir } => demo::child(&dir, out).await,
        Command::Run(start) => runs::run(&load()?, start, out).await,
        Command::Act { action, user, attributes, params } => {
            runs::act(&load()?, &action, (user, attributes), params, out).await
        }
        Command::Resume { run } => runs::resume(&load()?, run, out).await,
        Command::Rollback { run, to, force, by, reason } => {
            runs::rollback(&load()?, &run, (to, force, reason), by.name(), out).await
        }
        Command::Cancel { run, by } => runs::cancel(&load()?, &run, by.name(), out).await,
        Command::Resolve { run, seq, word, by } => {
            runs::resolve(&load()?, &run, seq, word, by.name(), out).await
        }
        Command::Approve { run, seq, by } => runs::approve(&load()?, &run, (seq, by.name()), out).await,
        Command::Deny { run, seq, by, reason } => {
            runs::deny(&load()?, &run, (seq, by.name()), reason, out).await
        }
        Command::Runs(asked) => look::runs(&load()?, asked, out).await,
        Command::Show { run } => look::show(&load()?, &run, out).await,
        Command::Events { run, from, follow, whole } => {
            look::events(&load()?, run, from, (follow, whole), out).await
        }
        Command::Replay { run, until } => look::replay(&load()?, &run, until, out).await,
        Command::Connectors => look::connectors(&load()?, out).await,
        Command::Erase { run, by } => keep::erase(&load()?, &run, &by.name(), out).await,
        Command::Store { command } => keep::store(command, load, out).await,
        Command::Plan(start) => plan::plan(&load()?, start, out).await,
        Command::Receipt { run, disclose } => receipt::give(&load()?, &run, disclose, out).await,
        Command::Audit { command: Audit::Verify { receipt: Some(file), public_key, .. } } => {
            receipt::verify(&file, public_key, load, out)
        }
        Command::Audit { command: Audit::Verify { checkpoint, receipt: None, public_key } } => {
            audit::verify(&load()?, &checkpoint, public_key.as_deref(), out).await
        }
        Command::Audit { command: Audit::Checkpoint } => audit::checkpoint(&load()?, out).await,
        Command::Audit { command: Audit::RotateKey { lost } } => audit::rotate_key(&load()?, lost, out).await,
        Command::Audit { command: Audit::Export(wanted) } => audit::export(&load()?, wanted, out).await,
        Command::Audit { command: Audit::Prune { before } } => keep::prune(&load()?, before, out).await,
        Command::Policy { command: Policy::Check } => policy::check(&load()?, out),
        Command::Policy { command: Policy::Test { file } } => policy::test(&load()?, &file, out),
        Command::Serve { .. } => not_yet("serve"),
        Command::Mcp => not_yet("mcp"),
    }
}

fn not_yet(name: &str) -> Result<Exit, Failure> {
    let message = format!("`enact {name}` is not supported by this build yet; nothing was done");
    Err(Error::new(ErrorCode::Unsupported, message).left_nothing().into())
}
