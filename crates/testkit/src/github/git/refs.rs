//! Refs: looked up by their exact names, and changed all or none.

use crate::github::reply::Stop;

use super::{Git, ZEROS};

/// A ref, and what it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::github) struct RefTo {
    /// `refs/heads/…`
    pub(in crate::github) name: String,
    pub(in crate::github) sha: String,
    /// `commit`, or `tag`, …
    pub(in crate::github) kind: String,
}

/// A change of one ref. Zeros stand for "is not there".
#[derive(Debug, Clone)]
pub(in crate::github) struct Update {
    pub(in crate::github) name: String,
    pub(in crate::github) before: String,
    pub(in crate::github) after: String,
}

/// Whether git takes it as the name of a ref; without a `refs/` it does not matter here.
pub(in crate::github) fn is_ref_name(git: &Git, name: &str) -> Result<bool, Stop> {
    Ok(!name.contains('\0') && git.asks(&["check-ref-format", name])?)
}

impl Git {
    /// The ref with exactly this full name.
    pub(in crate::github) fn ref_to(&self, name: &str) -> Result<Option<RefTo>, Stop> {
        // git looks for everything below a name too, and takes some signs of it for patterns.
        if name.contains(['*', '?', '[', '\\', '\0']) || !name.starts_with("refs/") {
            return Ok(None);
        }
        Ok(self.refs(name)?.into_iter().find(|found| found.name == name))
    }

    /// The refs whose full names begin so.
    pub(in crate::github) fn refs_beginning(&self, start: &str) -> Result<Vec<RefTo>, Stop> {
        let mut all = self.refs("refs/")?;
        all.retain(|found| found.name.starts_with(start));
        Ok(all)
    }

    fn refs(&self, below: &str) -> Result<Vec<RefTo>, Stop> {
        let format = "--format=%(objectname) %(objecttype) %(refname)";
        let list = self.ok(&["for-each-ref", format, below])?;
        let read = |line: &str| {
            let (sha, rest) = line.split_once(' ')?;
            let (kind, name) = rest.split_once(' ')?;
            Some(RefTo { name: name.to_owned(), sha: sha.to_owned(), kind: kind.to_owned() })
        };
        Ok(list.lines().filter_map(read).collect())
    }

    /// Whether there is no branch and no tag: GitHub calls such a repository empty.
    pub(in crate::github) fn is_empty(&self) -> Result<bool, Stop> {
        Ok(self.refs("refs/")?.is_empty())
    }

    /// Changes all of them, or none and says why.
    pub(in crate::github) fn update(&self, updates: &[Update]) -> Result<Result<(), String>, Stop> {
        let mut input = String::from("start\0");
        for Update { name, before, after } in updates {
            let line = match (before == ZEROS, after == ZEROS) {
                (true, false) => format!("create {name}\0{after}\0"),
                (false, true) => format!("delete {name}\0{before}\0"),
                (false, false) => format!("update {name}\0{after}\0{before}\0"),
                (true, true) => format!("verify {name}\0{ZEROS}\0"),
            };
            input.push_str(&line);
        }
        input.push_str("prepare\0commit\0");
        let said = self.run(&["update-ref", "-z", "--stdin"], input.as_bytes(), &[])?;
        Ok(if said.code == 0 { Ok(()) } else { Err(said.err) })
    }
}
