//! `enact init`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use enact::error::{Error, ErrorCode};
use serde_json::json;

use crate::config;
use crate::failure::{Exit, Failure};
use crate::out::Out;

/// What is written, beside the folder that the sample's connector works in.
const FILES: [(&str, &str); 4] = [
    (config::FILE, include_str!("../../samples/enact.toml")),
    ("workflows/hello.yaml", include_str!("../../samples/hello.yaml")),
    ("policies.cedar", include_str!("../../samples/policies.cedar")),
    ("policies.test.yaml", include_str!("../../samples/policies.test.yaml")),
];
const FOLDERS: [&str; 2] = ["workflows", "workspace"];

/// Writes a configuration that works as it is. Nothing that is there is overwritten.
pub(crate) fn init(dir: &Path, out: Out) -> Result<Exit, Failure> {
    if let Some((name, _)) = FILES.iter().find(|(name, _)| dir.join(name).exists()) {
        let message = format!("{} is there already; nothing was written", dir.join(name).display());
        return Err(Error::new(ErrorCode::AlreadyExists, message).left_nothing().into());
    }
    let failed = |path: &Path, error: io::Error| {
        Error::new(ErrorCode::InvalidParameters, format!("{} cannot be written: {error}", path.display()))
    };
    for folder in FOLDERS {
        fs::create_dir_all(dir.join(folder)).map_err(|error| failed(&dir.join(folder), error))?;
    }
    for (name, content) in FILES {
        let path = dir.join(name);
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        file.and_then(|mut file| file.write_all(content.as_bytes())).map_err(|error| failed(&path, error))?;
    }
    if out.json {
        out.document(&json!({ "written": FILES.map(|(name, _)| dir.join(name)) }));
        return Ok(Exit::OK);
    }
    for (name, _) in FILES {
        out.line(&format!("wrote {}", dir.join(name).display()));
    }
    let enter = if dir == Path::new(".") { String::new() } else { format!("cd {} && ", dir.display()) };
    out.line(&format!("next: {enter}enact run hello --user you@example.com"));
    Ok(Exit::OK)
}
