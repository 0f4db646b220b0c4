//! Patterns of names: `*` stands for what is within one part, `**` for any number of parts, `{a,b}` for one of several.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// Names and patterns, compared with one form of a name.
#[derive(Debug)]
pub(crate) struct Patterns {
    /// Those without a wildcard.
    names: Vec<String>,
    globs: GlobSet,
}

impl Patterns {
    /// Patterns, each brought into the form that names are compared in.
    ///
    /// # Errors
    /// What is no pattern.
    pub(crate) fn new<S: AsRef<str>>(
        patterns: impl IntoIterator<Item = S>,
        form: impl Fn(&str) -> String,
    ) -> Result<Self, String> {
        let (mut names, mut globs) = (Vec::new(), GlobSetBuilder::new());
        for pattern in patterns {
            let pattern = pattern.as_ref();
            check(pattern)?;
            let text = form(pattern);
            if text.contains(['*', '{']) {
                let glob = GlobBuilder::new(&text).literal_separator(true).backslash_escape(false).build();
                globs.add(glob.map_err(|error| format!("'{pattern}' is no pattern: {}", error.kind()))?);
            } else {
                names.push(text);
            }
        }
        let globs = globs
            .build()
            .map_err(|error| format!("the patterns cannot be used together: {}", error.kind()))?;
        Ok(Self { names, globs })
    }

    /// Whether one of them is this name, which is in the form of the patterns.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.iter().any(|own| own == name) || (!self.globs.is_empty() && self.globs.is_match(name))
    }
}

/// Refuses what means nothing, and what would be compared otherwise than it reads: single characters and ranges of them do
/// not survive the forms in which names are compared.
fn check(pattern: &str) -> Result<(), String> {
    let odd = |c: char| matches!(c, '?' | '[' | ']' | '!') || c.is_control();
    if pattern.trim().is_empty() || pattern.trim() != pattern {
        return Err(format!("'{pattern}' is empty, or begins or ends with a space"));
    }
    if pattern.contains(odd) {
        return Err(format!("'{pattern}' is no pattern: there are *, ** and {{a,b}}, and no ?, [] or !"));
    }
    Ok(())
}
