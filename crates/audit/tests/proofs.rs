//! A store's log, signed and proved.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use common::*;
use enact_audit::{AuditError, Checkpoint, Notary, PublicKeys, origin, verify};
use enact_core::ids::Position;
use enact_core::time::Timestamp;
use enact_merkle::Frontier;
use enact_store::{Ledger, SledStore};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_is_proved_as_far_as_it_is_signed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = open(&path);
    let notary = Notary::open(Arc::clone(&store), key(1)).await.unwrap();
    assert_eq!(notary.checkpoint().await.unwrap(), None, "an empty log is not signed");
    assert!(!path.join("checkpoints").exists());
    assert_eq!(proved(&store).await.unwrap().checkpoints, 0);

    fill(&store, 1..=5, 100).await;
    let first = notary.checkpoint().await.unwrap().unwrap();
    assert_eq!(notary.checkpoint().await.unwrap().unwrap(), first, "it says the same of the same log");
    assert_eq!(lines(&path).len(), 1);
    fill(&store, 6..=8, 100).await;
    let partly = proved(&store).await.unwrap();
    assert_eq!((partly.signed, partly.verified.events, partly.checkpoints), (10, 16, 1));

    let second = notary.checkpoint().await.unwrap().unwrap();
    let whole = proved(&store).await.unwrap();
    assert_eq!((whole.signed, whole.verified.events, whole.checkpoints), (16, 16, 2));
    let said = Checkpoint::verify(&second, &trusting(&store, &[1])).unwrap();
    assert_eq!((said.origin, said.size, said.root), (origin(&store), 16, whole.root));
    for kept_elsewhere in [first, second] {
        assert_eq!(against(&store, trusting(&store, &[1]), &kept_elsewhere).await.unwrap(), whole);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_process_goes_on_from_the_last_checkpoint_also_over_sealed_and_pruned_volumes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = open(&path);
    let mut checkpoints = Vec::new();
    for round in 0..4 {
        fill(&store, round * 60 + 1..=round * 60 + 60, 3000).await;
        checkpoints.push(sign(&store, 1).await);
    }
    sealed(&store, 3).await;
    let pruned = store.prune(Timestamp::from_unix_us(u64::MAX)).await.unwrap();
    assert!(pruned.up_to > Position(100), "{pruned:?}");
    store.close().unwrap();
    drop(store);

    let store = Arc::new(SledStore::options().without_key().open(&path).unwrap());
    let proved = proved(&store).await.unwrap();
    assert_eq!(
        (proved.signed, proved.checkpoints),
        (480, 4),
        "without the master key, and what was pruned too"
    );
    assert!(proved.verified.events < 480);
    for checkpoint in checkpoints {
        against(&store, trusting(&store, &[1]), &checkpoint).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_trusts_the_first_key_can_follow_it_through_every_hand_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = open(&path);
    // Also before anything is there to sign.
    let notary = Notary::open(Arc::clone(&store), key(1)).await.unwrap().hand_over(key(2)).await.unwrap();
    fill(&store, 1..=3, 100).await;
    notary.checkpoint().await.unwrap();
    let notary = notary.hand_over(key(3)).await.unwrap();
    assert_eq!(notary.public_key(), trusting(&store, &[3]).iter().next().unwrap());
    fill(&store, 4..=6, 100).await;
    let last = notary.checkpoint().await.unwrap().unwrap();
    drop(notary);

    let by_the_first = proved(&store).await.unwrap();
    assert_eq!((by_the_first.checkpoints, by_the_first.signed), (4, 12));
    assert_eq!(verify(&store, trusting(&store, &[1, 2, 3]), Vec::new()).await.unwrap(), by_the_first);
    against(&store, trusting(&store, &[1]), &last).await.unwrap();
    let by_the_last = disproved(verify(&store, trusting(&store, &[3]), Vec::new()).await);
    assert!(by_the_last.contains("line 1: "), "{by_the_last}");

    for retired in [1, 2] {
        let refused = Notary::open(Arc::clone(&store), key(retired)).await.unwrap_err();
        assert!(matches!(refused, AuditError::OtherKey { .. }), "{refused}");
    }
    Notary::open(Arc::clone(&store), key(3)).await.unwrap();
}

/// Everything of a log signed by `number`, as a line that could be kept.
async fn forged(store: &SledStore, number: u8) -> String {
    let tree: Frontier = store.leaves(FIRST, 1000).await.unwrap().into_iter().collect();
    let checkpoint =
        Checkpoint { origin: origin(store), size: tree.size(), root: tree.root(), successor: None };
    let note = checkpoint.sign(&[&key(number)]).unwrap().to_string();
    let encode = |hash| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, hash);
    let subtrees: Vec<_> = tree.roots().iter().map(encode).collect();
    serde_json::json!({ "note": note, "subtrees": subtrees }).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_was_handed_over_signs_nothing_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = open(&path);
    fill(&store, 1..=3, 100).await;
    sign(&store, 1).await;
    store.keep(Ledger::Checkpoints, forged(&store, 1).await).await.unwrap();
    proved(&store).await.expect("by the key that is in force it is good");

    Notary::open(Arc::clone(&store), key(1)).await.unwrap().hand_over(key(2)).await.unwrap();
    store.keep(Ledger::Checkpoints, forged(&store, 1).await).await.unwrap();
    let found = disproved(verify(&store, trusting(&store, &[1, 2]), Vec::new()).await);
    assert!(found.contains("line 4: ") && found.contains("no signature of a key that is trusted"), "{found}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_key_is_lost_a_new_one_signs_on_and_has_to_be_given_to_those_who_verify() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("s"));
    fill(&store, 1..=3, 100).await;
    sign(&store, 1).await;
    let refused = Notary::open(Arc::clone(&store), key(2)).await.unwrap_err();
    assert!(matches!(refused, AuditError::OtherKey { .. }), "{refused}");
    drop(Notary::begin_anew(Arc::clone(&store), key(2)).await.unwrap());
    fill(&store, 4..=5, 100).await;
    sign(&store, 2).await;

    let found = disproved(proved(&store).await);
    assert!(found.contains("line 2: "), "{found}");
    assert_eq!(verify(&store, trusting(&store, &[1, 2]), Vec::new()).await.unwrap().signed, 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_log_in_the_place_of_the_one_that_was_signed_is_found_by_what_was_kept_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = open(&path);
    store.close().unwrap();
    // Two logs of one store, such as the one that was there and the one that somebody made of a copy, with the signing key.
    copy(&path, &dir.path().join("other"));
    let (store, other) = (open(&path), open(&dir.path().join("other")));
    fill(&store, 1..=10, 100).await;
    let checkpoint = sign(&store, 1).await;
    let trusted = trusting(&store, &[1]);

    fill(&other, 1..=9, 100).await;
    sign(&other, 1).await;
    proved(&other).await.expect("on its own it is a log like any other");
    let truncated = disproved(against(&other, trusted.clone(), &checkpoint).await);
    assert!(truncated.contains("kept.checkpoint: 20 events were signed, and the log has 18"), "{truncated}");
    fill(&other, 10..=12, 99).await;
    let changed = disproved(against(&other, trusted.clone(), &checkpoint).await);
    assert!(changed.contains("are not those that were signed"), "{changed}");

    let new = open(&dir.path().join("new"));
    fill(&new, 1..=10, 100).await;
    let elsewhere = disproved(against(&new, trusted.clone(), &checkpoint).await);
    assert!(elsewhere.contains("it is of the log"), "{elsewhere}");
    let mut both = trusted.to_string();
    both += &trusting(&new, &[1]).to_string();
    sign(&new, 1).await;
    let replaced = disproved(against(&new, PublicKeys::parse(&both).unwrap(), &checkpoint).await);
    assert!(replaced.contains("it is of the log"), "{replaced}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_was_cut_back_behind_its_checkpoint_is_found_and_not_signed_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = open(&path);
    fill(&store, 1..=3, 100).await;
    sign(&store, 1).await;
    store.close().unwrap();
    let before = dir.path().join("before");
    copy(&path, &before);
    let store = open(&path);
    fill(&store, 4..=6, 100).await;
    sign(&store, 1).await;
    store.close().unwrap();
    fs::copy(path.join("checkpoints"), before.join("checkpoints")).unwrap();

    let cut = open(&before);
    let found = disproved(proved(&cut).await);
    assert!(found.contains("line 2: 12 events were signed, and the log has 6"), "{found}");
    let refused = Notary::open(cut, key(1)).await.unwrap_err();
    assert!(refused.to_string().contains("nothing was signed"), "{refused}");
    assert_eq!(lines(&before).len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_that_a_crash_cut_off_is_none_wherever_it_was_cut() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = open(&path);
    fill(&store, 1..=3, 100).await;
    sign(&store, 1).await;
    fill(&store, 4..=6, 100).await;
    sign(&store, 1).await;
    let file = path.join("checkpoints");
    let whole = fs::read(&file).unwrap();
    let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for end in first..whole.len() {
        fs::write(&file, &whole[..end]).unwrap();
        let cut = proved(&store).await.unwrap();
        let expected = if end == whole.len() - 1 { (2, 12) } else { (1, 6) };
        assert_eq!((cut.checkpoints, cut.signed), expected, "cut at {end}");
        if end % 37 == 0 || end + 2 > whole.len() {
            sign(&store, 1).await;
            assert_eq!(fs::read(&file).unwrap(), whole, "cut at {end}: it is signed anew, in its place");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_notary_keeps_up_a_log_is_signed_as_it_grows() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = open(&path);
    let notary = Arc::new(Notary::open(Arc::clone(&store), key(1)).await.unwrap());
    let keeping = tokio::spawn({
        let notary = Arc::clone(&notary);
        async move { notary.keep_up(Duration::from_millis(2)).await }
    });
    for round in 1..=3_u64 {
        fill(&store, round..=round, 100).await;
        while proved(&store).await.unwrap().signed < round * 2 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    assert!(lines(&path).len() >= 3);
    keeping.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verifier_in_another_language_finds_the_same_in_checkpoints_and_leaf_hashes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = open(&path);
    let mut notary = notary(&store, 1).await;
    for round in 0..4 {
        fill(&store, round * 60 + 1..=round * 60 + 60, 3000).await;
        let note = notary.checkpoint().await.unwrap().unwrap();
        let file = dir.path().join("checkpoint");
        fs::write(&file, note).unwrap();
        let said = python(&trusting(&store, &[1, 2]), "checkpoint", &file).unwrap();
        assert!(said.contains(&format!("{} events", (round + 1) * 120)), "{said}");
        if round == 1 {
            notary = notary.hand_over(key(2)).await.unwrap();
        }
    }
    sealed(&store, 3).await;
    store.close().unwrap();
    let trusted = trusting(&store, &[1]);
    let said = python(&trusted, "log", &path).unwrap();
    assert!(said.contains(&format!("{}: ", origin(&store))) && !said.contains(": 0 checkpoints"), "{said}");
    let refused = python(&trusting(&store, &[2]), "log", &path).unwrap_err();
    assert!(refused.contains("no key that is trusted"), "{refused}");

    let leaves = files(&path.join("volumes"))
        .into_iter()
        .find(|file| file.extension().is_some_and(|it| it == "leaves"));
    let leaves = leaves.unwrap();
    let bytes = fs::read(&leaves).unwrap();
    for place in [0, 33, bytes.len() - 1] {
        let mut changed = bytes.clone();
        changed.iter_mut().skip(place).take(1).for_each(|byte| *byte ^= 1);
        fs::write(&leaves, changed).unwrap();
        let found = python(&trusted, "log", &path).unwrap_err();
        assert!(found.contains("are not those that were signed"), "{found}");
    }
}
