//! A verdict of 50 built-in policies: what judging an action costs at each of its gates.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use enact::policies::{Case, Connectors, from_entries};
use enact::policy::{Policy, Verdict};
use enact::prelude::Error;
use enact_benches::{Result, median};
use serde_json::{Value, json};

/// Many short rounds: what else the machine does is in some of them, and not in the middle one.
const ROUNDS: usize = 1001;
const VERDICTS: usize = 20;

fn main() -> Result {
    let connectors = Connectors::default()
        .with("github", "github", &["push_commit"])
        .with("postgres", "postgres", &["update_row"])
        .with("slack", "slack", &["post_message"]);
    let policies = from_entries(entries(), &connectors)?;
    println!("verdicts of {} built-in policies; medians of {ROUNDS} rounds of {VERDICTS}", policies.len());
    println!("{:<52} {:>12}", "", "µs a verdict");
    for (what, case) in cases()? {
        for policy in &policies {
            if let Verdict::Deny(reason) = case.judge(&**policy) {
                return Err(format!("{what} is refused by '{}': {reason}", policy.name()).into());
            }
        }
        let rounds = (0..ROUNDS).map(|_| round(&case, &policies)).collect();
        println!("{what:<52} {:>12.2}", median(rounds));
    }
    Ok(())
}

/// Microseconds a verdict of all policies.
fn round(case: &Case, policies: &[Arc<dyn Policy>]) -> f64 {
    let start = Instant::now();
    for _ in 0..VERDICTS {
        for policy in policies {
            black_box(case.judge(&**policy));
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let verdicts = VERDICTS as f64;
    start.elapsed().as_secs_f64() * 1e6 / verdicts
}

/// 50 policies, as a company may have them: those of a coding agent, of a data agent and of a support agent together.
fn entries() -> Vec<Value> {
    let mut entries = vec![
        json!({ "name": "dont_push_to_main" }),
        json!({ "name": "dont_merge_to_main" }),
        json!({ "name": "dont_delete_branch", "branches": ["main", "release/**"] }),
        json!({ "name": "require_branch_prefix", "prefix": "agent/" }),
        json!({ "name": "max_files_per_commit", "max": 50 }),
        json!({ "name": "dont_delete_row", "tables": ["users", "billing.*"] }),
        json!({ "name": "max_rows_affected", "max": 100 }),
        json!({ "name": "dont_delete_file", "paths": ["migrations/**"] }),
        json!({ "name": "require_channel_allowlist", "channels": ["#general", "#support"] }),
        json!({ "name": "block_dms" }),
        json!({ "name": "no_secrets_in_content", "generic": true }),
        json!({ "name": "within_maintenance_window", "from": "00:00", "to": "24:00", "time_zone": "Europe/Berlin" }),
        json!({ "name": "code_freeze_active", "from": "2030-12-20", "until": "2031-01-02", "time_zone": "UTC" }),
        json!({ "name": "require_approval", "effect": "irreversible", "actions": ["slack.*"] }),
        json!({ "name": "require_approval", "id": "rows", "rows_above": 50 }),
    ];
    let numbered = [
        json!({ "name": "dont_push_to_main", "branches": ["prod", "release/*", "hotfix/**"], "repos": ["octo/*"] }),
        json!({ "name": "restrict_paths", "allow": ["src/**", "docs/**", "tests/**"], "deny": [".github/**", "*.pem", ".env"] }),
        json!({ "name": "block_extensions", "extensions": ["exe", "dll", "sh", "bat", "tar.gz"] }),
        json!({ "name": "protect_tables", "tables": ["users", "audit_*", "billing.*"], "reads": true }),
        json!({ "name": "require_user_role", "roles": ["developer", "admin"], "actions": ["*.push_commit", "*.update_row"] }),
        json!({ "name": "max_actions_per_run", "max": 100 }),
        json!({ "name": "rate_limit", "max": 1000, "per": "1h", "by": ["user", "action"] }),
    ];
    for number in 0..5 {
        for entry in &numbered {
            let mut entry = entry.clone();
            if let Some(entry) = entry.as_object_mut() {
                entry.insert("id".into(), json!(format!("team-{number}")));
            }
            entries.push(entry);
        }
    }
    entries
}

fn cases() -> std::result::Result<Vec<(&'static str, Case)>, Error> {
    let text = "fn main() {\n    println!(\"hello\"); // a line of code as it is written\n}\n".repeat(15);
    let files: Vec<Value> =
        (0..3).map(|at| json!({ "path": format!("src/module_{at}/mod.rs"), "content": text })).collect();
    let push = json!({ "repo": "octo/app", "branch": "agent/fix-149", "message": "Fix the greeting", "files": files });
    let update = json!({ "table": "public.orders", "data": { "status": "sent", "note": "by hand" }, "where": { "id": 7 } });
    let case = |kind: &str, action: &str, params: &Value| {
        let case = Case::action(kind, action, params.clone()).attribute("role", "developer");
        (0..10).fold(case, |case, _| case.after("files", "read_file", &json!({ "path": "a" })))
    };
    let pushed = json!({ "repo": "octo/app", "default_branch": "main", "exists": true, "paths": ["a"] });
    let updated = json!({ "table": "public.orders", "rows": 1, "cascades": {}, "irreversible": null });
    let facts = |value: Value| value.as_object().cloned().unwrap_or_default();
    Ok(vec![
        ("push_commit of 3 files with 1 KiB each, parameters", case("github", "push_commit", &push)),
        ("push_commit, with what capture found", case("github", "push_commit", &push).facts(facts(pushed))),
        ("update_row, parameters", case("postgres", "update_row", &update)),
        (
            "update_row, with what capture found",
            case("postgres", "update_row", &update).facts(facts(updated)),
        ),
    ])
}
