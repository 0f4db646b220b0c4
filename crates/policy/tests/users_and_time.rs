//! Policies on who asks, and when.

mod common;

use common::{at, no, passes};
use enact_core::action::EffectClass;
use enact_policy::{
    Builtin, Case, CodeFreezeActive, RequireUserRole, Window, WithinMaintenanceWindow, code_freeze_active,
    require_user_role, within_maintenance_window,
};
use serde_json::json;

fn write() -> Case {
    Case::action("postgres", "update_row", json!({}))
}

fn read() -> Case {
    Case::action("postgres", "select_rows", json!({})).effect(EffectClass::ReadOnly)
}

#[test]
fn one_of_the_roles_is_enough() {
    let policy = || require_user_role(["admin", "on-call"]);
    passes(&Case::run("deploy").attribute("role", "admin"), &policy());
    passes(&Case::run("deploy").attribute("roles", json!(["dev", "on-call"])), &policy());
    passes(&Case::run("deploy").attribute("roles", "admin"), &policy());
    for case in [
        Case::run("deploy"),
        Case::run("deploy").attribute("role", "Admin"),
        Case::run("deploy").attribute("role", "administrator"),
        Case::run("deploy").attribute("role", json!(["admin"])),
        Case::run("deploy").attribute("roles", "admin,dev"),
        Case::run("deploy").attribute("roles", "[\"admin\"]"),
        Case::run("deploy").attribute("roles", json!(["admin", 7])),
        Case::run("deploy").attribute("role", "admin").attribute("roles", json!({})),
        write(),
    ] {
        no(&case, &policy());
    }
}

#[test]
fn roles_can_be_asked_for_some_actions_and_some_workflows() {
    let policy = require_user_role(["dba"]).actions(["*.delete_row"]);
    passes(&Case::run("any"), &policy);
    passes(&write(), &policy);
    no(&Case::action("postgres", "delete_row", json!({})), &policy);
    let deploys =
        RequireUserRole { roles: vec!["ops".into()], workflows: vec!["deploy".into()] }.into_policy();
    no(&Case::run("deploy"), &deploys);
    passes(&Case::run("other"), &deploys);
}

#[test]
fn changes_are_made_within_the_window_alone() {
    let policy = within_maintenance_window(&["sat", "Sunday"], "09:00", "17:30", "Europe/Berlin");
    for (time, open) in [
        ("2026-11-28T07:59:59Z", false),
        ("2026-11-28T08:00:00Z", true),
        ("2026-11-29T16:29:59Z", true),
        ("2026-11-29T16:30:00Z", false),
        ("2026-11-27T10:00:00Z", false),
        ("2026-11-30T10:00:00Z", false),
    ] {
        holds(&policy, time, open);
        passes(&read().at(at(time)), &policy);
    }
}

fn holds(policy: &Builtin, time: &str, open: bool) {
    if open { passes(&write().at(at(time)), policy) } else { drop(no(&write().at(at(time)), policy)) }
}

#[test]
fn a_window_over_midnight_belongs_to_the_day_on_which_it_starts() {
    let policy = within_maintenance_window(&["fri"], "22:00", "04:00", "UTC");
    for (time, open) in [
        ("2026-11-27T03:00:00Z", false),
        ("2026-11-27T21:59:59Z", false),
        ("2026-11-27T22:00:00Z", true),
        ("2026-11-28T03:59:59Z", true),
        ("2026-11-28T04:00:00Z", false),
        ("2026-11-28T22:00:00Z", false),
    ] {
        holds(&policy, time, open);
    }
}

#[test]
fn a_window_follows_the_clock_on_the_wall_when_it_is_changed() {
    let policy = within_maintenance_window(&[], "02:00", "03:00", "Europe/Berlin");
    for (time, open) in [
        // Set back: the hour comes twice.
        ("2026-10-24T23:59:59Z", false),
        ("2026-10-25T00:30:00Z", true),
        ("2026-10-25T01:30:00Z", true),
        ("2026-10-25T02:00:00Z", false),
        // Set forward: the hour does not come.
        ("2026-03-29T00:59:59Z", false),
        ("2026-03-29T01:00:00Z", false),
        ("2026-03-30T00:30:00Z", true),
    ] {
        holds(&policy, time, open);
    }
}

#[test]
fn several_windows_and_whole_days_can_be_given() {
    let window = |days: &[&str], from: &str, to: &str| Window {
        days: days.iter().map(|day| (*day).to_owned()).collect(),
        from: from.into(),
        to: to.into(),
    };
    let policy = WithinMaintenanceWindow {
        time_zone: "UTC".into(),
        windows: vec![window(&["sun"], "00:00", "24:00"), window(&["mon"], "06:00", "07:00")],
        ..WithinMaintenanceWindow::default()
    }
    .into_policy();
    for (time, open) in [
        ("2026-11-29T00:00:00Z", true),
        ("2026-11-29T23:59:59Z", true),
        ("2026-11-30T00:00:00Z", false),
        ("2026-11-30T06:30:00Z", true),
    ] {
        holds(&policy, time, open);
    }
}

#[test]
fn nothing_is_changed_during_a_freeze() {
    let policy = code_freeze_active("2026-12-20T18:00:00Z", "2027-01-02T06:00:00+01:00");
    for (time, open) in [
        ("2026-12-20T17:59:59Z", true),
        ("2026-12-20T18:00:00Z", false),
        ("2027-01-02T04:59:59Z", false),
        ("2027-01-02T05:00:00Z", true),
    ] {
        holds(&policy, time, open);
        passes(&read().at(at(time)), &policy);
    }
}

#[test]
fn a_freeze_of_days_holds_to_the_end_of_the_last_one_in_its_zone() {
    let policy = CodeFreezeActive {
        from: "2026-12-20".into(),
        until: "2026-12-31".into(),
        time_zone: Some("America/New_York".into()),
        exempt_roles: vec!["release-manager".into()],
    }
    .into_policy();
    for (time, open) in [
        ("2026-12-20T04:59:59Z", true),
        ("2026-12-20T05:00:00Z", false),
        ("2027-01-01T04:59:59Z", false),
        ("2027-01-01T05:00:00Z", true),
    ] {
        holds(&policy, time, open);
    }
    let frozen = write().at(at("2026-12-24T00:00:00Z"));
    passes(&frozen.clone().attribute("role", "release-manager"), &policy);
    no(&frozen.clone().attribute("role", json!(1)), &policy);
    no(&frozen.attribute("role", "dev"), &policy);
}

#[test]
fn nonsense_is_refused() {
    let window =
        |days: &[&str], from: &str, to: &str, zone: &str| within_maintenance_window(days, from, to, zone);
    let freeze = |from: &str, until: &str, zone: Option<&str>| {
        CodeFreezeActive {
            from: from.into(),
            until: until.into(),
            time_zone: zone.map(str::to_owned),
            ..CodeFreezeActive::default()
        }
        .into_policy()
    };
    for policy in [
        require_user_role(Vec::<String>::new()),
        require_user_role([" "]),
        window(&["someday"], "09:00", "10:00", "UTC"),
        window(&[], "9:00", "10:00", "UTC"),
        window(&[], "09:00", "25:00", "UTC"),
        window(&[], "09:00", "09:00", "UTC"),
        window(&[], "09:00", "10:00", "Europe/Nowhere"),
        window(&[], "09:00", "10:00", ""),
        WithinMaintenanceWindow { time_zone: "UTC".into(), ..WithinMaintenanceWindow::default() }
            .into_policy(),
        freeze("2026-12-20", "2026-12-31", None),
        freeze("2026-12-31", "2026-12-20", Some("UTC")),
        freeze("2026-12-20T18:00", "2026-12-31", Some("UTC")),
        freeze("soon", "later", Some("UTC")),
        freeze("2026-12-20", "2026-12-31", Some("Mars/Base")),
    ] {
        policy.check().expect_err("it is nonsense");
    }
}
