//! The jobs of each run that are under way in this process, whichever actor sent them out. An actor that goes on
//! with a run waits for them before it looks up what they did; a runtime that stops ends them, and waits until nothing
//! of it acts or records any more.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Weak};

use enact_core::ids::RunId;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

type Known = Arc<Mutex<HashMap<RunId, Weak<Jobs>>>>;

/// The jobs of all runs. A run without an actor and without jobs takes no memory.
#[derive(Debug, Default)]
pub(crate) struct UnderWay {
    known: Known,
    everything: TaskTracker,
    stop: CancellationToken,
    /// All of it has ended.
    stopped: CancellationToken,
}

/// The jobs of one run.
#[derive(Debug)]
pub(crate) struct Jobs {
    run: RunId,
    tasks: TaskTracker,
    known: Known,
    everything: TaskTracker,
    stop: CancellationToken,
}

impl UnderWay {
    /// The jobs of a run: the same ones for as long as anybody has them.
    pub(crate) fn of(&self, run: RunId) -> Arc<Jobs> {
        let mut known = self.known.lock();
        if let Some(jobs) = known.get(&run).and_then(Weak::upgrade) {
            return jobs;
        }
        let jobs = Arc::new(Jobs {
            run,
            tasks: TaskTracker::new(),
            known: Arc::clone(&self.known),
            everything: self.everything.clone(),
            stop: self.stop.clone(),
        });
        known.insert(run, Arc::downgrade(&jobs));
        jobs
    }

    /// Ends all jobs, also those that come late, and waits until they and all that [`Jobs::token`] was given to are
    /// gone. A job that is dropped in the middle of an effect leaves its intent, which is probed when the run is taken
    /// up.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.everything.close();
        self.everything.wait().await;
        self.stopped.cancel();
    }

    /// Resolves when nothing of the runtime acts or records any more.
    pub(crate) fn stopped(&self) -> impl Future<Output = ()> + Send + 'static {
        self.stopped.clone().cancelled_owned()
    }
}

impl Jobs {
    /// Begins a job, in a task of its own.
    pub(crate) fn spawn(self: &Arc<Self>, job: impl Future<Output = ()> + Send + 'static) {
        let jobs = Arc::clone(self);
        self.everything.spawn(self.tasks.track_future(async move {
            tokio::select! {
                biased;
                () = jobs.stop.cancelled() => {}
                () = job => {}
            }
        }));
    }

    /// Whoever has it is waited for when the runtime stops.
    pub(crate) fn token(&self) -> TaskTrackerToken {
        self.everything.token()
    }

    /// Waits until none is under way.
    pub(crate) async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        self.tasks.reopen();
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        let mut known = self.known.lock();
        // Somebody may have begun anew with the run meanwhile.
        if known.get(&self.run).is_some_and(|jobs| jobs.strong_count() == 0) {
            known.remove(&self.run);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn jobs_outlive_whoever_began_them_and_leave_nothing() {
        let under_way = UnderWay::default();
        let run = RunId::from_parts(1, [7; 10]);
        let (end, ended) = oneshot::channel::<()>();
        under_way.of(run).spawn(async move { drop(ended.await) });
        let again = under_way.of(run);
        let waits = tokio::spawn(async move { again.ended().await });
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        drop(end);
        waits.await.unwrap();
        assert!(under_way.known.lock().is_empty());
    }
}
