//! What is in an event, as it follows from its place.

use enact_core::blob::BlobRef;
use enact_core::connector::Identity;
use enact_core::event::{CompensationIntended, Event, NewEvent, ValueRecorded};
use enact_core::ids::{CallPath, EventSeq, Pseudonym, RunId, Seq};
use enact_core::json::JsonText;
use enact_core::time::Timestamp;

/// How many streams are written at a time.
pub(crate) const STREAMS: u64 = 8;
/// The most events in one append.
const MAX_GROUP: u64 = 40;

/// The run with a number, from 1.
pub(crate) fn run(number: u64) -> RunId {
    RunId::from_parts(number, [7; 10])
}

/// What follows from a place in a run, and from what is asked about it.
fn draw(run: RunId, seq: EventSeq, about: u64) -> u64 {
    let start =
        run.as_bytes().iter().fold(seq.0 ^ (about << 56), |mixed, byte| mix(mixed ^ u64::from(*byte)));
    mix(start)
}

/// The step of `SplitMix64`.
fn mix(state: u64) -> u64 {
    let mut mixed = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// How many events a run gets before it is closed.
pub(crate) fn length(run: RunId) -> u64 {
    20 + draw(run, EventSeq(0), 1) % 600
}

/// How many events the group has that begins behind `seq`; it ends with the run.
pub(crate) fn group(run: RunId, seq: EventSeq) -> u64 {
    let drawn = draw(run, seq, 2);
    let size = if drawn.is_multiple_of(3) { 1 } else { 1 + (drawn >> 8) % MAX_GROUP };
    size.min(length(run).saturating_sub(seq.0))
}

/// Whether the group that begins behind `seq` is waited for.
pub(crate) fn is_waited_for(run: RunId, seq: EventSeq) -> bool {
    !draw(run, seq, 3).is_multiple_of(4)
}

/// The blob that an event refers to, where it refers to one. A run keeps none before its first group is there.
pub(crate) fn blob(run: RunId, seq: EventSeq) -> Option<Vec<u8>> {
    let drawn = draw(run, seq, 4);
    let may_refer = seq.0 > group(run, EventSeq(0));
    (may_refer && drawn.is_multiple_of(40)).then(|| bytes(drawn, (drawn >> 8) % 70_000))
}

/// The event, with the blob where there is one.
pub(crate) fn event(run: RunId, seq: EventSeq, blob: Option<BlobRef>) -> NewEvent {
    let event = match blob {
        Some(blob) => Event::CompensationIntended(refers(run, seq, blob).into()),
        None => Event::ValueRecorded(ValueRecorded {
            path: CallPath::root(1),
            what: "exercise".into(),
            value: text(run, seq),
        }),
    };
    NewEvent { at: Timestamp::from_unix_us(seq.0), by: Pseudonym::default(), event }
}

fn refers(run: RunId, seq: EventSeq, blob: BlobRef) -> CompensationIntended {
    CompensationIntended {
        seq: Seq(1),
        attempt: 1,
        undo_try: 1,
        action: "exercise".into(),
        version: 1,
        params: text(run, seq),
        pre: JsonText::null(),
        blobs: vec![blob],
        identity: Identity("exerciser".into()),
        by: "exerciser".into(),
    }
}

/// Mostly short, sometimes of several pages, seldom large.
fn text(run: RunId, seq: EventSeq) -> JsonText {
    let drawn = draw(run, seq, 5);
    let most = match drawn % 400 {
        0 => 300_000,
        1..20 => 9_000,
        _ => 400,
    };
    let letters = bytes(drawn, (drawn >> 16) % most)
        .iter()
        .map(|byte| char::from(b'a' + byte % 26))
        .collect::<String>();
    JsonText::encode(&letters).unwrap_or_else(|_| JsonText::null())
}

fn bytes(seed: u64, size: u64) -> Vec<u8> {
    let mut state = seed;
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < size {
        state = mix(state);
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(usize::try_from(size).unwrap_or(usize::MAX));
    bytes
}
