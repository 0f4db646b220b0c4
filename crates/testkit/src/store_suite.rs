//! What every event store must do, as one suite: the contract of [`EventStore`], one function per behaviour.
//!
//! A store's author says with [`Stores`] how one is made, closed and crashed, and
//! [`store_suite!`](crate::store_suite!) makes a test of each behaviour. The suite knows the trait and nothing of
//! any store: no file, no format, no time that something takes. What it waits for, it waits for without end; the
//! runner of the tests ends what hangs.
//!
//! ```
//! use enact_store::MemoryStore;
//! use enact_testkit::store_suite::Stores;
//!
//! struct InMemory;
//!
//! impl Stores for InMemory {
//!     type Store = MemoryStore;
//!     async fn fresh(&self) -> MemoryStore { MemoryStore::new() }
//!     async fn reopen(&self, store: MemoryStore) -> MemoryStore { store }
//!     async fn crash(&self, store: MemoryStore) -> MemoryStore { store.crash() }
//! }
//!
//! enact_testkit::store_suite!(InMemory);
//! ```

#![expect(clippy::unwrap_used, clippy::panic, reason = "a broken contract ends the test with what was seen")]

pub mod appending;
pub mod durability;
pub mod following;
pub mod reading;
pub mod runs;

use std::fmt::Debug;
use std::future::Future;

use enact_core::event::{Event, NewEvent, StoredEvent, ValueRecorded};
use enact_core::ids::{CallPath, EventSeq, Position, RunId};
use enact_core::json::JsonText;
use enact_core::store::{Append, Appended, Durability, EventStore, Fence, MAX_PAGE, RunMark, StoreError};
use enact_core::time::Timestamp;

/// How stores under test come and go.
pub trait Stores {
    /// The store under test. Clones, where it has them, are not made by the suite.
    type Store: EventStore;

    /// A new, empty store.
    fn fresh(&self) -> impl Future<Output = Self::Store>;

    /// Closes the store in order and opens it again.
    fn reopen(&self, store: Self::Store) -> impl Future<Output = Self::Store>;

    /// Opens what a crash at this moment leaves. What was appended and is not durable may be gone.
    fn crash(&self, store: Self::Store) -> impl Future<Output = Self::Store>;
}

/// Makes a test of each behaviour of the suite, for the [`Stores`](crate::store_suite::Stores) that the expression
/// gives. The crate that calls it needs tokio with `macros` and `rt-multi-thread`.
#[macro_export]
macro_rules! store_suite {
    ($stores:expr) => {
        $crate::store_suite! { $stores;
            appending::positions_have_no_gaps_and_follow_the_order_of_the_calls,
            appending::many_writers_at_once_keep_each_streams_order_and_each_append_in_one_piece,
            appending::a_version_that_is_not_the_streams_is_a_conflict_and_appends_nothing,
            appending::of_writers_of_one_version_exactly_one_wins,
            appending::a_closed_run_keeps_its_version_and_can_be_opened_again,
            appending::an_append_without_events_is_refused,
            appending::a_record_over_the_limit_is_refused_and_leaves_nothing,
            appending::records_of_every_size_read_back,
            appending::dropping_an_append_leaves_all_of_it_or_nothing,
            appending::an_append_whose_caller_is_gone_becomes_durable,
            durability::durable_never_falls_and_covers_what_was_acknowledged,
            durability::readers_see_all_that_is_durable_and_nothing_else,
            durability::what_is_only_ordered_is_not_read,
            durability::those_who_wait_for_more_are_woken,
            durability::what_nobody_waits_for_becomes_durable_by_itself,
            durability::waiting_for_an_enqueued_append_ends,
            durability::a_clean_end_keeps_everything,
            durability::a_crash_keeps_a_beginning_with_all_that_was_acknowledged,
            durability::after_a_crash_runs_keys_and_versions_are_those_of_the_events,
            durability::crash_after_crash_the_log_goes_on_without_a_gap,
            following::what_is_there_and_what_comes_is_delivered_once_and_in_order,
            following::it_goes_on_behind_what_was_delivered_after_closing_and_after_crashes,
            following::who_does_not_read_holds_nobody_up_and_misses_nothing,
            following::what_is_there_now_ends,
            following::of_a_run_only_its_events_are_delivered_those_to_come_too,
            following::what_it_is_to_end_with_ends_it_behind_all_that_was_durable,
            reading::pages_are_bounded,
            reading::past_the_end_and_of_unknown_runs_there_is_nothing,
            reading::the_whole_log_is_its_streams_by_position,
            reading::events_read_back_as_they_were_written,
            reading::blobs_read_back_and_outlive_closing_and_crashes,
            reading::a_pseudonym_belongs_to_a_user_and_a_store,
            runs::open_runs_are_listed_oldest_first_until_they_are_closed,
            runs::runs_are_listed_newest_first_page_by_page,
            runs::a_key_finds_its_run_at_once_and_for_good,
            runs::a_key_belongs_to_one_run,
            runs::of_runs_that_race_for_a_key_exactly_one_gets_it,
            runs::a_refused_append_does_not_take_its_key,
        }
    };
    ($stores:expr; $($group:ident::$behaviour:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() {
                $crate::store_suite::$group::$behaviour(&$stores).await;
            }
        )*
    };
}

/// The run that was accepted in millisecond `ms` of the test's time.
fn run(ms: u64) -> RunId {
    RunId::from_parts(1_700_000_000_000 + ms, [7; 10])
}

/// An event that says `text`.
fn said(text: &str) -> NewEvent {
    let value = JsonText::encode(text).unwrap();
    let event = Event::ValueRecorded(ValueRecorded { path: CallPath::root(1), what: "said".into(), value });
    NewEvent { at: Timestamp::from_unix_us(1_700_000_000_000_000), by: Default::default(), event }
}

/// What an event of [`said`] says.
fn text(event: &StoredEvent) -> String {
    match &event.event {
        Event::ValueRecorded(recorded) => recorded.value.decode().unwrap(),
        other => panic!("not what the suite wrote: {other:?}"),
    }
}

/// An append of one event that says `text`, with a barrier, which leaves the run open.
fn one(run: RunId, expected: u64, text: &str) -> Append {
    many(run, expected, [text])
}

/// An append of several such events.
fn many<'a>(run: RunId, expected: u64, texts: impl IntoIterator<Item = &'a str>) -> Append {
    Append {
        run,
        expected: EventSeq(expected),
        fence: Fence::NONE,
        events: texts.into_iter().map(said).collect(),
        mark: RunMark::Open,
        key: None,
        durability: Durability::Barrier,
    }
}

fn closing(append: Append) -> Append {
    Append { mark: RunMark::Closed, ..append }
}

fn keyed(append: Append, key: &str) -> Append {
    Append { key: Some(key.to_owned()), ..append }
}

fn enqueued(append: Append) -> Append {
    Append { durability: Durability::Enqueued, ..append }
}

/// Appends and waits until that is durable.
async fn put(store: &impl EventStore, append: Append) -> Position {
    let appended = store.append(append).await.unwrap();
    let position = appended.position;
    appended.durable().await.unwrap();
    position
}

/// What an append that must not succeed says.
async fn refusal(store: &impl EventStore, append: Append) -> StoreError {
    refused(store.append(append).await)
}

fn refused<T: Debug>(result: Result<T, StoreError>) -> StoreError {
    match result {
        Ok(done) => panic!("it has to be refused and was not: {done:?}"),
        Err(error) => error,
    }
}

/// Asserts a conflict with the version that the stream has.
async fn assert_conflict(store: &impl EventStore, append: Append, has: u64) {
    let (wanted, thought) = (append.run, append.expected);
    match refusal(store, append).await {
        StoreError::Conflict { run, expected, actual } => {
            assert_eq!((run, expected, actual), (wanted, thought, EventSeq(has)));
        }
        other => panic!("not a conflict: {other}"),
    }
}

/// All durable events, page by page.
async fn all(store: &impl EventStore) -> Vec<StoredEvent> {
    let (mut events, mut from) = (Vec::new(), Position(1));
    loop {
        let page = store.read_all(from, MAX_PAGE).await.unwrap();
        let Some(last) = page.last() else { return events };
        from = last.position.next();
        events.extend(page);
    }
}

/// All durable events of a run, page by page.
async fn stream(store: &impl EventStore, run: RunId) -> Vec<StoredEvent> {
    let (mut events, mut from) = (Vec::new(), EventSeq(1));
    loop {
        let page = store.read(run, from, MAX_PAGE).await.unwrap();
        let Some(last) = page.last() else { return events };
        from = last.event_seq.next();
        events.extend(page);
    }
}

/// What all durable events say.
async fn texts(store: &impl EventStore) -> Vec<String> {
    all(store).await.iter().map(text).collect()
}

fn assert_positions_have_no_gaps(events: &[StoredEvent]) {
    for (event, position) in events.iter().zip(1..) {
        assert_eq!(event.position, Position(position));
    }
}

/// Waits for all to be durable, in the order in which they were appended.
async fn all_durable(appended: impl IntoIterator<Item = Appended>) {
    for appended in appended {
        appended.durable().await.unwrap();
    }
}
