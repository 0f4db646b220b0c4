//! `enact policy check` and `enact policy test`: no run, no store, and no secret is needed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use enact::catalog::Catalog;
use enact::error::{Error, ErrorCode};
use enact::policies::cases::{CaseResult, Cases};
use serde_json::{Value, json};

use crate::config::Config;
use crate::failure::{Exit, Failure, usage};
use crate::out::{Out, Tone, clean};
use crate::policies::{Policies, catalogs, odd, policies};
use crate::text;

/// A larger file of cases is none.
const MAX_BYTES: usize = 1024 * 1024;

/// `enact policy check`.
pub(crate) fn check(config: &Config, out: Out) -> Result<Exit, Failure> {
    let (policies, catalogs) = made(config, out)?;
    let odd = odd(config, &catalogs);
    let names: Vec<&str> = policies.all.iter().map(|policy| policy.name()).collect();
    if out.json {
        let of_rules = policies.warnings.iter().map(|warning| json!(warning));
        let warnings: Vec<Value> = odd.iter().map(|warning| json!(warning)).chain(of_rules).collect();
        out.document(&json!({ "policies": names, "warnings": warnings }));
        return Ok(Exit::OK);
    }
    let of_rules = policies.warnings.iter().map(ToString::to_string);
    for warning in odd.iter().map(|problem| config.in_policy(problem)).chain(of_rules) {
        out.line(&format!("{} {}", out.paint(Tone::Warn, "warning:"), clean(&warning)));
    }
    out.line(&match names.as_slice() {
        [] => "no policies are configured; the allowlists alone decide".to_owned(),
        names => format!("valid: {}", names.join(", ")),
    });
    Ok(Exit::OK)
}

/// `enact policy test FILE`.
pub(crate) fn test(config: &Config, file: &Path, out: Out) -> Result<Exit, Failure> {
    let (policies, catalogs) = made(config, out)?;
    if policies.all.is_empty() {
        let message = format!("{} names no policies that could be tested", config.file().display());
        return Err(Error::new(ErrorCode::InvalidParameters, message).into());
    }
    let text = text::read(file, MAX_BYTES)
        .map_err(|error| usage(format!("the cases {} cannot be read: {error}", file.display())))?;
    let cases = Cases::read(&text, &file.display().to_string(), &catalogs)?;
    let all: Vec<_> = policies.all.iter().map(AsRef::as_ref).collect();
    let results = cases.run(&all);
    let failed = results.iter().filter(|result| !result.passed).count();
    if out.json {
        out.document(&json!({ "passed": results.len() - failed, "failed": failed, "cases": results }));
    } else {
        results.iter().for_each(|result| show(&cases, result, out));
        out.line(&format!("{} passed, {failed} failed", results.len() - failed));
    }
    Ok(if failed == 0 { Exit::OK } else { Exit::FAILED })
}

/// Every policy. A connector whose secret is not there is known by its kind.
fn made(config: &Config, out: Out) -> Result<(Policies, BTreeMap<String, Catalog>), Failure> {
    let opened = config.connectors_for(Some(&BTreeSet::new()))?;
    for (name, lacks) in &opened.left_out {
        out.note(&format!(
            "connector '{name}' is not opened: {lacks}; its actions are taken to have their usual effects"
        ));
    }
    let catalogs = catalogs(config, &opened.toolboxes)?;
    Ok((policies(config, &catalogs)?, catalogs))
}

fn show(cases: &Cases, result: &CaseResult, out: Out) {
    let (tone, word) = if result.passed { (Tone::Good, "passed") } else { (Tone::Bad, "FAILED") };
    let name = clean(&result.name);
    if result.passed {
        out.line(&format!("{}  {name}: {}", out.paint(tone, word), result.found));
        return;
    }
    let place = format!("{}, line {}", cases.file(), result.line);
    out.line(&format!("{}  {name} ({place}): {}", out.paint(tone, word), clean(&result.problem)));
    for judged in &result.verdicts {
        let colon = if judged.reason.is_empty() { "" } else { ": " };
        out.line(&format!(
            "        {} says {}{colon}{}",
            judged.policy,
            judged.verdict,
            clean(&judged.reason)
        ));
    }
}
