//! Makes `vendor/github-openapi` anew from what npm has of GitHub's descriptions; see the README there.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use enact_testkit::github::{graphql_subset, openapi_subset};

fn main() -> Result<(), Box<dyn Error>> {
    let mut paths = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(openapi), Some(graphql), Some(folder)) = (paths.next(), paths.next(), paths.next()) else {
        return Err("usage: github-vendor api.github.com.json schema.graphql FOLDER".into());
    };
    let whole = serde_json::from_slice(&fs::read(openapi)?)?;
    let mut part = serde_json::to_string_pretty(&openapi_subset(&whole)?)?;
    part.push('\n');
    fs::write(folder.join("api.github.com.json"), part)?;
    fs::write(folder.join("schema.graphql"), graphql_subset(&fs::read_to_string(graphql)?)?)?;
    Ok(())
}
