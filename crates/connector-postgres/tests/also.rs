//! What else breaks others on Postgres: names, types, triggers, row-level security, limits, changes of tables.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test by panicking"
)]

mod world;

use enact_connector_postgres::Postgres;
use enact_core::{Capture, ErrorCode};
use enact_testkit::postgres::{Proxy, Server};
use serde_json::json;
use world::Tables;

#[tokio::test]
async fn names_and_values_that_look_like_sql_are_names_and_values() {
    let world = Tables::with(
        r#"CREATE SCHEMA "x.y"; CREATE TABLE "x.y"."a""b; DROP TABLE t" ("select" text PRIMARY KEY, "ü $1 ' " text);
           CREATE TABLE t (id int PRIMARY KEY);"#,
    )
    .await;
    let table = r#""x.y"."a""b; DROP TABLE t""#;
    let evil = "'; DROP TABLE t; --";
    let data = json!({ "select": evil, "ü $1 ' ": "\\'\"$$" });
    world.there_and_back("insert_row", json!({ "table": table, "data": data })).await;
    world.act("insert_row", json!({ "table": table, "data": data })).await.unwrap();
    let params = json!({ "table": table, "where": { "select": evil } });
    assert_eq!(world.act("select_rows", params.clone()).await.unwrap().output["rows"], json!([data]));
    world.there_and_back("delete_row", params).await;
    for table in ["t; DROP TABLE t", "pg_catalog.t", "T", "information_schema.t"] {
        let error = world.refused("delete_row", json!({ "table": table, "where": { "id": 1 } })).await;
        assert_eq!(error.code(), ErrorCode::NotFound, "{error}");
    }
    for (place, params) in [
        ("where", json!({ "table": "t", "data": { "id": 1 }, "where": { "1=1; --": 1 } })),
        ("data", json!({ "table": "t", "data": { "id = 1, x": 1 }, "where": { "id": 1 } })),
    ] {
        let error = world.refused("update_row", params).await;
        assert_eq!(error.code(), ErrorCode::InvalidParameters, "{place}: {error}");
    }
    let error = world.act("select_rows", json!({ "table": "t", "order_by": "id; DROP TABLE t" })).await;
    assert_eq!(error.unwrap_err().code(), ErrorCode::InvalidParameters);
}

/// Others may make functions in a schema of the search path, and one that fits better is taken for the server's own.
#[tokio::test]
async fn functions_of_others_in_the_search_path_are_not_called() {
    let world = Tables::with(
        "CREATE TYPE mood AS ENUM ('glad', 'sad'); CREATE TABLE t (id int PRIMARY KEY, m mood); \
         INSERT INTO t VALUES (1, 'glad'); \
         CREATE FUNCTION to_json(t) RETURNS json LANGUAGE sql AS $$ SELECT '{\"forged\": 1}'::json $$; \
         CREATE FUNCTION format(text, mood) RETURNS text LANGUAGE sql AS $$ SELECT 'sad' $$; \
         CREATE FUNCTION unnest(t[]) RETURNS SETOF t LANGUAGE sql AS $$ SELECT 1, 'sad'::mood $$;",
    )
    .await;
    let update = json!({ "table": "t", "data": { "m": "sad" }, "where": { "id": 1 } });
    let done = world.there_and_back("update_row", update).await;
    assert_eq!(done.output["rows"], json!([{ "id": 1, "m": "sad" }]));
    let done = world.there_and_back("delete_row", json!({ "table": "t", "where": { "id": 1 } })).await;
    let before = &done.pre.value()["changes"]["here"][0]["rows"][0]["before"];
    assert_eq!(*before, json!(["1", "glad"]));
}

#[tokio::test]
async fn every_function_stands_with_its_schema() {
    let db = Server::shared().database().await;
    db.exec(
        "CREATE TABLE p (id int PRIMARY KEY, v xml[]); INSERT INTO p VALUES (1), (2); \
         CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE); \
         INSERT INTO c VALUES (1, 1); CREATE TABLE loose (i interval);",
    )
    .await;
    let proxy = Proxy::start(db.server()).await;
    let url = proxy.url(&db);
    let world = Tables::at(db, &url, |postgres| postgres);
    world.act("select_rows", json!({ "table": "c" })).await.unwrap();
    world.there_and_back("insert_row", json!({ "table": "loose", "data": { "i": "1 day" } })).await;
    world
        .there_and_back("update_row", json!({ "table": "p", "data": { "id": 3 }, "where": { "id": 1 } }))
        .await;
    world
        .there_and_back("update_row", json!({ "table": "c", "data": { "p": 2 }, "where": { "p": 1 } }))
        .await;
    let (action, cx) = (
        world.prepare("delete_row", &json!({ "table": "p", "where": { "v": null } })).unwrap(),
        world.cx(enact_core::ids::Direction::Forward, false),
    );
    let Capture::Ready { pre, .. } = action.capture(&cx).await.unwrap() else { panic!("it was so already") };
    action.probe(&cx, &pre).await.unwrap();
    // What is called so is no function: an expression, and the names of rows with those of their columns.
    let others = ["coalesce", "k", "a", "b"];
    for statement in proxy.statements() {
        for (before, _) in statement.match_indices('(').map(|(at, _)| statement.split_at(at)) {
            let word = before.rsplit(|c: char| c != '_' && !c.is_ascii_lowercase()).next().unwrap();
            let schema = before.strip_suffix(word).unwrap();
            assert!(
                word.is_empty() || others.contains(&word) || schema.ends_with("pg_catalog."),
                "{word} in {statement}"
            );
        }
    }
}

#[tokio::test]
async fn where_takes_arrays_json_ranges_and_composites() {
    let world = Tables::with(
        "CREATE TYPE pair AS (a int, b text); \
         CREATE TABLE t (id int PRIMARY KEY, tags text[], j json, b jsonb, r int4range, p pair, c char(5)); \
         INSERT INTO t VALUES (1, '{a,NULL}', '{\"x\": 1}', '[1, 2]', '[1,5)', ROW(1, 'x y'), 'ab');",
    )
    .await;
    for condition in [
        json!({ "tags": ["a", null] }),
        json!({ "j": { "x": 1.0 } }),
        json!({ "b": [1, 2] }),
        json!({ "r": "[1,4]" }),
        json!({ "p": "(1,\"x y\")" }),
        json!({ "c": "ab" }),
        json!({ "id": 1, "c": "ab   " }),
    ] {
        let found = world.act("select_rows", json!({ "table": "t", "where": condition })).await.unwrap();
        assert_eq!(found.output["rows"].as_array().unwrap().len(), 1, "{condition}");
    }
    let error = world.act("select_rows", json!({ "table": "t", "where": { "c": { "x": 1 } } })).await;
    assert!(error.unwrap_err().message().contains("'c'"));
}

#[tokio::test]
async fn a_value_that_does_not_fit_is_an_error_and_never_cut() {
    let world = Tables::with(
        "CREATE TABLE t (id int PRIMARY KEY, v varchar(3), c char(2), n numeric(3, 1), b bit(2));",
    )
    .await;
    for data in [
        json!({ "id": 1, "v": "abcd" }),
        json!({ "id": 1, "c": "abc" }),
        json!({ "id": 1, "n": 1000 }),
        json!({ "id": 1, "b": "101" }),
        json!({ "id": 1.5 }),
        json!({ "id": 99_999_999_999_u64 }),
        json!({ "id": true }),
    ] {
        let error = world.refused("insert_row", json!({ "table": "t", "data": data })).await;
        assert_eq!(error.code(), ErrorCode::InvalidParameters, "{data}: {error}");
    }
}

#[tokio::test]
async fn deferred_constraints_are_checked_before_the_intent() {
    let world = Tables::with(
        "CREATE TABLE p (id int PRIMARY KEY); \
         CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p DEFERRABLE INITIALLY DEFERRED);",
    )
    .await;
    let action = world.prepare("insert_row", &json!({ "table": "c", "data": { "id": 1, "p": 7 } })).unwrap();
    let cx = world.cx(enact_core::ids::Direction::Forward, false);
    let error = action.capture(&cx).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::PreconditionFailed, "{error}");
}

#[tokio::test]
async fn rows_in_a_circle_of_foreign_keys_come_back() {
    let world = Tables::with(
        "CREATE TABLE a (id int PRIMARY KEY, b int); \
         CREATE TABLE b (id int PRIMARY KEY, a int NOT NULL REFERENCES a ON DELETE CASCADE); \
         INSERT INTO a VALUES (1, NULL), (2, NULL); INSERT INTO b VALUES (1, 1), (2, 2); \
         UPDATE a SET b = id; \
         ALTER TABLE a ALTER b SET NOT NULL, ADD FOREIGN KEY (b) REFERENCES b ON DELETE CASCADE;",
    )
    .await;
    world.there_and_back("delete_row", json!({ "table": "a", "where": { "id": 1 } })).await;
}

/// 1.0 and 1.00 are one key and two texts; a key that is given back passes its own text on.
#[tokio::test]
async fn rows_that_point_at_an_equal_key_come_back_as_they_were_written() {
    let world = Tables::with(
        "CREATE TABLE p (id numeric PRIMARY KEY); INSERT INTO p VALUES ('1'), ('2'); \
         CREATE TABLE c (id int PRIMARY KEY, p numeric REFERENCES p ON UPDATE CASCADE ON DELETE SET NULL); \
         INSERT INTO c VALUES (1, '1.00'), (2, '1'), (3, '2.0');",
    )
    .await;
    for id in ["1.0", "7"] {
        world
            .there_and_back("update_row", json!({ "table": "p", "data": { "id": id }, "where": { "id": 1 } }))
            .await;
    }
    world.there_and_back("delete_row", json!({ "table": "p", "where": { "id": 2 } })).await;
}

#[tokio::test]
async fn rows_that_a_constraint_would_not_let_in_again_are_not_changed() {
    let world = Tables::with(
        "CREATE TABLE p (id int PRIMARY KEY); INSERT INTO p VALUES (1); \
         CREATE TABLE t (id int PRIMARY KEY, v int, p int); INSERT INTO t VALUES (1, -1, 1), (2, 1, 9), (3, 1, 1); \
         ALTER TABLE t ADD CHECK (v > 0) NOT VALID, ADD FOREIGN KEY (p) REFERENCES p ON DELETE CASCADE NOT VALID;",
    )
    .await;
    for (action, params) in [
        ("delete_row", json!({ "table": "t", "where": { "id": 1 } })),
        ("delete_row", json!({ "table": "t", "where": { "id": 2 } })),
        ("update_row", json!({ "table": "t", "data": { "v": 5 }, "where": { "id": 1 } })),
        ("delete_row", json!({ "table": "p", "where": { "id": 1 } })),
    ] {
        let error = world.refused(action, params).await;
        assert_eq!(error.code(), ErrorCode::PreconditionFailed, "{error}");
        assert!(error.message().contains("NOT VALID"), "{error}");
    }
    world.there_and_back("delete_row", json!({ "table": "t", "where": { "id": 3 } })).await;
    world
        .there_and_back("update_row", json!({ "table": "t", "data": { "v": 5 }, "where": { "id": 3 } }))
        .await;
    world.there_and_back("insert_row", json!({ "table": "t", "data": { "id": 4 } })).await;
    world.db.exec("DELETE FROM t WHERE id < 3").await;
    world.there_and_back("delete_row", json!({ "table": "p", "where": { "id": 1 } })).await;
}

/// A constraint that is NOT VALID has nothing to do with it.
#[tokio::test]
async fn a_connection_that_is_lost_while_an_undo_is_tried_beforehand_may_be_tried_again() {
    let db = Server::shared().database().await;
    db.exec(
        "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1); \
         ALTER TABLE t ADD CHECK (v > 0) NOT VALID;",
    )
    .await;
    let proxy = Proxy::start(db.server()).await;
    let url = proxy.url(&db);
    let world = Tables::at(db, &url, |postgres| postgres);
    let delete = json!({ "table": "t", "where": { "id": 1 } });
    let lost = proxy.lose_request("WITH");
    let error = world.refused("delete_row", delete.clone()).await;
    assert!(lost.was_reached());
    assert_eq!((error.code(), error.is_retryable()), (ErrorCode::Unavailable, true), "{error}");
    assert!(!error.message().contains("NOT VALID"), "{error}");
    world.there_and_back("delete_row", delete).await;
}

#[tokio::test]
async fn an_undo_that_the_database_refuses_by_itself_is_not_laid_to_somebody_elses_rows() {
    let no = "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'never'; END $$; \
              CREATE TRIGGER no BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION no();";
    for (since, reason) in [
        ("ALTER TABLE t ADD CHECK (v > 2)", "no longer takes"),
        ("ALTER TABLE t ALTER w SET NOT NULL", "no longer takes"),
        (no, "never"),
    ] {
        let world =
            Tables::with("CREATE TABLE t (id int PRIMARY KEY, v int, w int); INSERT INTO t VALUES (1, 1);")
                .await;
        let params = json!({ "table": "t", "data": { "v": 3, "w": 3 }, "where": { "id": 1 } });
        let done = world.act("update_row", params).await.unwrap();
        world.db.exec(since).await;
        let error = world.undo(&done, false).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::PreconditionFailed, "{since}: {error}");
        assert!(
            error.message().contains(reason) && !error.message().contains("somebody"),
            "{since}: {error}"
        );
    }
}

#[tokio::test]
async fn a_trigger_that_sets_a_time_of_change_is_named_and_does_not_stop_the_undo() {
    let world = Tables::with(
        "CREATE TABLE t (id int PRIMARY KEY, v text, changed int DEFAULT 0); CREATE TABLE log (what text); \
         CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS \
           $$ BEGIN NEW.changed = OLD.changed + 1; INSERT INTO log VALUES ('touched'); RETURN NEW; END $$; \
         CREATE TRIGGER touch BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION touch(); \
         INSERT INTO t VALUES (1, 'a'), (2, 'b');",
    )
    .await;
    let params = json!({ "table": "t", "data": { "v": "z" }, "where": { "id": 1 } });
    let done = world.act("update_row", params).await.unwrap();
    assert_eq!(done.output["rows"][0]["changed"], 1);
    assert!(
        done.facts["triggers"][0].as_str().unwrap().contains("touch (BEFORE UPDATE)"),
        "{:?}",
        done.facts
    );
    let warning = done.pre.value()["warnings"][0].as_str().unwrap().to_owned();
    assert!(warning.contains("touch") && warning.contains("not undone"), "{warning}");
    let undone = world.undo(&done, false).await.unwrap();
    assert_eq!(undone.output["set_by_triggers"], json!(["public.t.changed"]));
    assert_eq!(world.value("SELECT concat(v, changed) FROM t WHERE id = 1").await, "a2");
}

#[tokio::test]
async fn a_trigger_that_will_not_let_a_row_be_as_it_was_makes_the_undo_fail_whole() {
    let world =
        Tables::with("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a');").await;
    let done = world.act("delete_row", json!({ "table": "t", "where": { "id": 1 } })).await.unwrap();
    world
        .db
        .exec(
            "CREATE FUNCTION loud() RETURNS trigger LANGUAGE plpgsql AS \
               $$ BEGIN NEW.v = upper(NEW.v); RETURN NEW; END $$; \
             CREATE TRIGGER loud BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION loud();",
        )
        .await;
    let between = world.db.dump().await;
    let error = world.undo(&done, false).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::PreconditionFailed);
    assert!(error.message().contains("'v'"), "{error}");
    assert_eq!(world.db.dump().await, between);
    let forced = world.undo(&done, true).await.unwrap();
    assert_eq!(forced.output["set_by_triggers"], json!(["public.t.v"]));
}

#[tokio::test]
async fn what_a_later_trigger_makes_of_a_row_is_what_undo_compares_with() {
    let world = Tables::with(
        "CREATE TABLE t (id int PRIMARY KEY, v text, n int DEFAULT 0); \
         CREATE FUNCTION more() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
           UPDATE t SET n = n + 1 WHERE id = NEW.id AND pg_trigger_depth() = 1; RETURN NULL; END $$; \
         CREATE TRIGGER more AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION more();",
    )
    .await;
    let done = world.there_and_back("insert_row", json!({ "table": "t", "data": { "id": 1 } })).await;
    assert_eq!(done.output["row"]["n"], 1);
}

#[tokio::test]
async fn rows_that_a_trigger_leaves_out_make_the_whole_change_fail() {
    let world = Tables::with(
        "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 0), (2, 0); \
         CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS \
           $$ BEGIN IF OLD.id = 2 THEN RETURN NULL; END IF; RETURN coalesce(NEW, OLD); END $$; \
         CREATE TRIGGER no BEFORE UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION no();",
    )
    .await;
    let update = json!({ "table": "t", "data": { "v": 1 }, "where": { "v": 0 } });
    assert_eq!(world.refused("update_row", update).await.code(), ErrorCode::PreconditionFailed);
    let error = world.refused("delete_row", json!({ "table": "t", "where": { "v": 0 } })).await;
    assert_eq!(error.code(), ErrorCode::PreconditionFailed);
    assert!(error.message().contains("trigger"), "{error}");
}

#[tokio::test]
async fn triggers_of_tables_that_are_changed_along_are_named_too() {
    let world = Tables::with(
        "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p ON DELETE CASCADE); \
         INSERT INTO p VALUES (1); INSERT INTO c VALUES (1, 1); CREATE TABLE log (what text); \
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS \
           $$ BEGIN INSERT INTO log VALUES ('gone'); RETURN OLD; END $$; \
         CREATE TRIGGER note AFTER DELETE ON c FOR EACH ROW EXECUTE FUNCTION note();",
    )
    .await;
    let done = world.act("delete_row", json!({ "table": "p", "where": { "id": 1 } })).await.unwrap();
    let warnings = done.pre.value()["warnings"].to_string();
    assert!(warnings.contains("note") && warnings.contains("public.c"), "{warnings}");
}

/// A database in which the role sees only its own rows.
async fn guarded(role: &str) -> Tables {
    let db = Server::shared().database().await;
    db.exec(&format!(
        "DO $$ BEGIN CREATE ROLE {role} LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$; \
         CREATE TABLE t (id int PRIMARY KEY, owner text, v int); \
         INSERT INTO t VALUES (1, '{role}', 0), (2, 'else', 0), (3, '{role}', 0); \
         ALTER TABLE t ENABLE ROW LEVEL SECURITY; \
         CREATE POLICY own ON t USING (owner = current_user) WITH CHECK (owner = current_user); \
         CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p ON DELETE CASCADE); \
         INSERT INTO p VALUES (1); ALTER TABLE c ENABLE ROW LEVEL SECURITY; \
         GRANT ALL ON ALL TABLES IN SCHEMA public TO {role};"
    ))
    .await;
    let url = db.url_as(role);
    Tables::at(db, &url, |postgres| postgres)
}

#[tokio::test]
async fn row_level_security_shows_and_changes_only_the_roles_rows() {
    let world = guarded("enact_test_guarded").await;
    let params = json!({ "table": "t", "data": { "v": 1 }, "where": { "v": 0 } });
    let done = world.there_and_back("update_row", params).await;
    assert_eq!(done.output["rows_updated"], 2);
    let error =
        world.refused("insert_row", json!({ "table": "t", "data": { "id": 9, "owner": "else" } })).await;
    assert_eq!(error.code(), ErrorCode::Forbidden, "{error}");
    // Rows that would be deleted along cannot be seen.
    let error = world.refused("delete_row", json!({ "table": "p", "where": { "id": 1 } })).await;
    assert!(error.message().contains("row-level security"), "{error}");
}

#[tokio::test]
async fn under_row_level_security_only_the_same_role_undoes() {
    let world = guarded("enact_test_guarded").await;
    let params = json!({ "table": "t", "data": { "v": 1 }, "where": { "id": 1 } });
    let done = world.act("update_row", params).await.unwrap();
    world.db.exec("ALTER TABLE t FORCE ROW LEVEL SECURITY").await;
    let undo = done.action.undo(&done.pre, None).unwrap();
    let enact_core::action::Undo::By(undo) = undo else { panic!("{undo:?}") };
    let other = "DO $$ BEGIN CREATE ROLE enact_test_other LOGIN; \
                 EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$; GRANT ALL ON t TO enact_test_other";
    world.db.exec(other).await;
    let (same, as_other) =
        (world.cx(enact_core::ids::Direction::Undo, false), world.db.url_as("enact_test_other"));
    let Tables { db, .. } = world;
    let world = Tables::at(db, &as_other, |postgres| postgres);
    let prepared = world.toolbox.prepare_undo(undo.name, &undo.params).unwrap();
    let error = prepared.capture(&same).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::PreconditionFailed, "{error}");
    assert!(error.message().contains("enact_test_guarded"), "{error}");
}

#[tokio::test]
async fn more_rows_than_allowed_are_refused_before_any_change() {
    let sql = "CREATE TABLE t (id int PRIMARY KEY, v int DEFAULT 0); INSERT INTO t SELECT generate_series(1, 6); \
               CREATE TABLE c (id int PRIMARY KEY, t int REFERENCES t ON DELETE CASCADE); \
               INSERT INTO c SELECT g, 1 FROM generate_series(1, 9) g;";
    let world = Tables::of(sql, |postgres: Postgres| postgres.max_rows(5)).await;
    let update = json!({ "table": "t", "data": { "v": 1 }, "where": { "v": 0 } });
    let error = world.refused("update_row", update).await;
    assert_eq!(error.code(), ErrorCode::InvalidParameters);
    assert!(error.message().contains('5') && error.message().contains("max_rows"), "{error}");
    // With the rows of other tables that would go along.
    let error = world.refused("delete_row", json!({ "table": "t", "where": { "id": 1 } })).await;
    assert!(error.message().contains("max_rows"), "{error}");
    let error = world.act("select_rows", json!({ "table": "t", "limit": 6 })).await.unwrap_err();
    assert!(error.message().contains("limit"), "{error}");
    let some = world.act("select_rows", json!({ "table": "t", "limit": 2 })).await.unwrap();
    assert_eq!((some.output["rows"].as_array().unwrap().len(), &some.output["truncated"]), (2, &json!(true)));
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_refused_before_any_change() {
    let world = Tables::with(
        "CREATE TABLE t (id int PRIMARY KEY, v text); \
         INSERT INTO t SELECT g, repeat('x', 1000000) FROM generate_series(1, 20) g;",
    )
    .await;
    let error = world.act("select_rows", json!({ "table": "t" })).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidParameters);
    assert!(error.message().contains("16 MiB"), "{error}");
    // The connection is of use again.
    assert!(world.act("select_rows", json!({ "table": "t", "columns": ["id"] })).await.is_ok());
}

#[tokio::test]
async fn what_cannot_be_given_back_is_refused_and_can_be_read() {
    let world = Tables::with(
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1); CREATE VIEW v AS SELECT * FROM t; \
         CREATE UNLOGGED TABLE u (id int PRIMARY KEY); INSERT INTO u VALUES (1); \
         CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child () INHERITS (parent); \
         INSERT INTO parent VALUES (1); \
         CREATE TABLE ruled (id int PRIMARY KEY); INSERT INTO ruled VALUES (1); \
         CREATE RULE r AS ON DELETE TO ruled DO INSTEAD NOTHING;",
    )
    .await;
    for table in ["v", "u", "parent", "ruled"] {
        let rows = world.act("select_rows", json!({ "table": table })).await.unwrap();
        assert_eq!(rows.output["rows"], json!([{ "id": 1 }]), "{table}");
        let error = world.refused("delete_row", json!({ "table": table, "where": { "id": 1 } })).await;
        assert_eq!(error.code(), ErrorCode::Unsupported, "{table}: {error}");
    }
}

#[tokio::test]
async fn what_is_so_already_is_said_so_and_changes_nothing() {
    let world =
        Tables::with("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1), (2, 1);")
            .await;
    for (action, params) in [
        ("update_row", json!({ "table": "t", "data": { "v": 1 }, "where": { "v": 1 } })),
        ("update_row", json!({ "table": "t", "data": { "v": 1 }, "where": { "v": 7 } })),
        ("delete_row", json!({ "table": "t", "where": { "v": 7 } })),
    ] {
        let before = world.value("SELECT string_agg(xmin::text, ',') FROM t").await;
        let done = world.act(action, params.clone()).await.unwrap();
        assert!(done.already, "{params}");
        assert_eq!(world.value("SELECT string_agg(xmin::text, ',') FROM t").await, before);
    }
}

#[tokio::test]
async fn a_role_without_the_right_is_told_so() {
    let world = guarded("enact_test_guarded").await;
    world.db.exec("CREATE TABLE secret (id int PRIMARY KEY)").await;
    let error = world.refused("insert_row", json!({ "table": "secret", "data": { "id": 1 } })).await;
    assert_eq!(error.code(), ErrorCode::Forbidden, "{error}");
}

/// 1.5 and 1.50 are one key, and RESTRICT looks at the text: the way there is free, and the way back is not.
#[tokio::test]
async fn a_key_that_could_not_go_back_since_its_own_row_points_at_it_is_not_changed() {
    let world = Tables::with(
        "CREATE TABLE t (id jsonb PRIMARY KEY, boss jsonb REFERENCES t ON UPDATE RESTRICT); \
         INSERT INTO t VALUES ('{\"a\": 1.50}', '{\"a\": 1.5}');",
    )
    .await;
    let data = json!({ "id": { "a": 1.5 }, "boss": null });
    let params = json!({ "table": "t", "data": data, "where": { "id": { "a": 1.5 } } });
    let error = world.refused("update_row", params).await;
    assert_eq!(error.code(), ErrorCode::PreconditionFailed, "{error}");
    assert!(error.message().contains("would not let a row in again"), "{error}");
}
