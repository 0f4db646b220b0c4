//! Makes workflows again from the text that their runs keep.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use enact_core::error::Error;
use enact_runtime::{DynWorkflow, LoadText};
use parking_lot::Mutex;

use crate::declarative::Declarative;

/// How many texts are kept parsed.
const MAX_KEPT: usize = 32;

/// Reads texts of workflows for the runtime, and keeps the ones used last: many runs have one text.
#[derive(Default)]
pub struct Loader {
    /// The newest in front.
    kept: Mutex<VecDeque<Arc<Declarative>>>,
}

impl fmt::Debug for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader").field("kept", &self.kept.lock().len()).finish()
    }
}

impl Loader {
    fn kept(&self, text: &str) -> Option<Arc<Declarative>> {
        let mut kept = self.kept.lock();
        let index = kept.iter().position(|workflow| workflow.text() == text)?;
        let workflow = kept.remove(index)?;
        kept.push_front(Arc::clone(&workflow));
        Some(workflow)
    }

    fn keep(&self, workflow: &Arc<Declarative>) {
        let mut kept = self.kept.lock();
        kept.push_front(Arc::clone(workflow));
        kept.truncate(MAX_KEPT);
    }
}

impl LoadText for Loader {
    fn load(&self, text: &str) -> Result<Arc<dyn DynWorkflow>, Error> {
        if let Some(workflow) = self.kept(text) {
            return Ok(workflow);
        }
        let workflow = Arc::new(Declarative::parse(text)?);
        self.keep(&workflow);
        Ok(workflow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(number: usize) -> String {
        format!("name: w{number}\nsteps: [{{ id: a, action: files.list_dir }}]")
    }

    #[test]
    fn a_text_is_parsed_once_and_only_so_many_are_kept() {
        let loader = Loader::default();
        let first = loader.load(&text(0)).unwrap();
        for number in 1..MAX_KEPT {
            loader.load(&text(number)).unwrap();
        }
        assert!(Arc::ptr_eq(&first, &loader.load(&text(0)).unwrap()), "used again, so still kept");
        for number in 0..MAX_KEPT {
            loader.load(&text(MAX_KEPT + number)).unwrap();
        }
        assert!(!Arc::ptr_eq(&first, &loader.load(&text(0)).unwrap()), "others were used since");
        assert_eq!(loader.kept.lock().len(), MAX_KEPT);
    }

    #[test]
    fn a_broken_text_is_refused_each_time() {
        let loader = Loader::default();
        loader.load("name: 1").unwrap_err();
        loader.load("name: 1").unwrap_err();
    }
}
