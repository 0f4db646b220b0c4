//! Keys, notes and checkpoints, against the published formats and against other people's readers of them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use enact_audit::{
    BadCheckpoint, BadKey, BadNote, Checkpoint, PublicKey, PublicKeys, SignedNote, SigningKey,
};
use enact_merkle::{Frontier, leaf_hash};
use proptest::prelude::*;
use secrecy::{ExposeSecret, SecretString};
use signed_note::{Note, StandardVerifier, VerifierList};

const ORIGIN: &str = "example.org/log";
/// The seed 00 01 02 … 1f, as `openssl` writes it.
const PEM: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n-----END PRIVATE KEY-----\n";
/// The example of <https://pkg.go.dev/golang.org/x/mod/sumdb/note>.
const GO_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const GO_NOTE: &str = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\
    \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

fn key() -> SigningKey {
    SigningKey::from_pem(SecretString::from(PEM)).unwrap()
}

fn trusted(keys: &[&SigningKey]) -> PublicKeys {
    let lines: String = keys.iter().map(|key| format!("{}\n", key.public(ORIGIN).unwrap())).collect();
    PublicKeys::parse(&lines).unwrap()
}

fn checkpoint() -> Checkpoint {
    let root = (0..5_u8).map(|n| leaf_hash(&[n])).collect::<Frontier>().root();
    Checkpoint { origin: ORIGIN.into(), size: 5, root, successor: None }
}

#[test]
fn a_note_of_another_implementation_is_read_and_verified() {
    let note = SignedNote::parse(GO_NOTE).unwrap();
    let keys = PublicKeys::parse(GO_KEY).unwrap();
    assert_eq!(note.verify(&keys).unwrap().len(), 1);
    assert_eq!(note.to_string(), GO_NOTE);
    assert_eq!(keys.to_string().trim_end(), GO_KEY);
    let changed = GO_NOTE.replace("your problem is", "your problem was");
    let note = SignedNote::parse(&changed).unwrap();
    assert_eq!(note.verify(&keys), Err(BadNote::Signature { name: "PeterNeumann".into() }));
}

#[test]
fn another_implementation_reads_and_verifies_our_checkpoints() {
    let note = checkpoint().sign(&[&key()]).unwrap().to_string();
    let theirs = Note::from_bytes(note.as_bytes()).unwrap();
    let vkey = key().public(ORIGIN).unwrap().to_string();
    let list = VerifierList::new(vec![Box::new(StandardVerifier::new(&vkey).unwrap())]);
    let (verified, unknown) = theirs.verify(&list).unwrap();
    assert_eq!((verified.len(), unknown.len()), (1, 0));
    let read = tlog_tiles::Checkpoint::from_bytes(theirs.text()).unwrap();
    assert_eq!((read.origin(), read.size(), read.hash().0), (ORIGIN, 5, checkpoint().root));
}

#[test]
fn a_checkpoint_has_the_form_that_it_had_when_it_was_first_written() {
    let note = checkpoint().sign(&[&key()]).unwrap().to_string();
    assert_eq!(note, include_str!("golden/checkpoint.txt"));
    assert_eq!(trusted(&[&key()]).to_string(), include_str!("golden/keys.txt"));
}

#[test]
fn a_key_is_kept_as_text_and_never_shown() {
    let made = SigningKey::generate();
    let read = SigningKey::from_pem(made.pem().clone()).unwrap();
    assert_eq!(read.public(ORIGIN).unwrap(), made.public(ORIGIN).unwrap());
    assert_ne!(SigningKey::generate().public(ORIGIN).unwrap(), made.public(ORIGIN).unwrap());
    let body = made.pem().expose_secret().lines().nth(1).unwrap().to_owned();
    assert!(!format!("{made:?}").contains(&body));
    for bad in ["", "hello", &PEM.replace("MC4C", "MC4D"), &PEM.replace("PRIVATE", "PUBLIC"), &PEM[..60]] {
        assert_eq!(SigningKey::from_pem(SecretString::from(bad)).unwrap_err(), BadKey::NotPem, "{bad}");
    }
    for bad in ["", "two words", "a+b", "a\nb"] {
        assert_eq!(made.public(bad), Err(BadKey::Name(bad.to_owned())));
    }
}

#[test]
fn public_keys_that_do_not_read_say_on_which_line_and_why() {
    let good = key().public(ORIGIN).unwrap().to_string();
    assert_eq!(
        PublicKeys::parse(&format!("# the log of example.org\n\n {good} \n")).unwrap(),
        trusted(&[&key()])
    );
    assert_eq!(PublicKeys::parse("# nothing\n"), Err(BadKey::None));
    let another_name = good.replace(ORIGIN, "example.org/other");
    for (bad, why) in [
        ("hello", "it has not three parts"),
        (another_name.as_str(), "its hash is not that of its name and key"),
        ("a+00000000+!!!", "its key is not base64"),
        ("a+00000000+AAAA", "it is not an Ed25519 key"),
        ("a+00000000+AQAA", "its key has not 32 bytes"),
    ] {
        assert_eq!(PublicKeys::parse(&format!("{good}\n{bad}\n")), Err(BadKey::NotPublic { line: 2, why }));
        assert_eq!(bad.parse::<PublicKey>(), Err(BadKey::NotPublic { line: 1, why }));
    }
    assert_eq!(PublicKeys::parse(&format!("{good}\n").repeat(1001)), Err(BadKey::TooMany));
}

#[test]
fn a_checkpoint_is_trusted_for_a_trusted_key_of_its_own_log_alone() {
    let (old, new, stranger) = (key(), SigningKey::generate(), SigningKey::generate());
    let both = checkpoint().sign(&[&old, &new]).unwrap().to_string();
    for keys in [trusted(&[&old]), trusted(&[&new]), trusted(&[&stranger, &new])] {
        assert_eq!(Checkpoint::verify(&both, &keys), Ok(checkpoint()));
    }
    let unknown = Checkpoint::verify(&both, &trusted(&[&stranger]));
    assert_eq!(unknown, Err(BadNote::Unknown(vec![ORIGIN.into(), ORIGIN.into()]).into()));

    let elsewhere = PublicKeys::from(old.public("example.org/other").unwrap());
    let renamed = both.replace("\u{2014} example.org/log", "\u{2014} example.org/other");
    assert!(Checkpoint::verify(&renamed, &elsewhere).is_err(), "a signature under another name");
    let other = Checkpoint { origin: "example.org/other".into(), ..checkpoint() };
    let text = other.sign(&[&old]).unwrap().text().replace("example.org/other\n5", "example.org/log\n5");
    let swapped = format!("{text}\n\u{2014} example.org/other {}", both.split(' ').next_back().unwrap());
    assert!(Checkpoint::verify(&swapped, &elsewhere).is_err());
}

#[test]
fn one_bad_signature_of_a_trusted_key_spoils_a_note() {
    let (old, new) = (key(), SigningKey::generate());
    let both = checkpoint().sign(&[&old, &new]).unwrap().to_string();
    let others = Checkpoint { size: 6, ..checkpoint() }.sign(&[&old, &new]).unwrap().to_string();
    let (head, _) = both.trim_end().rsplit_once('\n').unwrap();
    let (_, last) = others.trim_end().rsplit_once('\n').unwrap();
    let mixed = Checkpoint::verify(&format!("{head}\n{last}\n"), &trusted(&[&old, &new]));
    assert_eq!(mixed, Err(BadNote::Signature { name: ORIGIN.into() }.into()));
}

#[test]
fn what_is_no_checkpoint_is_refused_though_it_is_signed() {
    let trusted = trusted(&[&key()]);
    for (size, root, why) in [
        ("05", "A", "its size is no number"),
        ("+5", "A", "its size is no number"),
        ("18446744073709551616", "A", "its size is no number"),
        ("5", "AAAA", "its root is not 32 bytes in base64"),
        ("5", "", "it does not say its root"),
    ] {
        let text = format!("{ORIGIN}\n{size}\n{root}\n");
        let signature = key().sign(text.as_bytes());
        let line = [&key().public(ORIGIN).unwrap().hash()[..], &signature].concat();
        let note = format!("{text}\n\u{2014} {ORIGIN} {}\n", base64(&line));
        assert_eq!(Checkpoint::verify(&note, &trusted), Err(BadCheckpoint::Form(why)), "{size} {root}");
    }
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[test]
fn no_bit_of_a_checkpoint_can_be_changed() {
    let note = checkpoint().sign(&[&key()]).unwrap().to_string();
    let trusted = trusted(&[&key()]);
    for at in 0..note.len() {
        for bit in 0..8 {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            assert!(Checkpoint::verify(&changed, &trusted).is_err(), "byte {at}, bit {bit}:\n{changed}");
        }
        assert!(
            Checkpoint::verify(&note[..at.min(note.floor_char_boundary(at))], &trusted).is_err(),
            "cut at {at}"
        );
    }
}

proptest! {
    #[test]
    fn what_others_refuse_or_read_as_a_note_so_do_we(text in "[ -~\n\u{2014}]{0,60}", lines in prop::collection::vec("(\u{2014} )?[a-z+ ]{0,6} ?[A-Za-z0-9+/=]{0,12}", 0..4)) {
        let note = format!("{text}\n\n{}\n", lines.join("\n"));
        let (ours, theirs) = (SignedNote::parse(&note), Note::from_bytes(note.as_bytes()));
        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?}\n{:?} {:?}", note, ours, theirs.err());
        if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
            prop_assert_eq!(ours.text().as_bytes(), theirs.text());
        }
    }
}
