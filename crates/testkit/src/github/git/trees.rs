//! Trees: made from a base and changes, and listed.

use std::collections::BTreeMap;

use crate::github::reply::Stop;

use super::Git;

/// One line of a tree.
#[derive(Debug, Clone)]
pub(in crate::github) struct Entry {
    /// Six digits, as GitHub writes it: `100644`, `040000`.
    pub(in crate::github) mode: String,
    pub(in crate::github) kind: String,
    pub(in crate::github) sha: String,
    pub(in crate::github) size: Option<u64>,
    pub(in crate::github) path: String,
}

/// A change of one path.
#[derive(Debug, Clone)]
pub(in crate::github) enum Put {
    /// An object with a mode there, instead of whatever was there or in its way.
    Object(String, String),
    /// Nothing there. It has to be there before.
    Nothing,
}

/// The leaves of a tree: what is not a folder.
type Leaves = BTreeMap<String, (String, String)>;

impl Git {
    /// The lines of a tree; with `deep` also those of the folders in it.
    pub(in crate::github) fn list_tree(&self, tree: &str, deep: bool) -> Result<Vec<Entry>, Stop> {
        let mut args = vec!["ls-tree", "-z", "-l", "--full-tree"];
        if deep {
            args.extend(["-r", "-t"]);
        }
        args.push(tree);
        let list = self.bytes(&args, b"")?;
        let broken = || Stop::Broken(format!("cannot read the tree {tree}"));
        let lines = list.split(|byte| *byte == 0).filter(|line| !line.is_empty());
        lines.map(|line| entry(&String::from_utf8_lossy(line)).ok_or_else(broken)).collect()
    }

    /// A tree with changes on a base, or `None` where something to be removed is not there.
    pub(in crate::github) fn make_tree(
        &self,
        base: Option<&str>,
        puts: &[(String, Put)],
    ) -> Result<Option<String>, Stop> {
        let mut leaves = match base {
            Some(base) => self.leaves(base, "")?,
            None => Leaves::new(),
        };
        for (path, put) in puts {
            let below = format!("{path}/");
            let before = leaves.len();
            leaves.retain(|leaf, _| leaf != path && !leaf.starts_with(&below));
            match put {
                Put::Nothing if leaves.len() == before => return Ok(None),
                Put::Nothing => {}
                Put::Object(mode, sha) => {
                    // What is a file cannot be a folder on the way to this one as well.
                    leaves.retain(|leaf, _| !path.starts_with(&format!("{leaf}/")));
                    if mode == "040000" {
                        leaves.extend(self.leaves(sha, &below)?);
                    } else {
                        leaves.insert(path.clone(), (mode.clone(), sha.clone()));
                    }
                }
            }
        }
        self.write_tree(&leaves).map(Some)
    }

    fn leaves(&self, tree: &str, prefix: &str) -> Result<Leaves, Stop> {
        let all = self.list_tree(tree, true)?.into_iter().filter(|entry| entry.kind != "tree");
        Ok(all.map(|entry| (format!("{prefix}{}", entry.path), (entry.mode, entry.sha))).collect())
    }

    fn write_tree(&self, leaves: &Leaves) -> Result<String, Stop> {
        let folder = tempfile::tempdir_in(self.folder())
            .map_err(|error| Stop::Broken(format!("cannot make a folder for an index: {error}")))?;
        let index = folder.path().join("index");
        let env = [("GIT_INDEX_FILE", index.to_str().unwrap_or_default())];
        let lines: String =
            leaves.iter().map(|(path, (mode, sha))| format!("{mode} {sha}\t{path}\0")).collect();
        let said = self.run(&["update-index", "-z", "--add", "--index-info"], lines.as_bytes(), &env)?;
        if said.code != 0 {
            return Err(Stop::Broken(format!("git update-index: {}", said.err)));
        }
        let said = self.run(&["write-tree"], b"", &env)?;
        if said.code != 0 {
            return Err(Stop::Broken(format!("git write-tree: {}", said.err)));
        }
        Ok(String::from_utf8_lossy(&said.out).trim().to_owned())
    }
}

fn entry(line: &str) -> Option<Entry> {
    let (head, path) = line.split_once('\t')?;
    let mut words = head.split_whitespace().map(str::to_owned);
    let (mode, kind, sha, size) = (words.next()?, words.next()?, words.next()?, words.next()?);
    Some(Entry { mode, kind, sha, size: size.parse().ok(), path: path.to_owned() })
}
