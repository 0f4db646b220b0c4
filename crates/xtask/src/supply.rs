//! What the project depends on: licences, banned crates and sources, by the lists of deny.toml.
//!
//! It believes what each crate says of its licence and does not read licence texts. It knows nothing of
//! advisories: their database is somewhere on the network, and a check that is left out without it would promise what
//! it does not hold. `cargo deny check advisories` looks them up.

use std::fs;
use std::process::Stdio;

use crate::{Result, cargo, root, shown};

/// The lists of deny.toml.
#[derive(Debug, Default, PartialEq, Eq)]
struct Rules {
    licences: Vec<String>,
    banned: Vec<String>,
    registries: Vec<String>,
}

/// Checks every crate that is built for this project on any system.
pub(crate) fn check() -> Result {
    let read = |name: &str| {
        let path = root()?.join(name);
        fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))
    };
    let rules = Rules::read(&read("deny.toml")?)?;
    let (tree, lock) = (tree()?, read("Cargo.lock")?);
    let mut wrong: Vec<String> = tree.lines().filter_map(|line| rules.judge(line)).collect();
    wrong.extend(foreign_sources(&lock, &rules.registries));
    wrong.sort();
    wrong.dedup();
    println!("licences, bans and sources are checked; advisories are not (`cargo deny check advisories`)");
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

/// One line for each crate: name, version and `|` and its licence.
fn tree() -> Result<String> {
    let edges = ["--edges", "normal,build,dev", "--target", "all", "--prefix", "none", "--format", "{p}|{l}"];
    let mut tree = cargo(&[&["tree", "--workspace", "--all-features", "--locked"][..], &edges].concat())?;
    let output = tree.stderr(Stdio::inherit()).output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("`{}` ended with {}", shown(&tree), output.status));
    }
    String::from_utf8(output.stdout).map_err(|error| format!("`{}`: {error}", shown(&tree)))
}

impl Rules {
    fn read(deny: &str) -> Result<Self> {
        let rules = Self {
            licences: list(deny, "licenses", "allow"),
            banned: list(deny, "bans", "deny"),
            registries: list(deny, "sources", "allow-registry"),
        };
        if rules.licences.is_empty() || rules.banned.is_empty() || rules.registries.is_empty() {
            return Err("deny.toml has no list of licences, of banned crates or of registries".to_owned());
        }
        Ok(rules)
    }

    /// What is wrong with a crate, if anything.
    fn judge(&self, line: &str) -> Option<String> {
        let line = line.trim_end_matches(" (*)").trim();
        let (name, licence) = line.split_once('|')?;
        if self.banned.iter().any(|banned| name.split(' ').next() == Some(banned)) {
            return Some(format!("{name} is banned by deny.toml, which says why"));
        }
        if permits(licence, &self.licences) {
            return None;
        }
        Some(format!("{name} has the licence '{licence}', which deny.toml does not allow"))
    }
}

/// The first quoted text of each entry of an array in a section of deny.toml.
fn list(deny: &str, section: &str, key: &str) -> Vec<String> {
    let mut lines = deny.lines().skip_while(|line| line.trim() != format!("[{section}]")).skip(1);
    let section = lines.by_ref().take_while(|line| !line.starts_with('['));
    let array = section.skip_while(|line| line.split('=').next().map(str::trim) != Some(key));
    let mut found = Vec::new();
    for line in array {
        let entry = line.split_once('#').map_or(line, |(entry, _)| entry);
        found.extend(entry.split('"').nth(1).map(str::to_owned));
        if entry.trim_end().ends_with(']') {
            break;
        }
    }
    found
}

/// Crates of Cargo.lock that come from elsewhere than the registries; those of this repository have no source.
fn foreign_sources(lock: &str, registries: &[String]) -> Vec<String> {
    let sources = lock.lines().filter_map(|line| line.strip_prefix("source = "));
    sources
        .map(|source| source.trim_matches('"'))
        .filter(|source| !registries.iter().any(|known| source.strip_prefix("registry+") == Some(known)))
        .map(|source| format!("Cargo.lock has a crate from {source}, which deny.toml does not allow"))
        .collect()
}

/// Whether an SPDX expression can be met with the allowed licences alone. Old crates write `/` for `OR`.
fn permits(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    either(&mut rest, allowed) == Some(true) && rest.is_empty()
}

fn either(words: &mut &[&str], allowed: &[String]) -> Option<bool> {
    let mut met = both(words, allowed)?;
    while let ["OR", rest @ ..] = *words {
        *words = rest;
        met |= both(words, allowed)?;
    }
    Some(met)
}

fn both(words: &mut &[&str], allowed: &[String]) -> Option<bool> {
    let mut met = one(words, allowed)?;
    while let ["AND", rest @ ..] = *words {
        *words = rest;
        met &= one(words, allowed)?;
    }
    Some(met)
}

fn one(words: &mut &[&str], allowed: &[String]) -> Option<bool> {
    match *words {
        ["(", rest @ ..] => {
            *words = rest;
            let met = either(words, allowed)?;
            let [")", rest @ ..] = *words else { return None };
            *words = rest;
            Some(met)
        }
        [licence, "WITH", exception, rest @ ..] => {
            *words = rest;
            Some(allowed.contains(&format!("{licence} WITH {exception}")))
        }
        [licence, rest @ ..] if !["AND", "OR", ")"].contains(licence) => {
            *words = rest;
            Some(allowed.iter().any(|known| known == licence))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Rules {
            licences: words(&["MIT", "Apache-2.0", "Unicode-3.0"]),
            banned: words(&["openssl"]),
            registries: words(&["https://example.org/index"]),
        }
    }

    #[test]
    fn the_lists_are_those_of_deny_toml() {
        let deny = "[licenses]\nversion = 2\nallow = [\n    \"MIT\", # the usual\n    \"Apache-2.0\",\n    \"Unicode-3.0\",\n]\n\
                    [bans]\nwildcards = \"deny\"\ndeny = [\n    { crate = \"openssl\", reason = \"rustls\" },\n]\n\
                    [sources]\nunknown-git = \"deny\"\nallow-registry = [\"https://example.org/index\"]\n";
        assert_eq!(Rules::read(deny), Ok(rules()));
        assert!(Rules::read("[licenses]\nallow = []\n").is_err());
    }

    #[test]
    fn an_expression_is_met_by_allowed_licences_alone() {
        let allowed = rules().licences;
        for met in [
            "MIT",
            "MIT/Apache-2.0",
            "GPL-3.0 OR MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR MIT",
        ] {
            assert!(permits(met, &allowed), "{met}");
        }
        for unmet in [
            "",
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "MIT OR",
            "(MIT",
            "MIT)",
            "MIT MIT",
            "GPL-3.0 OR MIT AND BSD-3-Clause",
            "Apache-2.0 WITH LLVM-exception",
        ] {
            assert!(!permits(unmet, &allowed), "{unmet}");
        }
    }

    #[test]
    fn a_crate_is_judged_by_its_name_and_its_licence() {
        assert_eq!(rules().judge("serde v1.0.0|MIT OR Apache-2.0 (*)"), None);
        assert_eq!(rules().judge("enact v0.1.0 (/here)|MIT OR Apache-2.0"), None);
        assert!(rules().judge("openssl v0.10.0|Apache-2.0").is_some_and(|wrong| wrong.contains("banned")));
        assert!(rules().judge("copyleft v1.0.0|GPL-3.0").is_some_and(|wrong| wrong.contains("GPL-3.0")));
        assert!(rules().judge("silent v1.0.0|").is_some());
    }

    #[test]
    fn a_crate_from_elsewhere_is_named() {
        let lock = "name = \"a\"\nsource = \"registry+https://example.org/index\"\nname = \"b\"\n\
                    source = \"git+https://example.org/b\"\nname = \"ours\"\n";
        let wrong = foreign_sources(lock, &rules().registries);
        assert_eq!(wrong.len(), 1);
        assert!(wrong.iter().all(|wrong| wrong.contains("git+https://example.org/b")));
    }
}
