//! What is wrong with rules, and where.

use std::fmt;

use enact_core::error::{Error, ErrorCode};
use miette::Diagnostic;
use serde::Serialize;

/// Something that is wrong with a file of rules, or odd about it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Problem {
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// The rule: its `@id`, or `policyN`, counted from 0.
    pub rule: Option<String>,
    /// What is wrong, and what helps.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}, column {}: ", self.file, self.line, self.column)?;
        if let Some(rule) = &self.rule {
            write!(f, "rule '{rule}': ")?;
        }
        f.write_str(&self.message)
    }
}

/// Why a file of rules is not taken: at least one problem.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, problem) in self.0.iter().enumerate() {
            write!(f, "{}{problem}", if place == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl From<Problems> for Error {
    fn from(problems: Problems) -> Self {
        Self::new(ErrorCode::InvalidParameters, problems.to_string()).with_source(problems).left_nothing()
    }
}

/// A text and its name, to find places in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
}

impl Source<'_> {
    /// The line and the column of a byte.
    pub(super) fn place(self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        (line, before.rsplit('\n').next().unwrap_or_default().chars().count() + 1)
    }

    /// A problem at a byte.
    pub(super) fn problem(self, offset: usize, rule: Option<&str>, message: impl Into<String>) -> Problem {
        let (line, column) = self.place(offset);
        let (file, rule) = (self.file.to_owned(), rule.map(ToOwned::to_owned));
        Problem { file, line, column, rule, message: message.into() }
    }

    /// What Cedar says, where it says it; else at the byte `otherwise`.
    pub(super) fn said(self, rule: Option<&str>, otherwise: usize, said: &dyn Diagnostic) -> Problem {
        let label = said.labels().and_then(|mut labels| labels.next());
        let mut message = said.to_string();
        let expected = label.as_ref().and_then(|label| label.label()).filter(|label| !label.is_empty());
        let help = said.help().map(|help| help.to_string());
        for more in [expected.map(ToOwned::to_owned), help].into_iter().flatten() {
            message = format!("{message} ({more})");
        }
        self.problem(label.map_or(otherwise, |label| label.offset()), rule, message)
    }
}
