//! Which files a merge changes, as far as GitHub tells.

use std::collections::BTreeSet;

use enact_core::Error;
use serde::Deserialize;

use crate::name::Sha;
use crate::repo::Repo;

/// How many files GitHub shows of a comparison; where there are so many, there may be more.
const MAX_FILES: usize = 300;

/// The files that a merge changes.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Touched {
    /// All of them, with the old names of those that are renamed.
    pub(crate) paths: BTreeSet<String>,
    /// Those that are not there any more after it.
    pub(crate) deleted: BTreeSet<String>,
    /// Whether these are all.
    pub(crate) is_complete: bool,
}

/// A file of a comparison.
#[derive(Debug, Deserialize)]
struct ChangedFile {
    filename: String,
    status: String,
    previous_filename: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Comparison {
    files: Option<Vec<ChangedFile>>,
}

impl Touched {
    fn by(files: Vec<ChangedFile>) -> Self {
        let mut touched = Self { is_complete: files.len() < MAX_FILES, ..Self::default() };
        for file in files {
            match file.status.as_str() {
                "removed" => drop(touched.deleted.insert(file.filename.clone())),
                "renamed" => {
                    touched.deleted.extend(file.previous_filename.clone());
                    touched.paths.extend(file.previous_filename);
                }
                _ => {}
            }
            touched.paths.insert(file.filename);
        }
        touched
    }
}

impl Repo<'_> {
    /// What a merge of `head` changes on top of `base`. Commits do not change, so this is of the very head that is merged.
    /// Not complete, where there are too many, and where the two have nothing in common or the base is not there.
    pub(crate) async fn touched(&self, base: Option<&Sha>, head: &Sha) -> Result<Touched, Error> {
        let Some(base) = base else { return Ok(Touched::default()) };
        let doing = format!("list the files that {} changes in {}", head.short(), self.name);
        // Files are on the first page, whatever is on it of commits.
        let request = self.get(format!("/compare/{base}...{head}?per_page=1"), doing);
        let Some(answer) = self.perhaps(&request).await? else { return Ok(Touched::default()) };
        let found: Comparison = request.read(&answer)?;
        Ok(found.files.map(Touched::by).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(filename: &str, status: &str, previous: Option<&str>) -> ChangedFile {
        ChangedFile {
            filename: filename.to_owned(),
            status: status.to_owned(),
            previous_filename: previous.map(str::to_owned),
        }
    }

    #[test]
    fn what_is_renamed_is_gone_under_its_old_name_and_there_under_the_new_one() {
        let touched = Touched::by(vec![
            file("new", "renamed", Some("old")),
            file("copy", "copied", Some("source")),
            file("gone", "removed", None),
            file("a", "added", None),
            file("m", "modified", None),
        ]);
        assert!(touched.is_complete);
        assert_eq!(Vec::from_iter(&touched.deleted), ["gone", "old"]);
        assert_eq!(Vec::from_iter(&touched.paths), ["a", "copy", "gone", "m", "new", "old"]);
    }

    #[test]
    fn a_list_that_may_have_been_cut_is_not_complete() {
        let files = |count| (0..count).map(|at: usize| file(&at.to_string(), "added", None)).collect();
        assert!(Touched::by(files(MAX_FILES - 1)).is_complete);
        assert!(!Touched::by(files(MAX_FILES)).is_complete);
        assert!(!Touched::default().is_complete);
    }
}
