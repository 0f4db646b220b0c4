//! Paths of files, on a disk and in a repository.

use super::pattern::{Patterns, alternatives};
use super::{cleaned, exact, fold, hidden, small};

/// Paths that are forbidden. They are compared by what they look like, and by their letters alone: looking alike may put a
/// slash where there is none.
#[derive(Debug)]
pub(crate) struct Forbidden {
    small: Patterns,
    folded: Patterns,
}

impl Forbidden {
    pub(crate) fn new(patterns: &[String]) -> Result<Self, String> {
        let named = alternatives(patterns)?;
        named.iter().try_for_each(|pattern| check(pattern, &[small(pattern), fold(pattern)]))?;
        let all: Vec<String> = named.iter().flat_map(|pattern| with_what_is_below(pattern)).collect();
        Ok(Self { small: Patterns::new(&all, small)?, folded: Patterns::new(&all, fold)? })
    }

    /// Whether a path is one of them. One that leads out of where it starts is.
    pub(crate) fn has(&self, path: &str) -> bool {
        let is_one = |patterns: &Patterns, path: &str| cleaned(path).is_none_or(|path| patterns.has(&path));
        // Folding ASCII puts a slash nowhere.
        is_one(&self.folded, &fold(path)) || (!path.is_ascii() && is_one(&self.small, &small(path)))
    }
}

/// What is below a forbidden path is forbidden. A pattern without a slash is a name at any depth.
fn with_what_is_below(pattern: &str) -> [String; 2] {
    let anywhere = if pattern.contains('/') { "" } else { "**/" };
    [format!("{anywhere}{pattern}"), format!("{anywhere}{pattern}/**")]
}

/// Refuses a pattern that no path is ever like: in the forms in which it is compared, it is not as paths are when they are
/// compared.
fn check(pattern: &str, forms: &[String]) -> Result<(), String> {
    let is_clean = |form: &String| !form.is_empty() && cleaned(form).as_deref() == Some(form);
    if forms.iter().all(is_clean) {
        return Ok(());
    }
    let pattern = pattern.escape_debug();
    Err(format!(
        "'{pattern}' is like no path: paths begin at the root of the folder or the repository, without '/', './' or '..', \
         have no '/' at the end and no '\\', and no part of them is empty, begins with a space or ends with a dot or a space"
    ))
}

/// Paths that are permitted, compared as they are.
#[derive(Debug)]
pub(crate) struct Permitted(Patterns);

impl Permitted {
    pub(crate) fn new(patterns: &[String]) -> Result<Self, String> {
        let named = alternatives(patterns)?;
        for pattern in &named {
            check(pattern, std::slice::from_ref(pattern))?;
            if let Some(hidden) = hidden(pattern) {
                return Err(format!("'{}' is like no path: it has {hidden} in it", pattern.escape_debug()));
            }
        }
        Patterns::new(named, |pattern| exact(pattern).into_owned()).map(Self)
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        plain(path).is_some_and(|path| self.0.has(&path))
    }
}

/// The exact form of a path; nothing, where something in it is hidden, it leads out of where it starts, or systems differ
/// in what it names.
fn plain(path: &str) -> Option<String> {
    let is_odd = |part: &str| part == ".." || part.ends_with([' ', '.']) || part.starts_with(' ');
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if path.starts_with('/')
        || path.contains(['\\', '\0'])
        || hidden(path).is_some()
        || parts.iter().any(|part| is_odd(part))
    {
        return None;
    }
    Some(exact(&parts.join("/")).into_owned())
}

/// Where a symbolic link leads, as a path from where the link's own path starts; nothing, where it leads out.
pub(crate) fn led(link: &str, leads_to: &str) -> Option<String> {
    let mut parts: Vec<&str> = link.split('/').collect();
    parts.pop();
    if leads_to.starts_with('/') {
        return None;
    }
    for part in leads_to.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The extensions that a file's name must not have.
#[derive(Debug)]
pub(crate) struct Extensions(Vec<(String, String)>);

impl Extensions {
    pub(crate) fn new(extensions: &[String]) -> Result<Self, String> {
        let read = |text: &String| {
            let name = text.trim_start_matches('.');
            let odd =
                |c: char| c.is_whitespace() || matches!(c, '*' | '/' | '\\' | '?' | ':' | '{' | '}' | ',');
            if name.is_empty() || name.ends_with('.') || name.contains(odd) || hidden(name).is_some() {
                return Err(format!("'{text}' is no extension: write exe, or tar.gz"));
            }
            Ok((format!(".{}", fold(name)), name.to_owned()))
        };
        extensions.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// The first of them that a path has. Whatever stands after a dot counts, and not only at the end: systems differ in
    /// which part they go by.
    pub(crate) fn of(&self, path: &str) -> Option<&str> {
        let folded = fold(path);
        let name = folded.rsplit(['/', '\\']).next().unwrap_or_default();
        let ends = |rest: &str| rest.is_empty() || rest.starts_with(['.', ' ', ':']);
        let has = |extension: &str| {
            name.match_indices(extension).any(|(at, _)| name.get(at + extension.len()..).is_some_and(ends))
        };
        self.0.iter().find(|(extension, _)| has(extension)).map(|(_, text)| text.as_str())
    }
}
