//! Patterns of names: `*` stands for what is within one part, `**` for any number of parts, `{a,b}` for one of several.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// The most names and patterns that one pattern with braces stands for.
const MAX_ALTERNATIVES: usize = 1000;

/// Names and patterns, compared with one form of a name.
#[derive(Debug)]
pub(crate) struct Patterns {
    /// Those without a wildcard.
    names: Vec<String>,
    globs: GlobSet,
}

impl Patterns {
    /// Of alternatives, each brought into the form that names are compared in.
    ///
    /// # Errors
    /// What is no pattern.
    pub(crate) fn new<S: AsRef<str>>(
        alternatives: impl IntoIterator<Item = S>,
        form: impl Fn(&str) -> String,
    ) -> Result<Self, String> {
        let (mut names, mut globs) = (Vec::new(), GlobSetBuilder::new());
        for alternative in alternatives {
            let alternative = alternative.as_ref();
            let text = form(alternative);
            if text.contains('*') {
                let glob = GlobBuilder::new(&text).literal_separator(true).backslash_escape(false).build();
                globs.add(glob.map_err(|error| format!("'{alternative}' is no pattern: {}", error.kind()))?);
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

/// What patterns stand for: each without braces, so that it is looked at by itself.
///
/// # Errors
/// What is no pattern.
pub(crate) fn alternatives<S: AsRef<str>>(patterns: &[S]) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    for pattern in patterns {
        let pattern = pattern.as_ref();
        check(pattern)?;
        let (mut open, mut complete) = (vec![pattern.to_owned()], Vec::new());
        while let Some(text) = open.pop() {
            match split(&text).map_err(|wrong| format!("'{pattern}' is no pattern: {wrong}"))? {
                Some(several) => open.extend(several.into_iter().rev()),
                None => complete.push(text),
            }
            if open.len() + complete.len() > MAX_ALTERNATIVES {
                return Err(format!("'{pattern}' stands for more than {MAX_ALTERNATIVES} patterns"));
            }
        }
        all.append(&mut complete);
    }
    Ok(all)
}

/// One text for each choice of the first braces.
fn split(text: &str) -> Result<Option<Vec<String>>, &'static str> {
    let Some((before, rest)) = text.split_once('{') else {
        return if text.contains('}') { Err("a brace is closed that was not opened") } else { Ok(None) };
    };
    let (mut depth, mut choices, mut from) = (0_usize, Vec::new(), 0);
    for (at, c) in rest.char_indices() {
        match c {
            '{' => depth += 1,
            '}' | ',' if depth == 0 => {
                choices.push(rest.get(from..at).unwrap_or_default());
                from = at + 1;
                if c == '}' {
                    let after = rest.get(from..).unwrap_or_default();
                    return Ok(Some(
                        choices.into_iter().map(|choice| format!("{before}{choice}{after}")).collect(),
                    ));
                }
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    Err("a brace is not closed")
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
