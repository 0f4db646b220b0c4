//! A verdict of 50 rules in Cedar: what judging an action costs at each of its gates.

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use enact::catalog::Catalog;
use enact::github::GitHub;
use enact::json::JsonText;
use enact::policies::Case;
use enact::policies::cedar::{Cedar, Schema};
use enact::policy::Verdict;
use enact_benches::{Result, median};
use serde_json::{Map, Value, json};

const RULES: usize = 50;
const ROUNDS: usize = 15;
const VERDICTS: usize = 1000;

fn main() -> Result {
    let github = Catalog::of::<GitHub>();
    let schema = Arc::new(Schema::new([("github", &github)])?);
    println!("verdicts of {RULES} rules in Cedar; medians of {ROUNDS} rounds of {VERDICTS}");
    println!("{:<52} {:>12}", "", "µs a verdict");
    let cedar = Cedar::new(rules()?, "policies.cedar", schema)?;
    for (what, case) in cases(&github)? {
        if let Verdict::Deny(reason) = case.judge(&cedar) {
            return Err(format!("{what} is refused: {reason}").into());
        }
        let rounds = (0..ROUNDS).map(|_| round(&case, &cedar)).collect();
        println!("{what:<52} {:>12.1}", median(rounds));
    }
    Ok(())
}

/// Microseconds a verdict.
fn round(case: &Case, cedar: &Cedar) -> f64 {
    let start = Instant::now();
    for _ in 0..VERDICTS {
        black_box(case.judge(cedar));
    }
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let verdicts = VERDICTS as f64;
    start.elapsed().as_secs_f64() * 1e6 / verdicts
}

/// Rules as a company may have them: some for every action, most for one action in one repository.
fn rules() -> Result<String> {
    let mut text = String::from(
        "permit(principal, action == Action::\"run\", resource);\n\
         permit(principal, action in [Action::\"read_only\", Action::\"reversible\"], resource);\n\
         @approval(\"it cannot be undone\") permit(principal, action in Action::\"irreversible\", resource);\n\
         forbid(principal, action, resource) when { context.now < datetime(\"1970-01-01\") };\n",
    );
    for number in 4..RULES {
        let (action, condition) = match number % 3 {
            0 => ("create_pr", "context.params has base && context.params.base like \"release/*\""),
            1 => ("push_commit", "context.params.files.each.path.contains(\"Cargo.lock\")"),
            _ => ("merge_pr", "context has facts.commits && context.facts.commits > 100"),
        };
        writeln!(
            text,
            "@id(\"rule-{number}\") forbid(principal, action == Action::\"github.{action}\", resource)\n\
             when {{ context.params.repo == \"acme/app-{number}\" && {condition} }} unless {{ principal has role && principal.role == \"lead\" }};"
        )?;
    }
    Ok(text)
}

fn cases(github: &Catalog) -> Result<Vec<(&'static str, Case)>> {
    let action = |name: &str, params: Value| -> Result<Case> {
        let judged = github.judged(name, &JsonText::encode(&params)?)?;
        let case =
            Case::action("github", name, judged.params.value()).target(judged.target).effect(judged.effect);
        Ok(case.attribute("role", "agent").payload(json!({ "repo": "acme/app-4", "branch": "agent/x" })))
    };
    let pr = action(
        "create_pr",
        json!({ "repo": "acme/app-6", "title": "Fix", "head": "agent/x", "base": "main" }),
    )?;
    let files: Vec<Value> = (0..20)
        .map(|number| json!({ "path": format!("src/{number}.rs"), "content": "x".repeat(1000) }))
        .collect();
    let push = action(
        "push_commit",
        json!({ "repo": "acme/app-7", "branch": "agent/x", "message": "Fix", "files": files }),
    )?;
    let facts: Map<String, Value> = [("base".to_owned(), json!("main"))].into_iter().collect();
    Ok(vec![
        ("a run", Case::run("agent-pr").payload(json!({ "repo": "acme/app" }))),
        ("create_pr", pr.clone()),
        ("create_pr, after capture", pr.facts(facts)),
        ("push_commit of 20 files of 1 kB", push),
    ])
}
