//! The names of things: runs, events, actions, intents, call paths.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

use crate::error::{Error, ErrorCode};

/// One execution of a workflow. A UUID of version 7: ordered by the time at which the run was accepted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(Uuid);

impl RunId {
    /// Makes an id from a Unix time in milliseconds and ten random bytes. Core has no clock and no
    /// randomness of its own; both come from the caller.
    #[must_use]
    pub fn from_parts(unix_ms: u64, random: [u8; 10]) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(unix_ms, &random).into_uuid())
    }

    /// The id from its sixteen bytes, as [`RunId::as_bytes`] gave them.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The sixteen bytes of the id; their order is the order of acceptance, to the millisecond.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The Unix time in milliseconds at which the run was accepted.
    #[must_use]
    pub fn unix_ms(&self) -> u64 {
        let mut wide = [0_u8; 8];
        for (to, from) in wide.iter_mut().skip(2).zip(self.0.as_bytes()) {
            *to = *from;
        }
        u64::from_be_bytes(wide)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.as_hyphenated())
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for RunId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Uuid::parse_str(text).map(Self).map_err(|_| {
            Error::new(
                ErrorCode::InvalidParameters,
                format!("'{text}' is not a run id (a UUID such as 0190b6c2-…)"),
            )
        })
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The number after this one.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number! {
    /// The number of an action within its run, from 1, in the order in which actions were asked for.
    Seq
}
number! {
    /// The number of an event within its run's stream, from 1. As a *version*, it is the number of the last
    /// event of the stream, and 0 for a stream that does not exist.
    EventSeq
}
number! {
    /// The place of an event in the whole log, from 1. As "durable up to", 0 means nothing yet.
    Position
}

/// Where in the workflow's code a call was made: program order within a branch, branch index within a
/// join, for example `3` or `4.0.1` (first call of branch 0 of the join that was call 4). It identifies a
/// call when the code runs again; the order of the log does not.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallPath(Box<str>);

impl CallPath {
    /// Call number `number` (from 1) of the workflow's main line.
    #[must_use]
    pub fn root(number: u32) -> Self {
        Self(number.to_string().into())
    }

    /// Call number `number` (from 1) of branch `branch` (from 0) of the join made at this path.
    #[must_use]
    pub fn branch(&self, branch: u32, number: u32) -> Self {
        Self(format!("{}.{branch}.{number}", self.0).into())
    }
}

impl fmt::Display for CallPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CallPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether an intent goes forward or undoes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// An action that the workflow asked for.
    Forward,
    /// The compensation of such an action.
    Undo,
}

/// The idempotency key of one intent: the same for every sending of that intent, different for every other
/// intent of the world. Systems that can carry a key are given it; a probe looks for it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct EffectId {
    /// The run.
    pub run: RunId,
    /// The action within the run.
    pub seq: Seq,
    /// The forward attempt (from 1) that the intent makes or undoes.
    pub attempt: u32,
    /// Forward or undo.
    pub direction: Direction,
    /// The try of the compensation, from 1; 0 for a forward intent.
    pub undo_try: u32,
}

impl fmt::Display for EffectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.run, self.seq, self.attempt)?;
        match self.direction {
            Direction::Forward => Ok(()),
            Direction::Undo => write!(f, "-u{}", self.undo_try),
        }
    }
}

/// Stands for a user in the clear header of a record: says that two records have the same author, and not
/// who that is. Made by the store from the user's name and a salt of its own. In text, 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Pseudonym(pub [u8; 16]);

impl Serialize for Pseudonym {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{self:?}"))
    }
}

impl<'de> Deserialize<'de> for Pseudonym {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let number =
            u128::from_str_radix(&text, 16).ok().filter(|_| text.len() == 32 && !text.starts_with('+'));
        let number = number.ok_or_else(|| de::Error::custom("a pseudonym is 32 hexadecimal digits"))?;
        Ok(Self(number.to_be_bytes()))
    }
}

impl fmt::Debug for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_pseudonym_is_digits_in_text() {
        let pseudonym = super::Pseudonym(*b"0123456789abcdef");
        let text = serde_json::to_string(&pseudonym).unwrap();
        assert_eq!(text, r#""30313233343536373839616263646566""#);
        assert_eq!(serde_json::from_str::<super::Pseudonym>(&text).unwrap(), pseudonym);
        for wrong in
            [r#""3031""#, r#""+0313233343536373839616263646566""#, r#""x0313233343536373839616263646566""#]
        {
            assert!(serde_json::from_str::<super::Pseudonym>(wrong).is_err(), "{wrong}");
        }
    }

    use super::*;

    #[test]
    fn run_ids_sort_by_time_and_read_back() {
        let early = RunId::from_parts(1_700_000_000_000, [9; 10]);
        let late = RunId::from_parts(1_700_000_000_001, [0; 10]);
        assert!(early < late);
        assert_eq!(early.unix_ms(), 1_700_000_000_000);
        assert_eq!(early.to_string().parse::<RunId>().unwrap(), early);
        assert_eq!(RunId::from_bytes(*early.as_bytes()), early);
    }

    #[test]
    fn a_word_that_is_no_run_id_is_refused_by_name() {
        let error = "yesterday's".parse::<RunId>().unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidParameters);
        assert!(error.to_string().contains("yesterday's"));
    }

    #[test]
    fn effect_ids_of_forward_and_undo_differ() {
        let run = RunId::from_parts(1, [0; 10]);
        let forward = EffectId { run, seq: Seq(2), attempt: 1, direction: Direction::Forward, undo_try: 0 };
        let undo = EffectId { direction: Direction::Undo, undo_try: 1, ..forward };
        assert_eq!(forward.to_string(), format!("{run}-2-1"));
        assert_eq!(undo.to_string(), format!("{run}-2-1-u1"));
    }

    #[test]
    fn call_paths_name_branch_and_order() {
        assert_eq!(CallPath::root(4).branch(0, 1).to_string(), "4.0.1");
    }
}
