//! Commits: written byte for byte as they are asked for, and read back.

use crate::github::clock;
use crate::github::reply::Stop;

use super::Git;

/// Who did something, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::github) struct Ident {
    pub(in crate::github) name: String,
    pub(in crate::github) email: String,
    /// Seconds since 1970.
    pub(in crate::github) at: i64,
    /// Git's form: `+0200`.
    pub(in crate::github) offset: String,
}

/// A commit.
#[derive(Debug, Clone)]
pub(in crate::github) struct Commit {
    pub(in crate::github) sha: String,
    pub(in crate::github) tree: String,
    pub(in crate::github) parents: Vec<String>,
    pub(in crate::github) author: Ident,
    pub(in crate::github) committer: Ident,
    pub(in crate::github) message: String,
}

impl Ident {
    pub(in crate::github) fn new(name: &str, email: &str, at: i64) -> Self {
        Self { name: name.to_owned(), email: email.to_owned(), at, offset: "+0000".to_owned() }
    }

    fn line(&self) -> String {
        let clean =
            |text: &str| text.replace(['<', '>', '\n', '\0'], "").trim_matches([' ', '.', ',']).to_owned();
        format!("{} <{}> {} {}", clean(&self.name), clean(&self.email), self.at, self.offset)
    }

    fn parse(line: &str) -> Option<Self> {
        let (name, rest) = line.split_once(" <").or_else(|| line.split_once('<'))?;
        let (email, when) = rest.split_once("> ")?;
        let (at, offset) = when.split_once(' ')?;
        let at = at.parse().ok()?;
        Some(Self { name: name.to_owned(), email: email.to_owned(), at, offset: offset.to_owned() })
    }

    /// The time as GitHub writes it.
    pub(in crate::github) fn date(&self) -> String {
        clock::text(self.at)
    }
}

impl Git {
    /// Writes a commit; the message is kept as it is.
    pub(in crate::github) fn commit(
        &self,
        tree: &str,
        parents: &[String],
        (author, committer): (&Ident, &Ident),
        message: &str,
    ) -> Result<String, Stop> {
        let mut text = format!("tree {tree}\n");
        for parent in parents {
            text.push_str(&format!("parent {parent}\n"));
        }
        text.push_str(&format!("author {}\ncommitter {}\n\n{message}", author.line(), committer.line()));
        self.write("commit", text.as_bytes())
    }

    /// Reads a commit that is there.
    pub(in crate::github) fn read_commit(&self, sha: &str) -> Result<Commit, Stop> {
        let text = String::from_utf8_lossy(&self.read("commit", sha)?).into_owned();
        parse(sha, &text).ok_or_else(|| Stop::Broken(format!("cannot read commit {sha}: {text}")))
    }

    /// The commit that a branch, a tag, a full name of a ref or of a commit leads to.
    pub(in crate::github) fn find_commit(&self, name: &str) -> Result<Option<String>, Stop> {
        if super::is_sha(name) {
            return Ok(self.is_kind(name, "commit")?.then(|| name.to_owned()));
        }
        for full in [
            format!("refs/heads/{name}"),
            format!("refs/tags/{name}"),
            format!("refs/{name}"),
            name.to_owned(),
        ] {
            if full.starts_with("refs/") && self.ref_to(&full)?.is_some() {
                let said =
                    self.run(&["rev-parse", "--verify", "--quiet", &format!("{full}^{{commit}}")], b"", &[])?;
                let sha = String::from_utf8_lossy(&said.out).trim().to_owned();
                return Ok((said.code == 0).then_some(sha));
            }
        }
        Ok(None)
    }

    pub(in crate::github) fn is_ancestor(&self, old: &str, new: &str) -> Result<bool, Stop> {
        self.asks(&["merge-base", "--is-ancestor", old, new])
    }

    pub(in crate::github) fn merge_base(&self, one: &str, other: &str) -> Result<Option<String>, Stop> {
        let said = self.run(&["merge-base", one, other], b"", &[])?;
        let sha = String::from_utf8_lossy(&said.out).trim().to_owned();
        Ok((said.code == 0).then_some(sha))
    }

    /// What leads to `to` and not to `from`, oldest first.
    pub(in crate::github) fn between(&self, from: &str, to: &str) -> Result<Vec<String>, Stop> {
        let range = format!("{from}..{to}");
        let list = self.ok(&["rev-list", "--topo-order", "--reverse", &range])?;
        Ok(list.lines().map(str::to_owned).collect())
    }
}

fn parse(sha: &str, text: &str) -> Option<Commit> {
    let (head, message) = text.split_once("\n\n")?;
    let (mut tree, mut author, mut committer, mut parents) = (None, None, None, Vec::new());
    for line in head.lines() {
        match line.split_once(' ') {
            Some(("tree", name)) => tree = Some(name.to_owned()),
            Some(("parent", name)) => parents.push(name.to_owned()),
            Some(("author", ident)) => author = Ident::parse(ident),
            Some(("committer", ident)) => committer = Ident::parse(ident),
            _ => {}
        }
    }
    let (sha, message) = (sha.to_owned(), message.to_owned());
    Some(Commit { sha, tree: tree?, parents, author: author?, committer: committer?, message })
}
