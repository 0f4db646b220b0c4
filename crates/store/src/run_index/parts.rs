//! The entries of the index: in memory those that are new, and in tables of which a file names each.
//!
//! The tables are sorted, and written once. Two of about the same size are put together, so that there are few.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use enact_core::ids::{Position, RunId};
use enact_core::query::Term;
use enact_core::store::StoreError;
use enact_merkle::Hash;
use rand::RngCore;
use ring::hmac;
use serde::{Deserialize, Serialize};

use crate::digits;
use crate::files::{self, Tried};
use crate::secrets::Unlocked;
use crate::volume::table::{self, Table, TableSummary};

/// The file that names the tables. It has the number that the key is derived from: without it they say nothing.
const NAMES: &str = "parts";
const FORMAT: u32 = 1;
/// So many new entries are worth a table; fewer are found in the log again by the next process.
const ENOUGH: usize = 4096;
/// So many are kept in memory at most.
const MOST: usize = 1 << 20;
/// A table is put together with the one before it, where that is not larger by more than this factor.
const LIKE: u64 = 4;

/// A term, hashed.
pub(super) type Hashed = [u8; 16];
/// A hashed term and a run that has it.
type Entry = [u8; 32];

fn entry(term: &Hashed, run: RunId) -> Entry {
    let mut entry = [0; 32];
    entry.iter_mut().zip(term.iter().chain(run.as_bytes())).for_each(|(to, from)| *to = *from);
    entry
}

fn run_of(entry: &Entry) -> Option<RunId> {
    entry.last_chunk::<16>().map(|run| RunId::from_bytes(*run))
}

/// What the file of names says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Names {
    format: u32,
    /// Random, in hexadecimal digits.
    number: String,
    /// Tells whether the key is that of the tables.
    check: String,
    /// Up to where events are in the tables.
    position: Position,
    tables: Vec<Named>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    file: u64,
    count: u64,
    crc: u32,
}

/// The entries.
#[derive(Debug)]
pub(super) struct Parts {
    folder: PathBuf,
    number: Hash,
    key: hmac::Key,
    tables: Vec<Part>,
    fresh: BTreeSet<Entry>,
    position: Position,
}

#[derive(Debug)]
struct Part {
    file: u64,
    summary: TableSummary,
    table: Table<32>,
}

impl Part {
    fn new(folder: &Path, file: u64, summary: TableSummary) -> Self {
        Self { file, summary, table: Table::new(path(folder, file), summary) }
    }
}

fn path(folder: &Path, file: u64) -> PathBuf {
    folder.join(format!("{file:08}.terms"))
}

/// Deletes the index in a folder: first what makes the rest readable.
pub(super) fn delete(folder: &Path) -> Result<(), StoreError> {
    let names = folder.join(NAMES);
    if !folder.exists() {
        return Ok(());
    }
    if names.exists() {
        fs::remove_file(&names).tried("deleting", &names)?;
        files::sync_parent(&names).tried("deleting", &names)?;
    }
    files::remove_dir(folder)
}

impl Parts {
    /// Opens what is in a folder, or begins there. `last` is the last position of the log that can be in it.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], with a path in the folder, where what is there is not of use.
    pub(super) fn open(folder: &Path, keys: &Unlocked, last: Position) -> Result<Self, StoreError> {
        let file = folder.join(NAMES);
        let Some(bytes) = files::read(&file)? else {
            let mut number = Hash::default();
            rand::rng().fill_bytes(&mut number);
            let (key, position) = (derived(keys, &number), Position(0));
            let (tables, fresh) = (Vec::new(), BTreeSet::new());
            return Ok(Self { folder: folder.to_owned(), number, key, tables, fresh, position });
        };
        let unusable = |what: &str| StoreError::Corrupt { path: file.clone(), what: what.to_owned() };
        let names = checked(&bytes).ok_or_else(|| unusable("it is not as it was written"))?;
        let number = crate::blobs::hash_of(&names.number).ok_or_else(|| unusable("it has no number"))?;
        let key = derived(keys, &number);
        if names.format != FORMAT || names.check != check(&key) || names.position > last {
            return Err(unusable("it is of another form, of other keys, or ahead of the log"));
        }
        let part = |named: &Named| {
            let summary = TableSummary { count: named.count, crc: named.crc };
            Part::new(folder, named.file, summary)
        };
        let tables = names.tables.iter().map(part).collect();
        let (fresh, position) = (BTreeSet::new(), names.position);
        Ok(Self { folder: folder.to_owned(), number, key, tables, fresh, position })
    }

    /// Up to where events are in it.
    pub(super) fn position(&self) -> Position {
        self.position
    }

    pub(super) fn hashed(&self, term: &Term) -> Hashed {
        let (kind, word) = match term {
            Term::User(word) => (1, word.as_str()),
            Term::Workflow(word) => (2, word.as_str()),
            Term::Connector(word) => (3, word.as_str()),
            Term::Action(word) => (4, word.as_str()),
            Term::Target(word) => (5, word.as_str()),
            Term::Ended(status) => (6, status.as_str()),
        };
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&[kind]);
        context.update(word.as_bytes());
        let mut hashed = Hashed::default();
        hashed.iter_mut().zip(context.sign().as_ref()).for_each(|(to, from)| *to = *from);
        hashed
    }

    /// A run has a term.
    pub(super) fn add(&mut self, term: &Term, run: RunId) {
        self.fresh.insert(entry(&self.hashed(term), run));
    }

    /// All events up to there are in it.
    pub(super) fn came_to(&mut self, position: Position) -> Result<(), StoreError> {
        self.position = position;
        if self.fresh.len() >= MOST { self.write() } else { Ok(()) }
    }

    /// The log is read: what is worth it is kept for the next process.
    pub(super) fn settle(&mut self) -> Result<(), StoreError> {
        if self.fresh.len() >= ENOUGH { self.write() } else { Ok(()) }
    }

    /// How many runs have a term; a run may be counted more than once.
    pub(super) fn count(&self, term: &Hashed) -> Result<u64, StoreError> {
        let mut count = self.fresh.range(within(term, None)).count() as u64;
        for part in &self.tables {
            count += part.table.count(term)?;
        }
        Ok(count)
    }

    /// The next runs that have a term below a run, newest first, at most `limit`.
    pub(super) fn below(
        &self,
        term: &Hashed,
        before: Option<RunId>,
        limit: usize,
    ) -> Result<Vec<RunId>, StoreError> {
        let range = within(term, before);
        let mut found: BTreeSet<RunId> =
            self.fresh.range(range.clone()).rev().take(limit).filter_map(run_of).collect();
        for part in &self.tables {
            let mut count = 0;
            part.table.each_below(Some(&range.end), &mut |entry| {
                let has_it = entry.starts_with(term);
                if has_it {
                    found.extend(run_of(entry));
                    count += 1;
                }
                has_it && count < limit
            })?;
        }
        Ok(found.into_iter().rev().take(limit).collect())
    }

    /// Writes what is new into a table, and puts together what is of like size.
    fn write(&mut self) -> Result<(), StoreError> {
        files::create_dir(&self.folder)?;
        let file = self.tables.iter().map(|part| part.file).max().unwrap_or(0) + 1;
        let summary = table::write(&path(&self.folder, file), self.fresh.iter().copied())?;
        self.tables.push(Part::new(&self.folder, file, summary));
        self.fresh.clear();
        let mut gone = Vec::new();
        while let [.., older, newer] = &self.tables[..] {
            if older.summary.count > newer.summary.count.saturating_mul(LIKE) {
                break;
            }
            let file = newer.file + 1;
            let summary = together(&older.table, &newer.table, &path(&self.folder, file))?;
            gone.extend([older.file, newer.file]);
            self.tables.truncate(self.tables.len() - 2);
            self.tables.push(Part::new(&self.folder, file, summary));
        }
        self.write_names()?;
        gone.iter().for_each(|file| files::forget(&path(&self.folder, *file)));
        Ok(())
    }

    fn write_names(&self) -> Result<(), StoreError> {
        let named = |part: &Part| Named { file: part.file, count: part.summary.count, crc: part.summary.crc };
        let names = Names {
            format: FORMAT,
            number: digits(&self.number),
            check: check(&self.key),
            position: self.position,
            tables: self.tables.iter().map(named).collect(),
        };
        let text = serde_json::json!(names).to_string();
        let sum = crc32fast::hash(text.as_bytes());
        files::replace(&self.folder.join(NAMES), format!("{text}\n{sum:08x}\n").as_bytes())
    }
}

/// What a file of names says, where it is as it was written.
fn checked(bytes: &[u8]) -> Option<Names> {
    let (text, sum) = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?.rsplit_once('\n')?;
    if sum != format!("{:08x}", crc32fast::hash(text.as_bytes())) {
        return None;
    }
    serde_json::from_str(text).ok()
}

/// Every entry of a term, with runs below one.
fn within(term: &Hashed, before: Option<RunId>) -> std::ops::Range<Entry> {
    let end = before.unwrap_or_else(|| RunId::from_bytes([255; 16]));
    entry(term, RunId::from_bytes([0; 16]))..entry(term, end)
}

/// Puts two tables together into a file.
fn together(one: &Table<32>, other: &Table<32>, to: &Path) -> Result<TableSummary, StoreError> {
    let mut failed = Ok(());
    let mut entries = [one.entries()?.peekable(), other.entries()?.peekable()];
    let merged = std::iter::from_fn(|| {
        let [one, other] = &mut entries;
        let next = match (one.peek(), other.peek()) {
            (Some(Ok(first)), Some(Ok(second))) if first == second => {
                other.next();
                one.next()
            }
            (Some(Ok(first)), Some(Ok(second))) if second < first => other.next(),
            (Some(_), _) => one.next(),
            (None, _) => other.next(),
        };
        match next? {
            Ok(entry) => Some(entry),
            Err(error) => {
                failed = Err(error);
                None
            }
        }
    });
    let summary = table::write(to, merged)?;
    failed.map(|()| summary)
}

/// The key of the index: in an encrypted store nobody has it who has not the store's.
fn derived(keys: &Unlocked, number: &Hash) -> hmac::Key {
    let key = match keys {
        Unlocked::Open(ring) => ring.derived(b"enact.run-index.1", number),
        Unlocked::Plain | Unlocked::Locked(_) => *number,
    };
    hmac::Key::new(hmac::HMAC_SHA256, &key)
}

fn check(key: &hmac::Key) -> String {
    digits(hmac::sign(key, b"enact.run-index.check.1").as_ref().get(..8).unwrap_or_default())
}
