//! Printing: for people or for programs, on a terminal or into a pipe that may be closed.
//!
//! All that this process says goes through here, its logs too, and what looks like a secret is left out of it.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use enact::policies::{redacted, redacted_json};
use serde::Serialize;

use crate::failure::Failure;

/// Whether something could not be written, for whatever reason.
static CUT: AtomicBool = AtomicBool::new(false);
/// Whether something could not be written that somebody may miss.
static FAILED: AtomicBool = AtomicBool::new(false);

/// How a word is coloured on a terminal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tone {
    Plain,
    Good,
    Bad,
    Warn,
    Faint,
    Strong,
}

/// Where output goes, and in which form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Out {
    pub(crate) json: bool,
    colour: bool,
    /// Whether progress is shown.
    pub(crate) progress: bool,
}

impl Out {
    pub(crate) fn new(json: bool) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let colour = wanted && !json && io::stdout().is_terminal();
        Self { json, colour, progress: !json && io::stderr().is_terminal() }
    }

    /// Colours a text.
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Warn => "33",
            Tone::Faint => "2",
            Tone::Strong => "1",
        };
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Prints a line for people.
    pub(crate) fn line(self, text: &str) {
        self.line_as_it_is(&redacted(text));
    }

    /// Prints a line of JSON Lines.
    pub(crate) fn json_line(self, text: &str) {
        self.line_as_it_is(&redacted_json(text));
    }

    /// Prints a line whatever it holds.
    pub(crate) fn line_as_it_is(self, text: &str) {
        let mut stdout = io::stdout().lock();
        if let Err(error) = writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
            self.unwritten(&error);
        }
    }

    /// Prints a document.
    pub(crate) fn document(self, document: &impl Serialize) {
        match serde_json::to_string_pretty(document) {
            Ok(text) => self.json_line(&text),
            Err(error) => self.unwritten(&error.into()),
        }
    }

    /// Output that could not be written. A reader that has seen enough closes the pipe; that is no error. The first of
    /// others is told, and [`Out::is_whole`] remembers it: what was going on goes on, since a run is worth more than its
    /// description.
    pub(crate) fn unwritten(self, error: &io::Error) {
        CUT.store(true, Ordering::Relaxed);
        if error.kind() != io::ErrorKind::BrokenPipe && !FAILED.swap(true, Ordering::Relaxed) {
            self.note(&format!("error: standard output cannot be written: {error}"));
        }
    }

    /// Whether all that was printed was written, or not wanted.
    pub(crate) fn is_whole(self) -> bool {
        !FAILED.load(Ordering::Relaxed)
    }

    /// Whether somebody may still read what is printed.
    pub(crate) fn is_read(self) -> bool {
        !CUT.load(Ordering::Relaxed)
    }

    /// Prints a line on standard error.
    pub(crate) fn note(self, text: &str) {
        drop(writeln!(io::stderr().lock(), "{}", redacted(text)));
    }

    /// Says why a command ended early.
    pub(crate) fn failure(self, failure: &Failure) {
        if self.json {
            self.document(&failure.document());
        } else {
            failure.told().iter().for_each(|line| self.note(&format!("error: {}", clean(line))));
        }
    }
}

/// Where logs go: standard error. Each record is written in one piece.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log;

impl Write for Log {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(record);
        io::stderr().lock().write_all(redacted(&text).as_bytes())?;
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// A text that somebody else chose, in one line, and without what looks like a secret, or would move a terminal's
/// cursor, hide something, or turn what follows around.
pub(crate) fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for c in redacted(text).chars() {
        if is_seen(c) { cleaned.push(c) } else { cleaned.extend(c.escape_default()) }
    }
    cleaned
}

/// Whether a character shows as itself and changes nothing else.
fn is_seen(c: char) -> bool {
    let breaks_lines = matches!(c, '\u{2028}' | '\u{2029}');
    let has_no_width = matches!(c, '\u{200b}' | '\u{2060}' | '\u{feff}');
    let sets_direction = matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    !(c.is_control() || breaks_lines || has_no_width || sets_direction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_agent_chose_cannot_move_the_cursor() {
        assert_eq!(clean("a\x1b[2Jb\u{202e}c\r"), "a\\u{1b}[2Jb\\u{202e}c\\r");
        assert_eq!(
            clean("\u{2028}\u{2029}\u{200b}\u{feff}\u{61c}\u{85}"),
            r"\u{2028}\u{2029}\u{200b}\u{feff}\u{61c}\u{85}"
        );
        assert_eq!(clean("Zoë ß 日本 👩‍👩"), "Zoë ß 日本 👩‍👩");
    }

    #[test]
    fn what_an_agent_chose_stays_in_its_line() {
        assert_eq!(clean("a\n   2  done\r\n"), r"a\n   2  done\r\n");
    }
}
