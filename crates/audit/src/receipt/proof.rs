//! What proves a receipt beside its signature: that its events are in the log that a checkpoint signs.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use enact_merkle::{Hash, Inclusion};
use enact_store::{HASHED_BYTES, ProvableEvent, RecordHeader};
use serde::{Deserialize, Serialize};

use super::BadReceipt;
use super::said::salted;
use super::statement::{EventSaid, Statement};
use crate::checkpoint::Checkpoint;

/// Something that a digest of the statement is of, for those who may see it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Disclosed {
    /// Which digest.
    pub(super) label: String,
    /// Its key, in base64.
    pub(super) salt: String,
    /// What it is of; JSON.
    pub(super) content: String,
}

impl Disclosed {
    /// Whether it is what the digest is of.
    pub(super) fn verify(&self, statement: &Statement) -> Result<(), BadReceipt> {
        let other = || BadReceipt::Disclosed(self.label.clone());
        let digests = statement.digests();
        let (_, digest) = digests.iter().find(|(label, _)| *label == self.label).ok_or_else(other)?;
        let salt = STANDARD.decode(&self.salt).map_err(|_| other())?;
        if salt.len() == 32 && salted(&salt, &self.content) == **digest { Ok(()) } else { Err(other()) }
    }
}

/// The ways of events up to the root. Events that are close to each other have most of it in common, so each hash stands here once.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Paths {
    /// Hashes, in base64.
    hashes: Vec<String>,
    /// For each event the places of the hashes beside its way, the lowest first.
    paths: Vec<Vec<u32>>,
}

impl Paths {
    /// Those of proofs.
    pub(super) fn of(proofs: &[Inclusion]) -> Self {
        let (mut known, mut hashes) = (HashMap::<Hash, u32>::new(), Vec::new());
        let mut place = |hash: &Hash| {
            *known.entry(*hash).or_insert_with(|| {
                hashes.push(STANDARD.encode(hash));
                // There are no more of them than 64 for each event.
                u32::try_from(hashes.len() - 1).unwrap_or(u32::MAX)
            })
        };
        let paths = proofs.iter().map(|proof| proof.path.iter().map(&mut place).collect()).collect();
        Self { hashes, paths }
    }

    /// Whether each event of the statement is in the log that the checkpoint is of, where it says.
    pub(super) fn verify(&self, statement: &Statement, checkpoint: &Checkpoint) -> Result<(), BadReceipt> {
        if statement.events.len() != self.paths.len() {
            return Err(BadReceipt::Form("there is not one path for each event".into()));
        }
        let hashes: Vec<Hash> = self
            .hashes
            .iter()
            .map(|hash| bytes(hash))
            .collect::<Option<_>>()
            .ok_or_else(|| BadReceipt::Form("a hash of the paths is not 32 bytes in base64".into()))?;
        let mut before = 0;
        for ((number, event), path) in (1..).zip(&statement.events).zip(&self.paths) {
            let position = event.position;
            let leaf = leaf(statement, number, event)
                .ok_or(BadReceipt::Event { position, what: "its header says something else" })?;
            if position <= before {
                return Err(BadReceipt::Event { position, what: "it is not behind the event before it" });
            }
            before = position;
            let path = path.iter().map(|place| hashes.get(usize::try_from(*place).ok()?).copied());
            let path = path.collect::<Option<_>>();
            let path = path.ok_or_else(|| BadReceipt::Form("a path has a hash that is not there".into()))?;
            let proof = Inclusion { index: position - 1, size: checkpoint.size, path };
            if !proof.verify(leaf, checkpoint.root) {
                return Err(BadReceipt::Event { position, what: "it is not in the log" });
            }
        }
        if before == 0 { Err(BadReceipt::Form("there are no events".into())) } else { Ok(()) }
    }
}

/// The leaf hash of an event, where its header says what is said of it.
fn leaf(statement: &Statement, number: u64, event: &EventSaid) -> Option<Hash> {
    let header = bytes::<HASHED_BYTES>(&event.header)?;
    let RecordHeader { kind, run_id, event_seq, position, at, .. } = RecordHeader::parse(&header)?;
    let is_said = run_id.to_string() == statement.run_id
        && (event_seq.0, event.event_seq) == (number, number)
        && position.0 == event.position
        && at.to_string() == event.at
        && enact_core::event::Event::name_of(kind) == event.kind;
    is_said.then(|| Some(ProvableEvent::leaf_of(&header, &bytes(&event.payload)?))).flatten()
}

fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}
