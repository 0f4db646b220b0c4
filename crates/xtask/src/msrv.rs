//! The oldest Rust that is promised: `rust-version` in Cargo.toml.
//!
//! The proof is a compiler of that version, which cannot be had everywhere: its server is not one of the registries that
//! a build machine has to reach. So there are two checks. [`check`] is the proof, and fails where it cannot be made.
//! [`declared`] is what is known without that compiler: what each dependency says that it needs, and that clippy judges
//! by the same version which functions of the standard library are there. It does not know of dependencies that need
//! more than they say.

use std::fs;
use std::process::{Command, Stdio};

use crate::{Result, cargo, root, run, shown, succeeds};

/// Checks that the libraries and programs compile with the oldest Rust.
pub(crate) fn check() -> Result {
    let version = oldest()?;
    if !is_installed(&version) {
        let mut install = Command::new("rustup");
        install.args(["toolchain", "install", "--profile", "minimal", &version]).stdin(Stdio::null());
        run(&mut install).map_err(|error| {
            format!("NOT CHECKED: Rust {version} is not installed here and cannot be fetched: {error}")
        })?;
    }
    let mut check = Command::new("rustup");
    check.args(["run", &version, "cargo", "check", "--workspace", "--all-features", "--locked"]);
    // Cargo tells those that it starts which compiler to use.
    check.env_remove("RUSTC").env_remove("RUSTDOC").env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO");
    run(check.current_dir(root()?).stdin(Stdio::null()))?;
    println!("everything compiles with Rust {version}");
    Ok(())
}

/// Checks what can be known without the oldest Rust.
pub(crate) fn declared() -> Result {
    let version = oldest()?;
    let of_clippy = value(&read("clippy.toml")?, "msrv").ok_or("clippy.toml names no msrv")?;
    if of_clippy != version {
        return Err(format!("clippy.toml has msrv {of_clippy}, Cargo.toml has rust-version {version}"));
    }
    let metadata = metadata()?;
    let packages = packages(&metadata);
    if packages.is_empty() {
        return Err("`cargo metadata` named no package in the form that is known here".to_owned());
    }
    let newer = newer(&packages, &version)?;
    if !newer.is_empty() {
        return Err(format!("Rust {version} is promised, and these need a newer one:\n{}", newer.join("\n")));
    }
    let silent = packages.iter().filter(|(_, needs)| needs.is_none()).count();
    println!(
        "{} packages, none of which says that it needs more than Rust {version}; {silent} of them say nothing",
        packages.len()
    );
    println!("whether everything compiles with it is not checked here (`cargo xtask msrv`)");
    Ok(())
}

fn oldest() -> Result<String> {
    value(&read("Cargo.toml")?, "rust-version").ok_or_else(|| "Cargo.toml names no rust-version".to_owned())
}

fn read(name: &str) -> Result<String> {
    let path = root()?.join(name);
    fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

/// The text that a key has in a TOML file, where it stands alone on a line.
fn value(toml: &str, key: &str) -> Option<String> {
    let of_key = |line: &str| Some(line.strip_prefix(key)?.trim_start().strip_prefix('=')?.trim().to_owned());
    toml.lines().find_map(of_key).map(|value| value.trim_matches('"').to_owned())
}

fn is_installed(version: &str) -> bool {
    succeeds(Command::new("rustup").args(["run", version, "rustc", "--version"]))
}

/// All that cargo knows of the packages in Cargo.lock, as JSON.
fn metadata() -> Result<String> {
    let mut metadata = cargo(&["metadata", "--format-version", "1", "--all-features", "--locked"])?;
    let output = metadata.stderr(Stdio::inherit()).output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("`{}` ended with {}", shown(&metadata), output.status));
    }
    String::from_utf8(output.stdout).map_err(|error| format!("`{}`: {error}", shown(&metadata)))
}

/// Each package with the Rust that it says it needs. A quote within a text has a backslash before it, so only keys are
/// found; each package has one `rust_version`, and its `id` is the first one behind that of the package before.
fn packages(metadata: &str) -> Vec<(&str, Option<&str>)> {
    let text = |rest: &'_ str| rest.strip_prefix('"').and_then(|rest| rest.split('"').next()).map(str::len);
    let mut found = Vec::new();
    let mut parts = metadata.split("\"rust_version\":").peekable();
    while let Some(part) = parts.next() {
        let Some(next) = parts.peek() else { break };
        let id = part.split_once("\"id\":").map_or("a package without an id", |(_, rest)| rest);
        let name = text(id).and_then(|length| id.get(1..=length)).unwrap_or(id);
        found.push((name, text(next).and_then(|length| next.get(1..=length))));
    }
    found
}

/// The packages that need a newer Rust than `promised`, each in a line.
fn newer(packages: &[(&str, Option<&str>)], promised: &str) -> Result<Vec<String>> {
    let promised = number(promised)?;
    let mut newer = Vec::new();
    for (name, needs) in packages {
        if let Some(needs) = needs
            && number(needs)? > promised
        {
            newer.push(format!("{name} needs Rust {needs}"));
        }
    }
    Ok(newer)
}

/// A version as numbers that compare; `1.89` is `1.89.0`.
fn number(version: &str) -> Result<[u32; 3]> {
    let mut number = [0; 3];
    let mut parts = version.split('.');
    for (to, part) in number.iter_mut().zip(parts.by_ref()) {
        *to = part.parse().map_err(|_| format!("'{version}' is no version of Rust"))?;
    }
    if parts.next().is_some() { Err(format!("'{version}' is no version of Rust")) } else { Ok(number) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: &str = concat!(
        r#"{"packages":[{"name":"a","version":"1.0.0","id":"registry+x#a@1.0.0","description":"\"rust_version\":\"9\"","#,
        r#""metadata":{"id":"y"},"rust_version":"1.89.0"},{"name":"b","id":"path+z#b@2.0.0","rust_version":null},"#,
        r#"{"name":"c","id":"registry+x#c@3.0.0","rust_version":"1.90"}],"resolve":{"nodes":[{"id":"path+z#b@2.0.0"}]}}"#
    );

    #[test]
    fn what_packages_say_that_they_need_is_read_with_their_names() {
        let read = packages(METADATA);
        let expected = [
            ("registry+x#a@1.0.0", Some("1.89.0")),
            ("path+z#b@2.0.0", None),
            ("registry+x#c@3.0.0", Some("1.90")),
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn a_package_that_needs_a_newer_rust_is_named() {
        let read = packages(METADATA);
        assert_eq!(newer(&read, "1.89"), Ok(vec!["registry+x#c@3.0.0 needs Rust 1.90".to_owned()]));
        assert_eq!(newer(&read, "1.90.0"), Ok(vec![]));
        assert_eq!(newer(&read, "1.100"), Ok(vec![]));
        assert!(newer(&read, "stable").is_err() && newer(&[("a", Some("1.2.3.4"))], "1.89").is_err());
    }

    #[test]
    fn a_key_of_a_toml_file_is_read_where_it_stands_alone() {
        let toml = "# rust-version\nother-rust-version = \"1\"\nrust-version = \"1.89\"\n";
        assert_eq!(value(toml, "rust-version").as_deref(), Some("1.89"));
        assert_eq!(value(toml, "msrv"), None);
    }
}
