//! The store, and a runtime on it, for the time of one command.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use std::{fs, io};

use enact::connector::Toolbox;
use enact::error::Error;
use enact::event::Event;
use enact::ids::{EventSeq, RunId};
use enact::policy::Policy;
use enact::store::{EventStore, StoreError};
use enact::yaml::Loader;
use enact::{Enact, MemoryStore, Observer, Recovery, SledStore};

use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::master_key;
use crate::out::{Out, clean};
use crate::signals::Listener;

/// How long an interrupted command waits for what is under way.
const GRACE: Duration = Duration::from_millis(200);
/// How long a command that has its answer waits for runs that another one left.
const SETTLING: Duration = Duration::from_secs(10);

/// Opens the store to look into it. A store that was never made is empty, and stays unmade.
pub(crate) fn look(config: &Config) -> Result<Arc<dyn EventStore>, Failure> {
    let path = config.store();
    if is_made(&path)? { Ok(Arc::new(open_store(config)?)) } else { Ok(Arc::new(MemoryStore::new())) }
}

/// Whether there is something in the store's place. Only what the system says is not there was never made: a store that
/// cannot be reached, such as behind a link that leads nowhere, is not an empty one.
pub(crate) fn is_made(store: &Path) -> Result<bool, Failure> {
    let unreachable = |path: &Path, error: io::Error| {
        let on_the_way = if path == store { String::new() } else { format!(" by {}", path.display()) };
        Failure::from(StoreError::io(format!("reaching the store {}{on_the_way}", store.display()), error))
    };
    for path in store.ancestors() {
        match fs::symlink_metadata(path) {
            Ok(_) if path == store => return Ok(true),
            // What is above it leads somewhere, and the store is not there.
            Ok(_) => return fs::metadata(path).map(|_| false).map_err(|error| unreachable(path, error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unreachable(path, error)),
        }
    }
    Ok(false)
}

/// A runtime on the configured store.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) enact: Enact,
    pub(crate) store: Arc<SledStore>,
    begun: Begun,
}

/// The run that this command began, as soon as it has a place in the log.
#[derive(Clone, Debug, Default)]
struct Begun(Arc<OnceLock<RunId>>);

impl Observer for Begun {
    fn on_event(&self, run: RunId, _: EventSeq, event: &Event) {
        if matches!(event, Event::RunAccepted(_)) {
            self.0.get_or_init(|| run);
        }
    }
}

impl Session {
    /// Opens the store, and starts a runtime with these connectors and policies that waits to be told which runs to carry on.
    pub(crate) async fn start(
        config: &Config,
        connectors: BTreeMap<String, Toolbox>,
        policies: Vec<Arc<dyn Policy>>,
        watch: Option<impl Observer>,
    ) -> Result<Self, Failure> {
        let store = Arc::new(open_store(config)?);
        let begun = Begun::default();
        let mut builder = Enact::builder()
            .store(Arc::clone(&store) as Arc<dyn EventStore>)
            .declarative(Loader::default())
            .policies(policies)
            .observer(begun.clone())
            .recovery(Recovery::OnRequest);
        for (name, toolbox) in connectors {
            builder = builder.connector(name, toolbox);
        }
        if let Some(watch) = watch {
            builder = builder.observer(watch);
        }
        Ok(Self { enact: builder.start().await?, store, begun })
    }

    /// Does something with the runtime, says what came of it, and only then stops: whatever stopping meets, the answer is
    /// out. A first SIGINT or SIGTERM leaves what is under way resumable.
    pub(crate) async fn carry<T>(
        self,
        out: Out,
        work: impl AsyncFnOnce(&Enact) -> Result<T, Error>,
        tell: impl FnOnce(T) -> Exit,
    ) -> Exit {
        let mut listener = Listener::new();
        let result = tokio::select! {
            result = work(&self.enact) => result.map_err(Failure::from),
            () = listener.heard() => Err(Failure::Interrupted),
        };
        let interrupted = matches!(result, Err(Failure::Interrupted)) || listener.end();
        let exit = result.map(tell).unwrap_or_else(|failure| {
            let failure = failure.of(self.begun.0.get().copied());
            out.failure(&failure);
            failure.exit()
        });
        match self.stop(if interrupted { GRACE } else { SETTLING }).await {
            Ok(()) => exit,
            Err(failure) => {
                out.note(&format!("the store was not closed in order: {}", clean(&failure.message())));
                // What was said holds: each event of it is durable, and the next command reads the journal.
                if failure.exit() == Exit::CORRUPT { Exit::CORRUPT } else { exit }
            }
        }
    }

    /// Stops the runtime and closes the store. A signal ends the process meanwhile.
    pub(crate) async fn stop(self, deadline: Duration) -> Result<(), Failure> {
        self.enact.shutdown(deadline).await;
        Ok(self.store.close()?)
    }
}

/// Opens the store of a configuration with its key, or makes it.
pub(crate) fn open_store(config: &Config) -> Result<SledStore, Failure> {
    let path = config.store();
    Ok(master_key::options(&path, &config.master_key())?.open(path)?)
}
