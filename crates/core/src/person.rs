//! The names of people: of who asks for a run, and of who says something to one.
//!
//! A name is what is said, and nobody is asked whether it is true. What this module knows is which names are of one
//! person, and which names do not read as what they are.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

/// How often a name is folded at most, until nothing changes any more; names need two.
const MAX_FOLDS: usize = 8;

/// What is not seen in a text: `Default_Ignorable_Code_Point` of Unicode's `DerivedCoreProperties.txt`, the anchors of
/// annotations, and the two blanks that are no spaces.
const INVISIBLE: &[(char, char)] = &[
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{202a}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{2800}', '\u{2800}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

fn is_hidden(c: char) -> bool {
    c.is_control() || INVISIBLE.iter().any(|(from, to)| (*from..=*to).contains(&c))
}

/// Why something is no name of a person; `None` where it is one.
#[must_use]
pub fn refuses(name: &str) -> Option<String> {
    if name.trim().is_empty() {
        return Some("the name is empty".to_owned());
    }
    let odd = |c: &char| is_hidden(*c) || (c.is_whitespace() && *c != ' ');
    let odd = name.chars().find(odd)?;
    Some(format!("the name has the character U+{:04X} in it, which is not seen", u32::from(odd)))
}

/// The form in which names of one person are equal: without capital letters and compatibility forms (NFKC and full case
/// folding), without what is not seen, and without space around it. It is for comparing, not for reading.
#[must_use]
pub fn folded(name: &str) -> String {
    if name.bytes().all(|byte| (b' '..0x7f).contains(&byte)) {
        return name.trim().to_ascii_lowercase();
    }
    let mut folded: Cow<'_, str> = name.trim().into();
    for _ in 0..MAX_FOLDS {
        let again = fold_once(&folded);
        if again == *folded {
            break;
        }
        folded = again.into();
    }
    folded.into_owned()
}

/// Capitals of everything, and small letters of those, are what full case folding is, and take `ı` for `i` besides.
fn fold_once(name: &str) -> String {
    let seen = name.chars().filter(|c| !is_hidden(*c));
    let small = seen.nfkc().flat_map(char::to_uppercase).flat_map(char::to_lowercase);
    small.nfkc().collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_person_has_many_spellings() {
        for (one, other) in [
            ("ann@example.com", " Ann@Example.COM "),
            ("ann@example.com", "ann@example.com\u{200b}"),
            ("ann@example.com", "ann\u{ad}@example.com"),
            ("ann@example.com", "ａｎｎ@example.com"),
            ("ann@example.com", "ann@example.com\u{a0}"),
            ("jos\u{e9}@example.com", "jose\u{301}@example.com"),
            ("stra\u{df}e", "STRASSE"),
            ("stra\u{1e9e}e", "strasse"),
            ("\u{3bf}\u{3b4}\u{3cc}\u{3c2}", "\u{39f}\u{394}\u{38c}\u{3a3}"),
            ("\u{130}nci", "i\u{307}nci"),
        ] {
            assert_eq!(folded(one), folded(other), "{one:?} {other:?}");
        }
        for (one, other) in [("ann", "anne"), ("jos\u{e9}", "jose"), ("a b", "ab")] {
            assert_ne!(folded(one), folded(other));
        }
    }

    #[test]
    fn a_name_that_hides_something_is_none() {
        for name in
            ["", " ", "a\u{200b}", "a\u{202e}b", "a\nb", "a\u{7f}", "\u{feff}a", "a\u{a0}b", "a\u{e0041}"]
        {
            assert!(refuses(name).is_some(), "{name:?}");
        }
        for name in ["ann@example.com", "Ann Example", "os:ann", "jos\u{e9}", "\u{65e5}\u{672c}"] {
            assert_eq!(refuses(name), None, "{name:?}");
        }
        let why = refuses("ann\u{200b}").unwrap_or_default();
        assert!(why.contains("U+200B"), "{why}");
    }

    proptest! {
        #[test]
        fn folding_a_folded_name_changes_nothing(name in "\\PC{0,20}") {
            let once = folded(&name);
            prop_assert_eq!(folded(&once), once);
        }
    }
}
