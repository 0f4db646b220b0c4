//! What tests of your own workflows and connectors stand on. (Feature `testing`; for `[dev-dependencies]`.)
//!
//! # A world and a store in memory
//!
//! [`world::World`] is a connector with a ledger of its own and the faults that real systems have; [`MemoryStore`]
//! keeps the promises of the durable store, and loses at a [`crash`](MemoryStore::crash) exactly what was not
//! durable.
//!
//! ```
//! use std::sync::Arc;
//! use enact::prelude::*;
//! use enact::testing::world::{Fault, Put, World};
//!
//! struct Greet;
//!
//! impl Workflow for Greet {
//!     const NAME: &'static str = "greet";
//!     const VERSION: u32 = 1;
//!     type Input = ();
//!     type Output = ();
//!
//!     async fn run(&self, cx: &WorkflowCx, (): ()) -> Result<(), Error> {
//!         cx.connector::<World>("world")?.act(Put::new("greeting", "hello")).await.map(drop)
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let world = World::new();
//! world.faults("put", [Fault::LoseReply]); // the effect happens, and its reply is lost
//! let enact = Enact::builder()
//!     .store(Arc::new(MemoryStore::new()))
//!     .connector("world", world.clone().allow(["put"])?)
//!     .workflow(Greet)
//!     .start()
//!     .await?;
//!
//! let run = enact.run(Greet, "agent@company.com", ()).await?;
//! assert_eq!(run.status(), RunStatus::Completed);
//! assert_eq!(world.ledger().len(), 1); // it was looked up, and not done again
//! # Ok(())
//! # }
//! ```
//!
//! # What every connector must do
//!
//! [`connector_suite::check`] carries an action out in every way in which the runtime may: captured and dropped,
//! performed, probed, undone, undone twice, changed by others in between.
//!
//! ```
//! use enact::connector::{Allow as _, Toolbox};
//! use enact::testing::connector_suite::{Case, World, check};
//! use enact::testing::world;
//! use serde_json::json;
//!
//! /// The connector under test, and how its outside looks. (A case of your own has your connector here.)
//! struct Outside(world::World);
//!
//! impl World for Outside {
//!     fn toolbox(&self) -> Toolbox {
//!         self.0.clone().allow(["put"]).expect("the connector has the action")
//!     }
//!
//!     async fn observe(&self) -> String {
//!         format!("{:?}", self.0.values())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let case = Case::new("put", json!({ "key": "greeting", "value": "hello" }))
//!     .requires(["key", "value"])
//!     .disturbed_by(|outside: &Outside| outside.0.set("greeting", "somebody else's"));
//! check(&case, async || Outside(world::World::new())).await;
//! # }
//! ```
//!
//! # A crash at every step
//!
//! [`crash_points::check`] ends your workflow at each step of each action and after each event, takes it up again,
//! and undoes it. Every effect has to be there once, and the rollback has to leave nothing. The place can be
//! anything that you can make anew: a folder, a database, a world in memory. [`crash_points::check_twice`] ends the
//! recovery as well, at each of its steps.
//!
//! ```
//! use enact::Builder;
//! use enact::filesystem::{Filesystem, WriteFile};
//! use enact::prelude::*;
//! use enact::testing::crash_points::{self, Place};
//!
//! struct Note;
//!
//! impl Workflow for Note {
//!     const NAME: &'static str = "note";
//!     const VERSION: u32 = 1;
//!     type Input = ();
//!     type Output = ();
//!
//!     async fn run(&self, cx: &WorkflowCx, (): ()) -> Result<(), Error> {
//!         cx.connector::<Filesystem>("files")?.act(WriteFile::new("note.md", "hello\n")).await.map(drop)
//!     }
//! }
//!
//! struct Folder(tempfile::TempDir);
//!
//! impl Place for Folder {
//!     fn runtime(&self) -> Builder {
//!         let files = Filesystem::new(self.0.path()).and_then(|files| files.allow(["write_file"]));
//!         Enact::builder().connector("files", files.expect("the folder is there")).workflow(Note)
//!     }
//!
//!     async fn observe(&self) -> String {
//!         std::fs::read_to_string(self.0.path().join("note.md")).unwrap_or_default()
//!     }
//! }
//!
//! # fn main() -> Result<(), Error> {
//! let request = RunRequest::of(Note, "agent@company.com", &())?;
//! let moments = crash_points::check(&request, || Folder(tempfile::tempdir().expect("a scratch folder")));
//! assert!(moments > 10);
//! # Ok(())
//! # }
//! ```
//!
//! # Recorded runs still replay
//!
//! A run is resumed by running its workflow's code again, so the code may not ask for other things while runs of it
//! are open. Keep a history in your repository (`enact events RUN --whole > tests/histories/note.jsonl`, or
//! [`History::to_json_lines`]), and let [`replays`] say whether today's code matches it. Nothing is performed. A history
//! holds what the log holds, users and parameters too: record it with invented ones.
//!
//! ```
//! use std::sync::Arc;
//! use enact::prelude::*;
//! use enact::testing::world::{Put, World};
//! use enact::testing::{History, Replay, replays};
//!
//! struct Greet {
//!     text: &'static str,
//! }
//!
//! impl Workflow for Greet {
//!     const NAME: &'static str = "greet";
//!     const VERSION: u32 = 1;
//!     type Input = ();
//!     type Output = ();
//!
//!     async fn run(&self, cx: &WorkflowCx, (): ()) -> Result<(), Error> {
//!         cx.connector::<World>("world")?.act(Put::new("greeting", self.text)).await.map(drop)
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! # let store = MemoryStore::new();
//! # let enact = Enact::builder()
//! #     .store(Arc::new(store.clone()))
//! #     .connector("world", World::new().allow(["put"])?)
//! #     .workflow(Greet { text: "hello" })
//! #     .start()
//! #     .await?;
//! # enact.run(Greet { text: "hello" }, "agent@company.com", ()).await?;
//! # let kept = History::of_store(&store).await?.to_json_lines()?;
//! let history = History::parse(&kept)?; // or History::read("tests/histories/greet.jsonl")?
//! replays(&history, &Replay::of(Greet { text: "hello" }))?;
//!
//! let changed = replays(&history, &Replay::of(Greet { text: "good day" })).unwrap_err();
//! assert!(changed.message().contains("does not match its history at call 1"));
//! # Ok(())
//! # }
//! ```

pub use enact_runtime::{Divergence, RecordedRun, Replay};
pub use enact_store::{MemoryBlobs, MemoryStore};
pub use enact_testkit::replay::{History, replays};
pub use enact_testkit::{connector_suite, crash_points, world};
