//! What a connector must not reach: the files by which enact itself is held.
//!
//! An agent that writes below a folder may replace every name in it, links too. So a path is followed name by name,
//! and none of them may be one that the agent can replace.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use enact::error::{Error, ErrorCode};

/// How many links one path may lead through; what Linux allows.
const MAX_LINKS: usize = 40;

/// Something that no agent may change or read behind the runtime's back.
#[derive(Debug)]
pub(crate) struct Guarded<'a> {
    /// How the configuration names it.
    pub(crate) key: Cow<'a, str>,
    pub(crate) path: PathBuf,
    /// Whether a folder inside it is as bad as one around it.
    pub(crate) whole: bool,
    /// What an agent could do with it.
    pub(crate) harm: &'a str,
}

/// Refuses a folder, named by `key`, from which something guarded is reached. A folder that cannot be found is left to
/// the connector, which says so.
pub(crate) fn check(key: &str, folder: &Path, guarded: &[Guarded<'_>]) -> Result<(), Error> {
    let Ok(folder) = folder.canonicalize() else { return Ok(()) };
    guarded.iter().try_for_each(|guarded| {
        let refuse = |what: String| {
            let message = format!("'{key}' ({}) {what}", folder.display());
            Err(Error::new(ErrorCode::InvalidParameters, message).left_nothing())
        };
        let Guarded { key: other, path, whole, harm } = guarded;
        let (way, end) = match follow(path) {
            Ok(followed) => followed,
            Err(error) => {
                let path = path.display();
                return refuse(format!("cannot be compared with '{other}' ({path}): {error}"));
            }
        };
        let holds = end == folder || way.iter().any(|name| *name != folder && name.starts_with(&folder));
        let is_held = *whole && folder.starts_with(&end);
        if holds || is_held {
            let how = if holds { "holds" } else { "lies in" };
            let path = path.display();
            return refuse(format!("{how} '{other}' ({path}): {harm}; keep the two apart"));
        }
        Ok(())
    })
}

/// Every name that an absolute path leads through, links and what they lead to, and where it ends. What does not exist
/// is taken as it is written.
fn follow(path: &Path) -> io::Result<(Vec<PathBuf>, PathBuf)> {
    let names = |path: &Path| path.components().map(|part| part.as_os_str().to_owned()).collect::<Vec<_>>();
    let mut todo: VecDeque<OsString> = names(path).into();
    let (mut way, mut end, mut links) = (Vec::new(), PathBuf::from("/"), 0);
    while let Some(name) = todo.pop_front() {
        if name == OsStr::new("..") {
            end.pop();
            continue;
        }
        let place = end.join(name);
        way.push(place.clone());
        match fs::read_link(&place) {
            Ok(_) if links == MAX_LINKS => return Err(io::Error::other("it leads through too many links")),
            Ok(to) => {
                links += 1;
                names(&to).into_iter().rev().for_each(|name| todo.push_front(name));
            }
            // No link, or not there.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::InvalidInput | ErrorKind::NotFound | ErrorKind::NotADirectory
                ) =>
            {
                end = place;
            }
            Err(error) => return Err(error),
        }
    }
    Ok((way, end))
}
