//! Objects of git: blobs, trees, commits. They are named by what they hold, nobody sees them until a ref leads to
//! them, and GitHub collects those to which none ever does. So making them is no effect.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use enact_core::Error;
use enact_core::time::Timestamp;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::precondition;
use crate::name::Sha;
use crate::repo::{Named, Repo};

/// How many folders are read one by one where a tree is too large to be read at once.
const MAX_FOLDERS: usize = 500;

/// An entry of a tree.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub(crate) struct Entry {
    pub(crate) path: String,
    pub(crate) mode: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) sha: Sha,
}

#[derive(Deserialize)]
struct Listing {
    tree: Vec<Entry>,
    #[serde(default)]
    truncated: bool,
}

impl Repo<'_> {
    pub(crate) async fn make_blob(&self, path: &str, content: &[u8]) -> Result<Sha, Error> {
        let doing = format!("store the content of '{path}' in {}", self.name);
        let body = json!({ "content": STANDARD.encode(content), "encoding": "base64" });
        self.make("/git/blobs", doing, body).await
    }

    /// A tree like `base`, with some entries changed.
    pub(crate) async fn make_tree(&self, base: &Sha, entries: Vec<Value>) -> Result<Sha, Error> {
        let doing = format!("store the new tree in {}", self.name);
        self.make("/git/trees", doing, json!({ "base_tree": base, "tree": entries })).await
    }

    /// A commit of this account, at a time.
    pub(crate) async fn make_commit(
        &self,
        tree: &Sha,
        parents: &[&Sha],
        message: &str,
        at: Timestamp,
    ) -> Result<Sha, Error> {
        let mut body = json!({ "tree": tree, "parents": parents, "message": message });
        if let Some(author) = self.github.client.author(self.cx, &date(at)).await?
            && let Some(fields) = body.as_object_mut()
        {
            fields.insert("author".into(), author.clone());
            fields.insert("committer".into(), author);
        }
        self.make("/git/commits", format!("store the new commit in {}", self.name), body).await
    }

    async fn make(&self, tail: &str, doing: String, body: Value) -> Result<Sha, Error> {
        let request = self.request(Method::POST, tail.into(), doing).body(body).harmless();
        let made: Named = request.read(&self.ask(&request).await?)?;
        Ok(made.sha)
    }

    /// What stands at some paths of a tree.
    pub(crate) async fn entries(&self, tree: &Sha, paths: &[&str]) -> Result<BTreeMap<String, Entry>, Error> {
        let Listing { tree: all, truncated } = self.listing(tree, true).await?;
        if !truncated {
            let wanted = |entry: &Entry| paths.contains(&entry.path.as_str());
            return Ok(all.into_iter().filter(wanted).map(|entry| (entry.path.clone(), entry)).collect());
        }
        self.entries_by_folder(tree, paths).await
    }

    /// As [`Repo::entries`], of a tree that is too large to be read at once.
    async fn entries_by_folder(&self, tree: &Sha, paths: &[&str]) -> Result<BTreeMap<String, Entry>, Error> {
        let mut folders: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
        let mut found = BTreeMap::new();
        for path in paths {
            let (mut folder, mut at) = (String::new(), tree.clone());
            for name in path.split('/') {
                if !folders.contains_key(&folder) {
                    if folders.len() == MAX_FOLDERS {
                        return Err(precondition(format!(
                            "the files lie in more than {MAX_FOLDERS} folders; push fewer at once"
                        )));
                    }
                    let listing = self.listing(&at, false).await?;
                    if listing.truncated {
                        return Err(precondition(format!(
                            "folder '/{folder}' of {} has more entries than GitHub shows, so '{path}' cannot \
                             be looked up",
                            self.name
                        )));
                    }
                    folders.insert(folder.clone(), listing.tree);
                }
                let inner = folders.get(&folder).and_then(|all| all.iter().find(|entry| entry.path == name));
                let Some(entry) = inner.cloned() else { break };
                folder = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
                at = entry.sha.clone();
                if folder == *path {
                    found.insert(folder, entry);
                    break;
                }
                if entry.kind != "tree" {
                    break;
                }
            }
        }
        Ok(found)
    }

    async fn listing(&self, tree: &Sha, recursive: bool) -> Result<Listing, Error> {
        let query = if recursive { "?recursive=1" } else { "" };
        let doing = format!("read tree {} of {}", tree.short(), self.name);
        let request = self.get(format!("/git/trees/{tree}{query}"), doing);
        request.read(&self.ask(&request).await?)
    }
}

/// A time as git keeps it: to the second.
fn date(at: Timestamp) -> String {
    let seconds = i64::try_from(at.unix_ms() / 1000).unwrap_or_default();
    jiff::Timestamp::from_second(seconds).unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_has_no_part_of_a_second() {
        assert_eq!(date(Timestamp::from_unix_us(1_700_000_000_999_999)), "2023-11-14T22:13:20Z");
    }
}
