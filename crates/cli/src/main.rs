//! The `enact` command. See docs/cli.md.

mod args;
mod commands;
mod config;
mod failure;
mod key_file;
mod kinds;
mod master_key;
mod narrate;
mod out;
mod policies;
mod reach;
mod render;
mod session;
mod signals;
mod signing;
mod text;

use std::borrow::Cow;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use clap::error::{ContextValue, ErrorKind};
use enact::policies::redacted;
use tracing_subscriber::EnvFilter;

use crate::args::Cli;
use crate::failure::{Exit, Failure, usage};
use crate::out::{Log, Out, clean};

/// What is logged where `ENACT_LOG` does not say. What sled cannot write the store says in its own words.
const LOGGED: &str = "error,sled=off";

fn main() -> ExitCode {
    let exit = match Cli::try_parse() {
        Ok(cli) => carry_out(cli),
        Err(error) => wrong_usage(&error),
    };
    ExitCode::from(exit.0)
}

fn carry_out(cli: Cli) -> Exit {
    let out = Out::new(cli.json);
    log_to_stderr();
    tell_panics(out);
    let runtime =
        signals::hear().and_then(|()| tokio::runtime::Builder::new_multi_thread().enable_all().build());
    let result = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(commands::carry_out(cli.command, cli.config.as_deref(), out));
            // A call that hangs in the system is left behind, as safe as in a crash: what it does is looked up.
            runtime.shutdown_background();
            result
        }
        Err(error) => {
            let message = format!("the threads of the process do not start: {error}");
            Err(enact::error::Error::new(enact::error::ErrorCode::Internal, message).into())
        }
    };
    let exit = result.unwrap_or_else(|failure: Failure| {
        out.failure(&failure);
        failure.exit()
    });
    whole(exit, out)
}

/// An answer that could not be written was not given. What else went wrong weighs more.
fn whole(exit: Exit, out: Out) -> Exit {
    if exit == Exit::OK && !out.is_whole() { Exit::INTERNAL } else { exit }
}

/// Logs go to standard error: warnings, or what ENACT_LOG says (as RUST_LOG of env_logger).
fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("ENACT_LOG").unwrap_or_else(|_| EnvFilter::new(LOGGED));
    let colour = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| Log).with_ansi(colour);
    drop(log.try_init());
}

/// What a panic says may be of anything: where a secret is in it, the rest is told.
fn tell_panics(out: Out) {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let said = panic.to_string();
        if matches!(redacted(&said), Cow::Borrowed(_)) { usual(panic) } else { out.note(&said) }
    }));
}

/// Help and version are no mistakes; the rest is, and `--json` gets its document also then.
fn wrong_usage(error: &clap::Error) -> Exit {
    let asked_for = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    let json = std::env::args_os().any(|argument| argument == "--json");
    let out = Out::new(json);
    if json && !asked_for {
        let text = said(error).unwrap_or_else(|| error.render().to_string());
        let said = text.lines().take_while(|line| !line.starts_with("Usage:")).map(str::trim);
        let message = said.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
        out.failure(&usage(message.trim_start_matches("error: ")));
    } else if let Some(text) = said(error) {
        out.note(text.trim_end());
    } else if let Err(error) = error.print().and_then(|()| std::io::stdout().flush()) {
        out.unwritten(&error);
    }
    whole(if asked_for { Exit::OK } else { Exit::USAGE }, out)
}

/// What it says, where it repeats something that would not stay in its line.
fn said(error: &clap::Error) -> Option<String> {
    let given = error.context().filter_map(|(_, value)| match value {
        ContextValue::String(given) if clean(given) != *given => Some(given),
        _ => None,
    });
    given.fold(None, |text, given| {
        let text = text.unwrap_or_else(|| error.render().to_string());
        Some(text.replace(given, &clean(given)))
    })
}
