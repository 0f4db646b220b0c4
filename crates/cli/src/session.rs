//! The store, and a runtime on it, for the time of one command.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use std::{fs, io};

use enact::audit::Notary;
use enact::connector::Toolbox;
use enact::error::{Error, ErrorCode};
use enact::event::Event;
use enact::ids::{EventSeq, RunId};
use enact::policy::Policy;
use enact::store::{EventStore, StoreError};
use enact::yaml::Loader;
use enact::{Enact, MemoryStore, Observer, Recovery, SledStore};
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::master_key;
use crate::out::{Out, clean};
use crate::signals::Listener;
use crate::signing;

/// How long an interrupted command waits for what is under way.
const GRACE: Duration = Duration::from_millis(200);
/// How often the log is signed while a command carries runs.
const SIGNED_EVERY: Duration = Duration::from_secs(60);
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

/// That there is a store.
pub(crate) fn there_is(config: &Config) -> Result<(), Failure> {
    let path = config.store();
    if is_made(&path)? {
        return Ok(());
    }
    let message = format!("there is no store in {}", path.display());
    Err(Error::new(ErrorCode::NotFound, message).left_nothing().into())
}

/// A runtime on the configured store.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) enact: Enact,
    pub(crate) store: Arc<SledStore>,
    begun: Begun,
    /// Who signs the log, and the task that does so while runs are under way.
    signed_by: Option<(Arc<Notary>, JoinHandle<()>)>,
}

/// What a command does where the log cannot be signed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unsigned {
    /// It does nothing.
    Refused,
    /// It does what it was asked for, since undoing must not wait for a key, and says so.
    Told(Out),
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
        unsigned: Unsigned,
    ) -> Result<Self, Failure> {
        let store = Arc::new(open_store(config)?);
        let notary = match (signing::notary(config, &store).await, unsigned) {
            (Err(failure), Unsigned::Told(out)) if failure.exit() == Exit::USAGE => {
                out.note(&format!(
                    "what is done now is recorded, and not signed: {}",
                    clean(&failure.message())
                ));
                None
            }
            (notary, _) => Some(Arc::new(notary?)),
        };
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
        let enact = builder.start().await?;
        let signed_by = notary.map(|notary| {
            let keeping_up = Arc::clone(&notary);
            (notary, tokio::spawn(async move { keeping_up.keep_up(SIGNED_EVERY).await }))
        });
        Ok(Self { enact, store, begun, signed_by })
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
                out.note(&format!(
                    "the log was not signed and closed in order: {}",
                    clean(&failure.message())
                ));
                // What was said holds: each event of it is durable, and the next command reads the journal.
                if failure.exit() == Exit::CORRUPT { Exit::CORRUPT } else { exit }
            }
        }
    }

    /// Stops the runtime, signs the log and closes the store. A signal ends the process meanwhile.
    pub(crate) async fn stop(self, deadline: Duration) -> Result<(), Failure> {
        self.enact.shutdown(deadline).await;
        let mut signed = Ok(());
        if let Some((notary, keeping_up)) = self.signed_by {
            keeping_up.abort();
            signed = notary.checkpoint().await.map(drop);
        }
        self.store.close()?;
        Ok(signed?)
    }
}

/// Opens the store of a configuration with its key, or makes it.
pub(crate) fn open_store(config: &Config) -> Result<SledStore, Failure> {
    let path = config.store();
    Ok(master_key::options(&path, &config.master_key())?.open(path)?)
}
