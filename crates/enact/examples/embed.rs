//! A workflow on real files: it writes, overwrites and deletes, is refused what its allowlist does not name, and
//! is rolled back. Run it with `cargo run -p enact --example embed`.

use std::sync::Arc;

use enact::filesystem::{DeleteFile, Filesystem, ReadFile, WriteFile};
use enact::prelude::*;

struct Tidy;

impl Workflow for Tidy {
    const NAME: &'static str = "tidy";
    const VERSION: u32 = 1;
    type Input = String;
    type Output = String;

    async fn run(&self, cx: &WorkflowCx, text: String) -> Result<String, Error> {
        let files = cx.connector::<Filesystem>("files")?;
        files.act(WriteFile::new("notes/today.md", text)).await?;
        files.act(WriteFile::new("README", "tidied\n")).await?;
        files.act(DeleteFile::new("old.txt")).await?;
        Ok(files.act(ReadFile::new("notes/today.md")).await?.content)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let scratch = tempfile::tempdir()?;
    let root = &scratch.path().join("workspace");
    std::fs::create_dir(root)?;
    std::fs::write(root.join("README"), "as it was\n")?;
    std::fs::write(root.join("old.txt"), "old\n")?;

    let toolbox = Filesystem::new(root)?.allow(["read_file", "write_file", "delete_file"])?;
    let enact = Enact::builder()
        .store(Arc::new(SledStore::open(scratch.path().join("log"))?))
        .connector("files", toolbox)
        .workflow(Tidy)
        .start()
        .await?;

    let run = enact.run(Tidy, "agent@company.com", "hello\n".to_owned()).await?;
    println!("the run {}: {}", run.status(), run.output::<String>()?.trim());

    let request =
        RunRequest::act("files", "list_dir", enact::json::JsonText::parse("{}")?, "agent@company.com");
    let refused = enact.run_to_end(request).await?;
    let why = refused.state().error.as_ref().map(ToString::to_string).unwrap_or_default();
    println!("a listing {}: {why}", refused.status());

    let run = enact.rollback(run.id, RollbackOptions::by("me@company.com")).await?;
    println!("the rollback {}", run.status());
    for (seq, outcome, _) in run.state().undo_outcomes() {
        println!("  action {seq}: {}", outcome.as_str());
    }
    let back = std::fs::read_to_string(root.join("README"))? == "as it was\n"
        && std::fs::read_to_string(root.join("old.txt"))? == "old\n"
        && !root.join("notes").exists();
    enact.shutdown(std::time::Duration::from_secs(5)).await;
    if back { Ok(()) } else { Err("the folder is not what it was".into()) }
}
