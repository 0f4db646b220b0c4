//! A connector of one's own (`register.rs`, under 100 lines), used by a workflow and rolled back, with somebody else's
//! change in between. Run it with `cargo run -p enact --example own_connector`.

mod register;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use enact::prelude::*;

use register::{Register, Swap};

struct Release;

impl Workflow for Release {
    const NAME: &'static str = "release";
    const VERSION: u32 = 1;
    type Input = String;
    type Output = ();

    async fn run(&self, cx: &WorkflowCx, version: String) -> Result<(), Error> {
        let register = cx.connector::<Register>("register")?;
        let swap = |key: &str, from: Option<&str>, to: &str| Swap {
            key: key.to_owned(),
            from: from.map(str::to_owned),
            to: Some(to.to_owned()),
        };
        register.act(swap("version", Some("1"), &version)).await?;
        register.act(swap("banner", None, "new!")).await
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let register = Register::default();
    register.0.lock().0.insert("version".to_owned(), "1".to_owned());
    let enact = Enact::builder()
        .store(Arc::new(MemoryStore::new()))
        .connector("register", register.clone().allow(["swap"])?)
        .workflow(Release)
        .start()
        .await?;

    let run = enact.run(Release, "agent@company.com", "2".to_owned()).await?;
    println!("the run {}: {:?}", run.status(), register.0.lock().0);

    register.0.lock().0.insert("banner".to_owned(), "somebody else's".to_owned());
    let run = enact.rollback(run.id, RollbackOptions::by("me@company.com")).await?;
    println!("the rollback {}: {:?}", run.status(), register.0.lock().0);
    for (seq, outcome, error) in run.state().undo_outcomes() {
        println!(
            "  action {seq}: {} {}",
            outcome.as_str(),
            error.map(ToString::to_string).unwrap_or_default()
        );
    }
    assert_eq!(run.status(), RunStatus::PartiallyRolledBack);

    let run = enact.rollback(run.id, RollbackOptions::by("me@company.com").force(true)).await?;
    println!("the rollback by force {}: {:?}", run.status(), register.0.lock().0);
    assert_eq!(run.status(), RunStatus::RolledBack);
    assert_eq!(register.0.lock().0, HashMap::from([("version".to_owned(), "1".to_owned())]));
    enact.shutdown(Duration::from_secs(5)).await;
    Ok(())
}
