//! What would become of a file, for people who look at a plan.

use std::str;

use enact_core::json::JsonText;
use serde_json::json;
use similar::TextDiff;

use crate::path::FilePath;
use crate::state::Node;

/// A longer diff is not read by anybody; in bytes.
const MAX_DIFF: usize = 64 * 1024;

/// What stands there now; `null`, where nothing does.
pub(crate) fn node(node: Option<&Node>) -> JsonText {
    let shown = match node {
        Some(Node::File(file)) => json!({
            "kind": "file",
            "size": file.content.size(),
            "sha256": file.content.sha256(),
            "mode": file.mode,
        }),
        Some(Node::Symlink(_)) => json!({ "kind": "symlink" }),
        None => return JsonText::null(),
    };
    JsonText::encode(&shown).unwrap_or_default()
}

/// What would become of it: a unified diff where both are text, else in a sentence. `after` is `None`, where it would be
/// deleted.
pub(crate) fn change(path: &FilePath, before: Option<&Node>, after: Option<&[u8]>) -> JsonText {
    let sentence = match (before, after) {
        (Some(Node::Symlink(_)), None) => format!("deletes the symbolic link {path}"),
        (Some(node), None) => format!("deletes {path} ({} bytes)", size(node)),
        (None, Some(after)) => format!("creates {path} ({} bytes)", after.len()),
        (Some(node), Some(after)) => format!("replaces {} bytes of {path} by {}", size(node), after.len()),
        (None, None) => return JsonText::null(),
    };
    JsonText::encode(&diff(path, before, after).unwrap_or(sentence)).unwrap_or_default()
}

fn size(node: &Node) -> u64 {
    match node {
        Node::File(file) => file.content.size(),
        Node::Symlink(_) => 0,
    }
}

fn diff(path: &FilePath, before: Option<&Node>, after: Option<&[u8]>) -> Option<String> {
    let old = match before {
        Some(Node::File(file)) => str::from_utf8(file.content.inline()?).ok()?,
        Some(Node::Symlink(_)) => return None,
        None => "",
    };
    let new = str::from_utf8(after.unwrap_or_default()).ok()?;
    if new.len() > MAX_DIFF || [old, new].iter().any(|text| text.contains('\0')) {
        return None;
    }
    let name =
        |is_there: bool, side: &str| if is_there { format!("{side}/{path}") } else { "/dev/null".into() };
    let (from, to) = (name(before.is_some(), "a"), name(after.is_some(), "b"));
    let diff = TextDiff::from_lines(old, new).unified_diff().context_radius(3).header(&from, &to).to_string();
    // The same bytes with other permissions, or an empty file.
    (!diff.is_empty() && diff.len() <= MAX_DIFF).then_some(diff)
}
