//! Names as they are compared.
//!
//! A rule that forbids compares what a name looks like, a rule that permits what it is. So each kind of name has two
//! forms: the *broad* one, in which names that a person or a case-blind system takes for each other are equal, and the
//! *exact* one, which a name with anything hidden in it does not have.

pub(crate) mod branch;
pub(crate) mod channel;
pub(crate) mod path;
pub(crate) mod pattern;
pub(crate) mod table;

use std::borrow::Cow;
use std::sync::LazyLock;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};
use unicode_security::confusable_detection::skeleton;

/// How often folding is repeated at most, until nothing changes any more.
const MAX_FOLDS: usize = 8;

/// What shows nothing, or nothing beside the letter that it stands on, and is no invisible character to UTS 39: anchors of
/// annotations, the empty pattern of Braille, and the second dot of `İ`, which is `i` with a dot in small letters.
const UNSEEN: [char; 5] = ['\u{fff9}', '\u{fffa}', '\u{fffb}', '\u{2800}', '\u{307}'];

/// What each ASCII character folds to.
static ASCII: LazyLock<[String; 128]> = LazyLock::new(|| {
    std::array::from_fn(|code| fold_any(&char::from(u8::try_from(code).unwrap_or(0)).to_string()))
});

/// The broad form: compatibility forms (NFKC) and capital letters are gone, invisible characters are left out, and
/// characters that look alike (UTS 39) are one. It is for comparing, not for reading: `m` is `rn` in it.
pub(crate) fn fold(text: &str) -> String {
    if !text.is_ascii() {
        return fold_any(text);
    }
    let mut folded = String::with_capacity(text.len() + 4);
    for byte in text.bytes() {
        folded.push_str(ASCII.get(usize::from(byte)).map_or("", String::as_str));
    }
    folded
}

fn fold_any(text: &str) -> String {
    let mut folded = text.to_owned();
    for _ in 0..MAX_FOLDS {
        let small = folded.nfkc().flat_map(char::to_lowercase).filter(|c| !UNSEEN.contains(c));
        let small: String = small.collect();
        let again: String =
            skeleton(&small).flat_map(char::to_lowercase).filter(|c| !c.is_control()).collect();
        if again == folded {
            break;
        }
        folded = again;
    }
    folded
}

/// Small letters and compatibility forms alone: what is lost in [`fold`] is kept.
pub(crate) fn small(text: &str) -> String {
    if text.is_ascii() {
        text.to_ascii_lowercase()
    } else {
        text.nfkc().flat_map(char::to_lowercase).collect()
    }
}

/// The exact form: one normal form (NFC).
pub(crate) fn exact(text: &str) -> Cow<'_, str> {
    if is_nfc_quick(text.chars()) == IsNormalized::Yes {
        text.into()
    } else {
        text.nfc().collect::<String>().into()
    }
}

/// What is hidden in a name, where anything is: it does not read as what it is.
pub(crate) fn hidden(text: &str) -> Option<&'static str> {
    let odd = |c: char| {
        if c.is_control() {
            Some("a control character")
        } else if c.is_ascii() {
            None
        } else if c.is_whitespace() {
            Some("an odd space")
        } else if UNSEEN.contains(&c) && c != '\u{307}' {
            Some("an invisible character")
        } else {
            skeleton(c.encode_utf8(&mut [0; 4])).next().is_none().then_some("an invisible character")
        }
    };
    if text.bytes().all(|byte| (b' '..0x7f).contains(&byte)) { None } else { text.chars().find_map(odd) }
}

/// The parts of a path or of a branch, cleaned of what systems leave out: empty parts, `.`, spaces and dots at a part's
/// end. `..` takes away the part before it. Nothing, where it leads out.
pub(crate) fn cleaned(text: &str) -> Option<Cow<'_, str>> {
    let is_clean = |part: &str| !part.is_empty() && !part.ends_with(['.', ' ']) && !part.starts_with(' ');
    if !text.contains('\\') && text.split('/').all(is_clean) {
        return Some(text.into());
    }
    let mut parts = Vec::new();
    for part in text.split(['/', '\\']).map(str::trim) {
        match part {
            ".." => {
                parts.pop()?;
            }
            part => parts.extend(Some(part.trim_end_matches(['.', ' '])).filter(|part| !part.is_empty())),
        }
    }
    Some(parts.join("/").into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_looks_alike_is_one_name() {
        for text in [
            "main",
            "MAIN",
            "m\u{430}in",
            "ｍａｉｎ",
            "ma\u{200b}in",
            "ma\u{ad}in",
            "𝐦𝐚𝐢𝐧",
            "ma\u{131}n",
            "rnain",
            "MAİN",
            "ma\u{fff9}in",
            "ma\u{2800}in",
        ] {
            assert_eq!(fold(text), fold("main"), "{text}");
        }
        for text in ["mains", "maine", "man", "agent/main"] {
            assert_ne!(fold(text), fold("main"), "{text}");
        }
    }

    #[test]
    fn hidden_characters_are_seen() {
        for text in ["a\u{200b}b", "a\u{202e}b", "a\u{feff}", "a\tb", "a\u{7f}", "a\u{a0}b", "a\u{2800}"] {
            assert!(hidden(text).is_some(), "{text:?}");
        }
        for text in ["a b", "grün/日本", "е"] {
            assert_eq!(hidden(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn folding_folded_text_changes_nothing(text in "\\PC{0,20}") {
            let folded = fold(&text);
            prop_assert_eq!(fold(&folded), folded);
        }

        #[test]
        fn folding_does_not_see_case_or_what_is_invisible(text in "[a-zA-Z0-9/._-]{1,20}", at in 0usize..20) {
            let at = at.min(text.len());
            let hidden = format!("{}\u{200b}{}", &text[..at], &text[at..]);
            prop_assert_eq!(fold(&hidden), fold(&text));
            prop_assert_eq!(fold(&text.to_uppercase()), fold(&text.to_lowercase()));
        }

        #[test]
        fn cleaning_cleaned_text_changes_nothing(text in "[ab./\\\\ ]{0,16}") {
            if let Some(clean) = cleaned(&text) {
                prop_assert_eq!(cleaned(&clean), Some(clean.clone()));
            }
        }
    }
}
