//! Three-way merges, by `git merge-tree`, which needs neither an index nor files.

use crate::github::reply::Stop;

use super::{Commit, Git, Ident};

/// What a merge has come to.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::github) enum Merged {
    /// A tree, or for a rebase a commit.
    Clean(String),
    /// It needs a person.
    Conflict,
}

impl Git {
    /// The tree of `ours` with what `theirs` has done since their common ancestor, or since `base`.
    pub(in crate::github) fn merge(
        &self,
        base: Option<&str>,
        ours: &str,
        theirs: &str,
    ) -> Result<Merged, Stop> {
        let base = base.map(|base| format!("--merge-base={base}"));
        let mut args = vec!["merge-tree", "--write-tree", "--no-messages"];
        args.extend(base.as_deref());
        args.extend([ours, theirs]);
        let said = self.run(&args, b"", &[])?;
        match said.code {
            0 => Ok(Merged::Clean(String::from_utf8_lossy(&said.out).trim().to_owned())),
            1 => Ok(Merged::Conflict),
            _ => Err(Stop::Broken(format!("git {args:?}: {}", said.err))),
        }
    }

    /// Does commits again on top of another, one by one. Authors stay. As GitHub does, it makes new commits even
    /// where the old ones would do.
    pub(in crate::github) fn rebase(
        &self,
        commits: &[Commit],
        onto: &str,
        by: &Ident,
    ) -> Result<Merged, Stop> {
        let mut tip = onto.to_owned();
        for commit in commits {
            let Some(parent) = commit.parents.first() else { return Ok(Merged::Conflict) };
            match self.merge(Some(parent), &tip, &commit.sha)? {
                Merged::Clean(tree) => {
                    tip = self.commit(&tree, &[tip], (&commit.author, by), &commit.message)?
                }
                Merged::Conflict => return Ok(Merged::Conflict),
            }
        }
        Ok(Merged::Clean(tip))
    }
}
