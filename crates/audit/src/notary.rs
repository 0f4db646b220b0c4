//! Who signs the log.

use std::sync::Arc;
use std::time::Duration;

use enact_core::ids::Position;
use enact_core::store::StoreError;
use enact_merkle::Frontier;
use enact_store::{Ledger, MAX_LEAVES, SledStore};
use tokio::sync::Mutex;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::checkpoint::{BadCheckpoint, Checkpoint};
use crate::error::AuditError;
use crate::kept::{BadLine, Kept};
use crate::key::{PublicKey, PublicKeys, SigningKey};
use crate::note::BadNote;

/// The name under which a store's log is signed.
#[must_use]
pub fn origin(store: &SledStore) -> String {
    format!("enact/{}", store.id())
}

/// Whether a log was signed already.
///
/// # Errors
/// Those of the store.
pub fn is_signed(store: &SledStore) -> Result<bool, StoreError> {
    Ok(store.kept(Ledger::Checkpoints)?.last_line()?.is_some())
}

/// Signs checkpoints of a store's log and receipts of its runs, and keeps them with it. A store has one at a time.
#[derive(Debug)]
pub struct Notary {
    store: Arc<SledStore>,
    key: SigningKey,
    public: PublicKey,
    last: Mutex<Signed>,
}

/// What is signed.
#[derive(Debug, Default)]
struct Signed {
    tree: Frontier,
    /// The last checkpoint, where there is one.
    note: Option<String>,
}

impl Notary {
    /// Goes on from the last checkpoint that is kept with the store; the key has to be the one that signed it, or the successor that
    /// it names. A store that has none may have any key.
    ///
    /// # Errors
    /// [`AuditError::OtherKey`]; [`AuditError::Disproved`], where the log ends before its last checkpoint, or that does not read; those
    /// of the store.
    pub async fn open(store: Arc<SledStore>, key: SigningKey) -> Result<Self, AuditError> {
        let public = key.public(&origin(&store))?;
        let last = last(&store, &public)?;
        let size = last.tree.size();
        if size > 0 && store.leaves(Position(size), 1).await?.is_empty() {
            let what = format!(
                "its last checkpoint is of {size} events, and the log ends before; nothing was signed"
            );
            return Err(AuditError::Disproved { path: store.path().to_owned(), what });
        }
        Ok(Self { store, key, public, last: Mutex::new(last) })
    }

    /// The key that verifies what is signed here. Others need it, and have to have it from elsewhere than from the log.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    pub(crate) fn store(&self) -> &Arc<SledStore> {
        &self.store
    }

    pub(crate) fn key(&self) -> &SigningKey {
        &self.key
    }

    /// Signs the log as far as it is durable, and keeps that with it, durably. Where nothing was appended since the last
    /// checkpoint, that one is given. `None` where the log is empty.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn checkpoint(&self) -> Result<Option<String>, AuditError> {
        Ok(self.signed().await?.1)
    }

    /// The same, with how many events it is of.
    pub(crate) async fn signed(&self) -> Result<(u64, Option<String>), AuditError> {
        let mut last = self.last.lock().await;
        let tree = self.grown(&last.tree).await?;
        if tree.size() > last.tree.size() {
            *last = self.sign(tree, None, &[&self.key]).await?;
        }
        Ok((last.tree.size(), last.note.clone()))
    }

    /// Signs a checkpoint each time that this time has passed and something was appended. Never ends; what goes wrong is logged, and
    /// tried again.
    pub async fn keep_up(&self, every: Duration) {
        let every = every.max(Duration::from_millis(1));
        let mut ticks = interval_at(Instant::now() + every, every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = self.checkpoint().await {
                tracing::warn!(log = self.public.name(), %error, "no checkpoint of the log was signed");
            }
        }
    }

    /// Hands over to another key by a checkpoint that names it and that both sign. Whoever trusts the old key can trust the
    /// new one from there on, and the old one no more. The new key has to be kept durably before.
    ///
    /// # Errors
    /// As [`checkpoint`](Self::checkpoint). Then it is handed over or not: [`open`](Self::open) takes the one that holds.
    pub async fn hand_over(self, successor: SigningKey) -> Result<Self, AuditError> {
        let public = successor.public(self.public.name())?;
        let last = {
            let last = self.last.lock().await;
            let tree = self.grown(&last.tree).await?;
            self.sign(tree, Some(public.clone()), &[&self.key, &successor]).await?
        };
        Ok(Self { store: self.store, key: successor, public, last: Mutex::new(last) })
    }

    /// Goes on with a new key where the old one is lost: signs the whole log anew, with nothing that says who the new key is of.
    /// Whoever trusts the old key alone does not trust what follows, and has to be given the new one.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn begin_anew(store: Arc<SledStore>, key: SigningKey) -> Result<Self, AuditError> {
        let public = key.public(&origin(&store))?;
        let notary = Self { store, key, public, last: Mutex::default() };
        notary.checkpoint().await?;
        Ok(notary)
    }

    /// The tree with all that was appended behind it.
    async fn grown(&self, from: &Frontier) -> Result<Frontier, StoreError> {
        let mut tree = from.clone();
        loop {
            let leaves = self.store.leaves(Position(tree.size() + 1), MAX_LEAVES).await?;
            if leaves.is_empty() {
                return Ok(tree);
            }
            tree.extend(leaves);
        }
    }

    async fn sign(
        &self,
        tree: Frontier,
        successor: Option<PublicKey>,
        keys: &[&SigningKey],
    ) -> Result<Signed, AuditError> {
        let origin = self.public.name().to_owned();
        let checkpoint = Checkpoint { origin, size: tree.size(), root: tree.root(), successor };
        let note = checkpoint.sign(keys)?;
        self.store.keep(Ledger::Checkpoints, Kept::line(&note, &tree)).await?;
        Ok(Signed { tree, note: Some(note.to_string()) })
    }
}

/// The last checkpoint of a store, which this key has to have signed.
fn last(store: &SledStore, key: &PublicKey) -> Result<Signed, AuditError> {
    let kept = store.kept(Ledger::Checkpoints)?;
    let path = kept.path().to_owned();
    let Some(line) = kept.last_line()? else { return Ok(Signed::default()) };
    let kept = Kept::verify(&line, &PublicKeys::from(key.clone())).map_err(|bad| match bad {
        BadLine::Checkpoint(BadCheckpoint::Note(BadNote::Unknown(_))) => {
            AuditError::OtherKey { origin: key.name().to_owned() }
        }
        bad => AuditError::Disproved { path, what: format!("its last line is damaged: {bad}") },
    })?;
    match &kept.checkpoint.successor {
        Some(successor) if successor != key => Err(AuditError::OtherKey { origin: key.name().to_owned() }),
        _ => Ok(Signed { tree: kept.tree, note: Some(kept.note) }),
    }
}
