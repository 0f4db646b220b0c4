//! How the content of a run is kept, and its key.

use enact_core::ids::RunId;
use enact_core::store::StoreError;

use super::heads::{Carried, Kept, NoSecret};
use super::sealed::Sealed;
use super::{View, Volumes};
use crate::group::Content;
use crate::secrets::RunKey;

impl Sealed {
    /// How the content of a run is kept that has events in this volume, or was handed on by it.
    pub(crate) fn content(&self, run: RunId, kept: Kept) -> Result<Content, StoreError> {
        match kept {
            Kept::Plain => Ok(Content::Plain),
            Kept::Erased => Ok(Content::Erased),
            Kept::Encrypted => self.secrets.find(run)?.map(Content::Under).ok_or_else(|| {
                let what = format!("the key of run {run} is not in it, and the run was not erased");
                StoreError::Corrupt { path: self.secrets.path().to_owned(), what }
            }),
        }
    }
}

impl Volumes {
    /// How the content of a run is kept, as far as memory knows.
    pub(crate) fn content_in_memory(&self, run: RunId) -> Result<Option<Content>, StoreError> {
        self.heads.read().content(run).transpose().map_err(|NoSecret| StoreError::Corrupt {
            path: self.store.clone(),
            what: format!("the key of run {run} is not in the journal, and the run was not erased"),
        })
    }

    /// How the content of a run is kept; `None` for a run that is not there. Reads files.
    pub(crate) fn content_on_disk(&self, run: RunId) -> Result<Option<Content>, StoreError> {
        let _stays = self.active.read();
        self.content_of(&self.view(), run)
    }

    /// The same for who holds the active volume. The newest volume knows best.
    fn content_of(&self, view: &View, run: RunId) -> Result<Option<Content>, StoreError> {
        if view.cut.contains(&run) {
            return Ok(None);
        }
        if let Some(content) = self.content_in_memory(run)? {
            return Ok(Some(content));
        }
        for sealed in view.sealed.iter().rev() {
            if let Some(head) = sealed.head(run)? {
                return sealed.content(run, head.kept).map(Some);
            }
        }
        Ok(None)
    }

    /// The key of a run that has encrypted records; `None` where it was erased.
    pub(super) fn secret(&self, view: &View, run: RunId) -> Result<Option<RunKey>, StoreError> {
        match self.content_of(view, run)? {
            Some(content @ Content::Under(_)) => self.unwrap(run, &content),
            Some(Content::Erased) => Ok(None),
            Some(Content::Plain) | None => Err(StoreError::Corrupt {
                path: self.store.clone(),
                what: format!("run {run} has encrypted records and no key"),
            }),
        }
    }

    /// Unwraps the key that content is encrypted under; `None` where it is not.
    ///
    /// # Errors
    /// [`StoreError::Erased`]; [`StoreError::WrongKey`], where the store is locked; `Corrupt`, where what is there is not a key of this store.
    pub(crate) fn unwrap(&self, run: RunId, content: &Content) -> Result<Option<RunKey>, StoreError> {
        let wrapped = match content {
            Content::Plain => return Ok(None),
            Content::Erased => return Err(StoreError::Erased(run)),
            Content::Under(wrapped) => wrapped,
        };
        let corrupt = || StoreError::Corrupt {
            path: self.store.clone(),
            what: format!("the key of run {run} is not as it was written"),
        };
        let Some(ring) = self.keys.keys(&self.store)? else { return Err(corrupt()) };
        ring.run(run, wrapped).map(Some).map_err(|_| corrupt())
    }
}

/// The open runs that a sealed volume hands over, each with how its content is kept.
pub(crate) fn handed_over(sealed: &Sealed) -> Result<Vec<Carried>, StoreError> {
    let mut open = Vec::new();
    sealed.runs.each(&mut |entry| {
        let run = super::heads::read_run(entry);
        open.extend(run.filter(|(_, head)| head.mark == enact_core::store::RunMark::Open));
        true
    })?;
    let carry = |(run, head): (RunId, super::heads::Head)| {
        let content = sealed.content(run, head.kept)?;
        Ok(Carried { run, version: head.version, content })
    };
    open.into_iter().map(carry).collect()
}
