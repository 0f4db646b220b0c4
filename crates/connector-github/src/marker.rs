//! How what an intent made is known again: an invisible comment in the body of a pull request or issue, a trailer in the
//! message of a commit. Both carry the effect id, which no other intent of the world has.

use enact_core::ids::{EffectId, RunId};

/// The trailer of a merge commit.
pub(crate) const EFFECT: &str = "Enact-Effect";

/// The trailer of a commit that undoes what an effect made.
pub(crate) const UNDOES: &str = "Enact-Undoes";

const BEGIN: &str = "<!-- enact:";
const END: &str = " -->";

/// The comment that GitHub does not show.
fn comment(effect: &str) -> String {
    format!("{BEGIN}{effect}{END}")
}

/// A body with the mark of an effect at its end.
pub(crate) fn marked(body: Option<&str>, effect: &str) -> String {
    let comment = comment(effect);
    match body.map(str::trim_end).filter(|body| !body.is_empty()) {
        Some(body) => format!("{body}\n\n{comment}"),
        None => comment,
    }
}

/// The effect whose mark a body has. It is the last one: others are of what the body quotes. What people write below it
/// does not matter.
fn mark(body: &str) -> Option<&str> {
    let (_, rest) = body.rsplit_once(BEGIN)?;
    rest.split_once(END).map(|(effect, _)| effect)
}

/// Whether a body carries the mark of an effect.
pub(crate) fn carries(body: Option<&str>, effect: &str) -> bool {
    body.and_then(mark) == Some(effect)
}

/// Whether a text carries the mark or trailer of any attempt of the same action of the same run.
pub(crate) fn is_of_same_action(text: Option<&str>, effect: EffectId) -> bool {
    let action = format!("{}-{}-", effect.run, effect.seq);
    text.is_some_and(|text| {
        mark(text).is_some_and(|effect| effect.starts_with(&action))
            || text.contains(&format!("{EFFECT}: {action}"))
    })
}

/// A message with a trailer at its end. Source: `git interpret-trailers`.
pub(crate) fn with_trailer(message: &str, trailer: &str, value: &str) -> String {
    format!("{}\n\n{trailer}: {value}", message.trim_end())
}

/// Whether a message has a trailer with an effect of a run.
pub(crate) fn is_of_run(message: &str, trailer: &str, run: RunId) -> bool {
    let begins = format!("{trailer}: {run}-");
    message.lines().any(|line| line.trim().starts_with(&begins))
}

/// Whether a message has a trailer with this value.
pub(crate) fn has_trailer(message: &str, trailer: &str, value: &str) -> bool {
    let wanted = format!("{trailer}: {value}");
    message.lines().any(|line| line.trim() == wanted)
}

#[cfg(test)]
mod tests {
    use enact_core::ids::{Direction, RunId, Seq};

    use super::*;

    #[test]
    fn a_mark_is_found_again_and_no_other_is_taken_for_it() {
        let run = RunId::from_parts(1, [0; 10]);
        let effect = EffectId { run, seq: Seq(1), attempt: 1, direction: Direction::Forward, undo_try: 0 };
        let later = EffectId { attempt: 11, ..effect };
        let body = marked(Some("text\n"), &later.to_string());
        assert!(body.starts_with("text\n\n<!--") && body.ends_with("-->"), "{body}");
        assert!(carries(Some(&body), &later.to_string()));
        assert!(!carries(Some(&body), &effect.to_string()), "one effect id begins like the other");
        assert!(is_of_same_action(Some(&body), effect));
        assert!(!is_of_same_action(Some(&body), EffectId { seq: Seq(11), ..effect }));
        assert!(carries(Some(&marked(None, &effect.to_string())), &effect.to_string()));
        assert!(!carries(None, "x"));
    }

    #[test]
    fn a_mark_that_is_quoted_is_not_the_bodys_own() {
        let quoted = marked(Some("text"), "a-1-1");
        let body = marked(Some(&format!("> {quoted}\n\nso it was")), "a-2-1");
        assert!(carries(Some(&body), "a-2-1") && !carries(Some(&body), "a-1-1"));
        assert!(carries(Some(&format!("{body}\nsomebody's note")), "a-2-1"));
    }

    #[test]
    fn a_trailer_is_a_line_of_its_own() {
        let message = with_trailer("Merge\n", EFFECT, "a-1-1");
        assert!(has_trailer(&message, EFFECT, "a-1-1"));
        assert!(!has_trailer(&message, EFFECT, "a-1-11"));
        assert!(!has_trailer("see Enact-Effect: a-1-1 there", EFFECT, "a-1-1"));
    }
}
