//! A process that is killed between an effect and its record, and another that takes its run up: the effect is
//! looked up, not made again. Run it with `cargo run -p enact --example crash_and_resume`.
//!
//! The example starts itself as a child, kills the child with SIGKILL, and resumes the run from the log on the disk.

use std::error::Error as StdError;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs, thread};

use enact::event::Event;
use enact::filesystem::{Filesystem, WriteFile};
use enact::ids::{EventSeq, Seq};
use enact::prelude::*;
use enact::{Observer, Stage, Step};

const FILES: [&str; 3] = ["one.txt", "two.txt", "three.txt"];

struct WriteAll;

impl Workflow for WriteAll {
    const NAME: &'static str = "write-all";
    const VERSION: u32 = 1;
    type Input = ();
    type Output = ();

    async fn run(&self, cx: &WorkflowCx, (): ()) -> Result<(), Error> {
        let files = cx.connector::<Filesystem>("files")?;
        for name in FILES {
            files.act(WriteFile::new(name, "written by the run\n")).await?;
        }
        Ok(())
    }
}

/// Stops where the second effect is on the disk and the log does not know it, until the process is killed.
struct StopsThere;

impl Observer for StopsThere {
    fn on_step(&self, step: &Step<'_>) {
        if step.stage == Stage::Performed && step.effect.seq == Seq(2) {
            println!("the second file is written, and that is not recorded");
            loop {
                thread::park();
            }
        }
    }
}

fn builder(at: &Path) -> Result<enact::Builder, Box<dyn StdError>> {
    let files = Filesystem::new(at.join("files"))?.allow(["write_file"])?;
    let store = SledStore::open(at.join("log"))?;
    Ok(Enact::builder().store(Arc::new(store)).connector("files", files).workflow(WriteAll))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    if let Some(at) = env::args_os().nth(1) {
        let enact = builder(Path::new(&at))?.observer(StopsThere).start().await?;
        enact.run(WriteAll, "agent@company.com", ()).await?;
        return Err("the child should have been killed".into());
    }
    let scratch = tempfile::tempdir()?;
    fs::create_dir(scratch.path().join("files"))?;

    let mut child = Command::new(env::current_exe()?).arg(scratch.path()).stdout(Stdio::piped()).spawn()?;
    let mut said = String::new();
    BufReader::new(child.stdout.take().ok_or("no pipe")?).read_line(&mut said)?;
    print!("the child: {said}");
    child.kill()?;
    println!("it was killed: signal {:?}", child.wait()?.signal());
    let second = scratch.path().join("files/two.txt");
    let inode = fs::metadata(&second)?.ino();

    // Starting recovers what a crash interrupted.
    let enact = builder(scratch.path())?.start().await?;
    let run = enact.store().runs(None, 1).await?.first().copied().ok_or("the log lost the run")?;
    let run = enact.wait(run).await?;
    println!("the run, resumed by another process, is {}", run.status());
    for event in enact.store().read(run.id, EventSeq(1), 100).await? {
        println!("  {} {}", event.event_seq, event.event.name());
        if let Event::ActionResolved(found) = &event.event {
            println!("    the probe of action {}: {:?}", found.seq, found.finding);
        }
    }
    assert_eq!(run.status(), RunStatus::Completed);
    assert_eq!(run.state().intents.len(), FILES.len(), "one intent for each file");
    assert_eq!(fs::metadata(&second)?.ino(), inode, "the second file was not written again");

    let run = enact.rollback(run.id, RollbackOptions::by("me@company.com")).await?;
    println!("the rollback is {}", run.status());
    assert_eq!(fs::read_dir(scratch.path().join("files"))?.count(), 0);
    enact.shutdown(Duration::from_secs(5)).await;
    Ok(())
}
