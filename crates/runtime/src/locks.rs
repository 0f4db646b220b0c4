//! Same target, one at a time: locks by key, first come first served.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// Locks by key. Keys that nobody holds or waits for take no memory.
#[derive(Debug, Default)]
pub(crate) struct Locks(Arc<Mutex<HashMap<String, Arc<AsyncMutex<()>>>>>);

/// Held from capture until the outcome is in the log.
#[derive(Debug)]
pub(crate) struct Guard {
    held: Option<OwnedMutexGuard<()>>,
    key: String,
    locks: Arc<Mutex<HashMap<String, Arc<AsyncMutex<()>>>>>,
}

impl Locks {
    /// Waits for the key.
    pub(crate) async fn lock(&self, key: String) -> Guard {
        let lock = Arc::clone(self.0.lock().entry(key.clone()).or_default());
        let waiting = Waiting { key: Some(key), locks: Arc::clone(&self.0) };
        let held = lock.lock_owned().await;
        waiting.into_guard(held)
    }
}

/// Keys that a run holds before it uses them.
#[derive(Debug, Default)]
pub(crate) struct Guards(HashMap<String, Guard>);

impl Guards {
    /// Gives the key.
    pub(crate) fn put(&mut self, guard: Guard) -> String {
        let key = guard.key.clone();
        self.0.insert(key.clone(), guard);
        key
    }

    pub(crate) fn take(&mut self, key: &str) -> Option<Guard> {
        self.0.remove(key)
    }
}

/// Someone waits for a key; dropped while waiting, the key is forgotten if nobody else wants it.
struct Waiting {
    key: Option<String>,
    locks: Arc<Mutex<HashMap<String, Arc<AsyncMutex<()>>>>>,
}

impl Waiting {
    fn into_guard(mut self, held: OwnedMutexGuard<()>) -> Guard {
        let key = self.key.take().unwrap_or_default();
        Guard { held: Some(held), key, locks: Arc::clone(&self.locks) }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(key) = &self.key {
            forget(&self.locks, key);
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.held = None;
        forget(&self.locks, &self.key);
    }
}

/// Removes a key that only the map knows. Whoever wants a key takes its share of it under the map's lock.
fn forget(locks: &Mutex<HashMap<String, Arc<AsyncMutex<()>>>>, key: &str) {
    let mut locks = locks.lock();
    if locks.get(key).is_some_and(|lock| Arc::strong_count(lock) == 1) {
        locks.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_at_a_time_and_nothing_is_left() {
        let locks = Arc::new(Locks::default());
        let first = locks.lock("a".into()).await;
        let other = locks.lock("b".into()).await;
        let second = tokio::spawn({
            let locks = Arc::clone(&locks);
            async move { drop(locks.lock("a".into()).await) }
        });
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        drop(first);
        second.await.unwrap();
        drop(other);
        assert!(locks.0.lock().is_empty());
    }

    #[tokio::test]
    async fn a_waiter_that_gives_up_leaves_nothing() {
        let locks = Arc::new(Locks::default());
        let held = locks.lock("a".into()).await;
        let waiter = tokio::spawn({
            let locks = Arc::clone(&locks);
            async move { drop(locks.lock("a".into()).await) }
        });
        tokio::task::yield_now().await;
        waiter.abort();
        assert!(waiter.await.unwrap_err().is_cancelled());
        drop(held);
        assert!(locks.0.lock().is_empty());
    }
}
