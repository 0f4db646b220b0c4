//! Policies on tables and rows.

mod common;

use common::{facts, no, passes};
use enact_core::action::EffectClass;
use enact_policy::{Case, DontDeleteRow, ProtectTables, dont_delete_row, max_rows_affected, protect_tables};
use serde_json::{Value, json};

fn change(action: &str, table: &str) -> Case {
    Case::action("postgres", action, json!({ "table": table, "where": { "id": 1 } }))
}

fn found(table: &str, rows: u64, cascades: Value) -> enact_core::action::Facts {
    facts(json!({ "table": table, "rows": rows, "cascades": cascades, "irreversible": null }))
}

#[test]
fn a_protected_table_is_known_in_every_writing() {
    for action in ["insert_row", "update_row", "delete_row"] {
        for table in [
            "users",
            "Users",
            "\"users\"",
            "\"Users\"",
            "public.users",
            "app.\"USERS\"",
            "\"public\".users",
            "u\u{455}ers",
            "us\u{200b}ers",
            " users",
        ] {
            no(&change(action, table), &protect_tables(["users"]));
        }
        for table in ["users2", "my_users", "users.orders", "\"public.users\""] {
            passes(&change(action, table), &protect_tables(["users"]));
        }
    }
}

#[test]
fn a_table_with_a_schema_is_known_by_where_the_name_led() {
    let policy = protect_tables(["billing.invoices"]);
    no(&change("update_row", "Billing.\"invoices\""), &policy);
    // A name without a schema may lead anywhere; capture knows.
    passes(&change("update_row", "invoices"), &policy);
    no(&change("update_row", "invoices").facts(found("billing.invoices", 1, json!({}))), &policy);
    passes(&change("update_row", "invoices").facts(found("public.invoices", 1, json!({}))), &policy);
    passes(&change("update_row", "public.invoices"), &policy);
}

#[test]
fn patterns_stay_within_a_schema() {
    for (pattern, table, denied) in [
        ("billing.*", "billing.x", true),
        ("billing.*", "billing.\"a/b\"", true),
        ("billing.*", "billing.\"a.b\"", true),
        ("billing.*", "public.billing", false),
        ("audit_*", "log.Audit_2024", true),
        ("*.secrets", "app.secrets", true),
        ("secret*", "x\".secret\"", true),
        ("a\"b", "\"a\"\"b\"", true),
    ] {
        let case = change("update_row", table);
        if denied {
            drop(no(&case, &protect_tables([pattern])))
        } else {
            passes(&case, &protect_tables([pattern]))
        }
    }
}

#[test]
fn what_foreign_keys_change_along_is_protected_too() {
    let along = || found("public.customers", 1, json!({ "public.orders": 3 }));
    no(&change("delete_row", "customers").facts(along()), &protect_tables(["orders"]));
    no(&change("update_row", "customers").facts(along()), &protect_tables(["public.orders"]));
    let rows = DontDeleteRow { tables: vec!["orders".into()] }.into_policy();
    no(&change("delete_row", "customers").facts(along()), &rows);
    passes(&change("delete_row", "customers").facts(found("public.customers", 1, json!({}))), &rows);
}

#[test]
fn reads_are_free_unless_they_are_protected_too() {
    let read = |table| change("select_rows", table).effect(EffectClass::ReadOnly);
    passes(&read("users"), &protect_tables(["users"]));
    let policy = ProtectTables { tables: vec!["hr.users".into()], reads: true }.into_policy();
    no(&read("hr.users"), &policy);
    let said = no(&read("users"), &policy);
    assert!(
        said.contains("names no schema and may be one that is protected") && said.contains("public.users"),
        "{said}"
    );
    passes(&read("public.users"), &policy);
    no(&read("users").facts(facts(json!({}))), &policy);
}

#[test]
fn no_row_is_deleted_or_none_of_some_tables() {
    no(&change("delete_row", "users"), &dont_delete_row());
    passes(&change("update_row", "users"), &dont_delete_row());
    let some = DontDeleteRow { tables: vec!["users".into()] }.into_policy();
    no(&change("delete_row", "\"USERS\""), &some);
    passes(&change("delete_row", "orders"), &some);
}

#[test]
fn rows_are_counted_where_they_were_found_with_those_that_follow() {
    let policy = max_rows_affected(10);
    passes(&change("update_row", "t"), &policy);
    passes(&change("update_row", "t").facts(found("public.t", 10, json!({}))), &policy);
    let reason =
        no(&change("delete_row", "t").facts(found("public.t", 1, json!({ "public.u": 10 }))), &policy);
    assert!(reason.contains("11 rows, more than 10"), "{reason}");
}

#[test]
fn facts_that_are_missing_or_something_else_are_a_no() {
    for (found, reason) in [
        (json!({}), "'rows' is missing"),
        (json!({ "rows": "3", "cascades": {} }), "number of rows"),
        (json!({ "rows": -1, "cascades": {} }), "number of rows"),
        (json!({ "rows": 1 }), "'cascades' is missing"),
        (json!({ "rows": 1, "cascades": [] }), "'cascades' is no object"),
        (json!({ "rows": 1, "cascades": { "t": null } }), "number of rows"),
    ] {
        let said = no(&change("update_row", "t").facts(facts(found)), &max_rows_affected(10));
        assert!(said.contains(reason), "{said}");
    }
    no(&change("update_row", "t").facts(facts(json!({ "cascades": {} }))), &protect_tables(["users"]));
    no(&Case::action("postgres", "update_row", json!({})), &protect_tables(["users"]));
}

#[test]
fn nonsense_is_refused() {
    for policy in [
        max_rows_affected(0),
        protect_tables(Vec::<String>::new()),
        protect_tables([""]),
        protect_tables(["a.b.c"]),
        protect_tables(["app."]),
        protect_tables(["u?ers"]),
    ] {
        policy.check().expect_err("it is nonsense");
    }
}
