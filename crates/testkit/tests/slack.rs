//! What the stand-in for Slack promises to tests of a connector.
#![cfg(feature = "slack")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};

use enact_testkit::slack::{Fault, Server, What};
use serde_json::{Value, json};

const ALL: [&str; 6] =
    ["chat:write", "channels:history", "groups:history", "im:history", "channels:read", "im:read"];

/// Posts JSON to a method, on a connection of its own: the status, the headers and the document; nothing where no answer
/// came.
fn call(server: &Server, token: &str, method: &str, args: &Value) -> Option<(u16, String, Value)> {
    let url = server.url();
    let address = url.trim_start_matches("http://").trim_end_matches("/api");
    let body = args.to_string();
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /api/{method} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\
         content-type: application/json; charset=utf-8\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, head.to_lowercase(), serde_json::from_str(body).unwrap_or_default()))
}

fn ok(server: &Server, token: &str, method: &str, args: &Value) -> Value {
    call(server, token, method, args).unwrap().2
}

#[test]
fn a_message_is_kept_shown_and_counted() {
    let slack = Server::start();
    let bot = slack.bot("agent");
    let general = slack.channel("general").invite(&bot);
    let token = bot.token(ALL);
    let mark = json!({ "event_type": "t", "event_payload": { "n": 1 } });
    let posted = ok(
        &slack,
        &token,
        "chat.postMessage",
        &json!({ "channel": "#general", "text": "a & b", "metadata": mark }),
    );
    assert_eq!(posted["message"]["text"], "a &amp; b");
    let list = json!({ "channel": general.id(), "include_all_metadata": "true" });
    let listed = ok(&slack, &token, "conversations.history", &list);
    assert_eq!(listed["messages"][0], posted["message"]);
    let bare = ok(&slack, &token, "conversations.history", &json!({ "channel": general.id() }));
    assert_eq!(bare["messages"][0]["metadata"]["event_payload"], json!(null));
    let gone = json!({ "channel": general.id(), "ts": posted["ts"] });
    assert_eq!(ok(&slack, &token, "chat.delete", &gone)["ok"], true);
    assert_eq!(ok(&slack, &token, "chat.delete", &gone)["error"], "message_not_found");
    let effects: Vec<What> = slack.effects().into_iter().map(|effect| effect.what).collect();
    assert_eq!(effects, [What::Posted, What::Deleted]);
}

#[test]
fn lists_have_pages_and_threads_are_apart() {
    let slack = Server::start();
    let bot = slack.bot("agent");
    let general = slack.channel("general").invite(&bot);
    let token = bot.token(ALL);
    slack.page(2);
    let ann = general.person("ann");
    let roots: Vec<String> = (0..5).map(|number| ann.post(&number.to_string())).collect();
    ann.reply(&roots[0], "in a thread");
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let args = json!({ "channel": general.id(), "cursor": cursor, "oldest": roots[0] });
        let page = ok(&slack, &token, "conversations.history", &args);
        seen.extend(page["messages"].as_array().unwrap().iter().map(|one| one["ts"].clone()));
        cursor = page["response_metadata"]["next_cursor"].as_str().unwrap().to_owned();
        assert_eq!(page["has_more"], !cursor.is_empty());
        if cursor.is_empty() {
            break;
        }
    }
    let newest_first: Vec<Value> = roots[1..].iter().rev().map(|ts| json!(ts)).collect();
    assert_eq!(seen, newest_first, "the oldest itself is left out");
    let thread =
        ok(&slack, &token, "conversations.replies", &json!({ "channel": general.id(), "ts": roots[0] }));
    assert_eq!(thread["messages"].as_array().unwrap().len(), 2);
    assert_eq!(thread["messages"][0]["reply_count"], 1);
    let none = ok(&slack, &token, "conversations.replies", &json!({ "channel": general.id(), "ts": "1.2" }));
    assert_eq!(none["error"], "thread_not_found");
}

#[test]
fn refusals_say_what_slack_says() {
    let slack = Server::start();
    let bot = slack.bot("agent");
    let general = slack.channel("general").invite(&bot);
    let token = bot.token(["im:read"]);
    let post = json!({ "channel": general.id(), "text": "x" });
    let refused = ok(&slack, &token, "chat.postMessage", &post);
    assert_eq!((&refused["needed"], &refused["provided"]), (&json!("chat:write"), &json!("im:read")));
    assert_eq!(ok(&slack, "xoxb-none", "auth.test", &json!({}))["error"], "invalid_auth");
    let (_, head, whole) = call(&slack, &token, "auth.test", &json!({})).unwrap();
    assert!(head.contains("x-oauth-scopes: im:read") && head.contains("date: "), "{head}");
    assert_eq!(whole["user_id"], bot.user());
    bot.revoke(&token);
    assert_eq!(ok(&slack, &token, "auth.test", &json!({}))["error"], "token_revoked");
    let token = bot.token(ALL);
    slack.one_post_a_second();
    assert_eq!(ok(&slack, &token, "chat.postMessage", &post)["ok"], true);
    let (status, head, fast) = call(&slack, &token, "chat.postMessage", &post).unwrap();
    assert_eq!((status, &fast["error"]), (429, &json!("ratelimited")));
    assert!(head.contains("retry-after: 1"), "{head}");
    let theirs = general.person("ann").post("mine");
    let delete = json!({ "channel": general.id(), "ts": theirs });
    assert_eq!(ok(&slack, &token, "chat.delete", &delete)["error"], "cant_delete_message");
}

#[test]
fn faults_happen_once_where_they_are_armed() {
    let slack = Server::start();
    let bot = slack.bot("agent");
    let general = slack.channel("general").invite(&bot);
    let token = bot.token(ALL);
    let post = json!({ "channel": general.id(), "text": "x" });
    let (before, after) =
        (slack.fault(Fault::drop_before("chat.postMessage")), slack.fault(Fault::drop_after("*").nth(2)));
    let late = slack.fault(Fault::late("chat.postMessage").nth(3));
    for count in [0, 1, 1] {
        assert!(call(&slack, &token, "chat.postMessage", &post).is_none());
        assert_eq!(general.messages().len(), count);
    }
    assert!(before.was_reached() && after.was_reached() && late.was_reached());
    assert_eq!(late.land(), "ok");
    assert_eq!(general.messages().len(), 2);
    let decided: Vec<Option<String>> = slack.requests().into_iter().map(|request| request.decided).collect();
    assert_eq!(decided, [None, Some("ok".to_owned()), Some("ok".to_owned())]);
}

#[test]
fn each_request_counts_once_for_what_others_do_before_it() {
    let slack = Server::start();
    let bot = slack.bot("agent");
    let general = slack.channel("general").invite(&bot);
    let token = bot.token(ALL);
    let says = |word: &'static str| {
        let ann = general.person("ann");
        move || drop(ann.post(word))
    };
    let first = slack.fault(Fault::just_before("chat.postMessage", says("first")));
    let second = slack.fault(Fault::just_before("chat.postMessage", says("second")).nth(2));
    let post = json!({ "channel": general.id(), "text": "x" });
    ok(&slack, &token, "chat.postMessage", &post);
    assert!(first.was_reached() && !second.was_reached());
    ok(&slack, &token, "chat.postMessage", &post);
    assert!(second.was_reached());
    let texts: Vec<String> = general.messages().into_iter().map(|message| message.text).collect();
    assert_eq!(texts, ["first", "x", "second", "x"]);
}

#[test]
fn who_comes_before_retry_after_is_over_is_refused_again_and_named() {
    let slack = Server::start();
    let bot = slack.bot("agent");
    let token = bot.token(ALL);
    let limited = slack.fault(Fault::rate_limited("auth.test", 60));
    for _ in 0..2 {
        let (status, head, _) = call(&slack, &token, "auth.test", &json!({})).unwrap();
        assert_eq!(status, 429);
        assert!(head.contains("retry-after: 60"), "{head}");
    }
    assert!(limited.was_reached());
    assert!(slack.take_problems().iter().any(|problem| problem.contains("Retry-After")));
}

#[test]
fn an_answer_to_what_is_gone_is_no_answer_and_one_to_an_answer_is_in_its_thread() {
    let slack = Server::start();
    let bot = slack.bot("agent");
    let general = slack.channel("general").invite(&bot);
    let token = bot.token(ALL);
    let ann = general.person("ann");
    let (gone, root) = (ann.post("gone"), ann.post("root"));
    let answer = ann.reply(&root, "answer");
    ann.delete(&gone);
    for (to, thread) in [(&gone, json!(null)), (&root, json!(root)), (&answer, json!(root))] {
        let post = json!({ "channel": general.id(), "text": "x", "thread_ts": to });
        let posted = ok(&slack, &token, "chat.postMessage", &post);
        assert_eq!((&posted["ok"], &posted["message"]["thread_ts"]), (&json!(true), &thread));
    }
}

#[test]
fn a_deleted_message_may_be_shown_for_a_while() {
    let slack = Server::start();
    let bot = slack.bot("agent");
    let general = slack.channel("general").invite(&bot);
    let token = bot.token(ALL);
    slack.show_deleted_messages_for(1);
    general.person("ann").delete(&general.person("ann").post("old"));
    let list = json!({ "channel": general.id() });
    let seen = || ok(&slack, &token, "conversations.history", &list)["messages"].as_array().unwrap().len();
    assert_eq!((seen(), seen()), (1, 0));
}

#[test]
fn a_deleted_parent_leaves_a_stone_and_new_messages_may_be_late() {
    let slack = Server::start();
    let bot = slack.bot("agent");
    let general = slack.channel("general").invite(&bot);
    let token = bot.token(ALL);
    let list = json!({ "channel": general.id() });
    let root = general.person("ann").post("root");
    general.person("bob").reply(&root, "reply");
    general.person("ann").delete(&root);
    let stone = ok(&slack, &token, "conversations.history", &list)["messages"][0].clone();
    assert_eq!((&stone["subtype"], &stone["reply_count"]), (&json!("tombstone"), &json!(1)));
    slack.hide_new_messages_for(1);
    general.person("ann").post("late");
    let seen = |slack: &Server| {
        ok(slack, &token, "conversations.history", &list)["messages"].as_array().unwrap().len()
    };
    assert_eq!((seen(&slack), seen(&slack)), (1, 2));
}

#[test]
fn what_slack_does_not_document_fails_the_test() {
    for (method, args) in [
        ("chat.postMessage", json!({ "channel": "#x", "txt": "x" })),
        ("auth.test", json!({ "token": "t" })),
        ("no.such", json!({})),
    ] {
        let slack = Server::start();
        let token = slack.bot("agent").token(ALL);
        call(&slack, &token, method, &args);
        assert!(catch_unwind(AssertUnwindSafe(|| slack.check())).is_err(), "{method}");
        assert!(!slack.take_problems().is_empty(), "{method}");
    }
    let slack = Server::start();
    let missed = slack.fault(Fault::drop_after("chat.delete"));
    assert!(catch_unwind(AssertUnwindSafe(|| slack.check())).is_err());
    missed.disarm();
}
