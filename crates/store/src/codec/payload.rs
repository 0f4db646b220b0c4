//! The bodies of events in bincode: which versions there are, and how each is read today.
//!
//! bincode does not describe itself, so a body that was ever released keeps its form for ever. A body that
//! changes gets a new version: a row in [`READERS`] for the new form, and the old row stays, its function
//! reading the old form and turning it into the event of today.

use bincode::Options;
use enact_core::event::Event;
use enact_core::store::StoreError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::CodecError;

fn format() -> impl Options {
    bincode::DefaultOptions::new().reject_trailing_bytes()
}

fn write<T: Serialize>(version: u16, body: &T) -> Result<(u16, Vec<u8>), StoreError> {
    let bytes = format().serialize(body).map_err(|error| {
        StoreError::io("encoding an event", std::io::Error::new(std::io::ErrorKind::InvalidData, error))
    })?;
    Ok((version, bytes))
}

fn read<T: DeserializeOwned>(payload: &[u8]) -> Result<T, CodecError> {
    format()
        .deserialize(payload)
        .map_err(|error| CodecError::damaged(format!("a payload does not read: {error}")))
}

/// Reads one version of one kind and gives the event of today.
pub(super) type ReadFn = fn(&[u8]) -> Result<Event, CodecError>;

macro_rules! kinds {
    (
        $($code:literal v $version:literal $name:ident,)* ;
        $($empty_code:literal $empty:ident,)* ;
        $($old_code:literal v $old_version:literal $old:ident,)*
    ) => {
        /// Writes the body of an event in the newest version of its kind.
        pub(crate) fn encode(event: &Event) -> Result<(u16, Vec<u8>), StoreError> {
            match event {
                $(Event::$name(body) => write($version, body),)*
                $(Event::$empty => Ok((1, Vec::new())),)*
                Event::PayloadErased(_) => {
                    let error = std::io::Error::new(std::io::ErrorKind::InvalidInput, "it only says that one is gone");
                    Err(StoreError::io("encoding an event", error))
                }
            }
        }

        /// Every version of every kind that was ever written.
        pub(super) const READERS: &[(u16, u16, ReadFn)] = &[
            $(($code, $version, |payload| read(payload).map(Event::$name)),)*
            $(($empty_code, 1, |payload| read::<()>(payload).map(|()| Event::$empty)),)*
            $(($old_code, $old_version, |payload| read::<old::$old>(payload).map(Event::from)),)*
        ];
    };
}

kinds! {
    1 v 1 RunAccepted,
    2 v 2 PoliciesEvaluated,
    3 v 1 RunBlocked,
    4 v 1 ApprovalRequested,
    5 v 1 ApprovalDecided,
    10 v 1 ActionRefused,
    11 v 1 ActionRead,
    12 v 1 ActionAlreadyDone,
    13 v 1 ActionIntended,
    14 v 1 ActionSucceeded,
    15 v 1 ActionFailed,
    16 v 1 ActionResolved,
    17 v 1 ActionCaptureFailed,
    20 v 1 TimerSet,
    21 v 1 TimerFired,
    22 v 1 ValueRecorded,
    30 v 1 CancelRequested,
    31 v 1 RunSucceeded,
    32 v 1 RunFailed,
    40 v 1 RollbackRequested,
    41 v 1 CompensationIntended,
    42 v 1 CompensationSucceeded,
    43 v 1 CompensationSkipped,
    44 v 1 CompensationConflicted,
    45 v 1 CompensationFailed,
    46 v 1 CompensationResolved,
    50 v 1 RunQuarantined,
    51 v 1 OperatorDecided,
    60 v 1 ContentErased,
    ;
    47 RollbackFinished,
    ;
    2 v 1 PoliciesEvaluated1,
}

/// Bodies that are not written any more.
mod old {
    use enact_core::event::{Event, PoliciesEvaluated};
    use enact_core::policy::VerdictRecord;
    use serde::Deserialize;

    #[derive(Deserialize)]
    pub(super) struct PoliciesEvaluated1 {
        verdicts: Vec<VerdictRecord>,
    }

    impl From<PoliciesEvaluated1> for Event {
        fn from(PoliciesEvaluated1 { verdicts }: PoliciesEvaluated1) -> Self {
            Self::PoliciesEvaluated(PoliciesEvaluated { verdicts, policies: None })
        }
    }
}

/// Reads a payload of any version that was ever written.
pub(crate) fn decode(kind: u16, version: u16, payload: &[u8]) -> Result<Event, CodecError> {
    if let Some((.., read)) = READERS.iter().find(|(k, v, _)| (*k, *v) == (kind, version)) {
        return read(payload);
    }
    let versions = READERS.iter().filter(|(k, ..)| *k == kind).map(|(_, v, _)| *v);
    match versions.max() {
        Some(known) => Err(CodecError::Newer {
            what: "payload version",
            found: u32::from(version),
            known: u32::from(known),
        }),
        None => {
            let known = READERS.iter().map(|(k, ..)| *k).max().unwrap_or_default();
            Err(CodecError::Newer { what: "kind", found: u32::from(kind), known: u32::from(known) })
        }
    }
}

/// The hashes of the blobs that an event refers to.
pub(crate) fn blobs(event: &Event) -> &[enact_core::blob::BlobRef] {
    match event {
        Event::ActionIntended(intended) => &intended.blobs,
        Event::CompensationIntended(intended) => &intended.blobs,
        _ => &[],
    }
}
