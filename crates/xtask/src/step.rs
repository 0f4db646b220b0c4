//! Steps of a longer command: each is announced, timed, and says what to do when it fails.

use std::time::{Duration, Instant};

use crate::Result;

/// One thing to check.
pub(crate) struct Step {
    /// What is checked, for people.
    pub(crate) name: &'static str,
    /// What to do when it fails.
    pub(crate) hint: &'static str,
    /// Does it.
    pub(crate) run: fn() -> Result,
}

/// Runs `steps` in order and stops at the first that fails. Ends with one plain line of counts.
pub(crate) fn run_all(steps: &[Step]) -> Result {
    let started = Instant::now();
    for (done, step) in steps.iter().enumerate() {
        println!("\n==> [{}/{}] {}", done + 1, steps.len(), step.name);
        let began = Instant::now();
        let ended = (step.run)();
        println!("<== {} took {}", step.name, seconds(began.elapsed()));
        if let Err(error) = ended {
            println!("steps: {done} passed, 1 failed");
            return Err(format!("{}: {error}\n  {}", step.name, step.hint));
        }
    }
    println!("\neverything took {}", seconds(started.elapsed()));
    println!("steps: {} passed, 0 failed", steps.len());
    Ok(())
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
