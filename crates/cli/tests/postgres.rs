//! The real binary on a real PostgreSQL: as the connector's page says, killed around COMMIT, and without its secrets.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at what it does not expect")]

mod common;

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::{Gave, World, files};
use enact_testkit::postgres::{Database, Hold, Proxy, Server};
use serde_json::json;

const VARIABLE: &str = "DATABASE_URL";
/// What the connector commits with.
const COMMIT: &str = "SET LOCAL";

/// A table whose committed changes are noted in a ledger.
const TABLES: &str = "
    CREATE TABLE ledger (number int GENERATED ALWAYS AS IDENTITY, did text);
    CREATE TABLE users (id int PRIMARY KEY, name text, age int);
    INSERT INTO users VALUES (1, 'Ada', 36), (2, 'Bob', 20);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO ledger (did) VALUES (TG_OP); RETURN NULL; END $$;
    CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON users FOR EACH ROW EXECUTE FUNCTION note();";

/// An action, its parameters, and what the ledger says of it and of its undo.
const CASES: [(&str, &str, [&str; 2]); 3] = [
    ("db.insert_row", r#"{"table": "users", "data": {"id": 3, "age": 5}}"#, ["INSERT", "DELETE"]),
    ("db.update_row", r#"{"table": "users", "data": {"age": 37}, "where": {"id": 1}}"#, ["UPDATE", "UPDATE"]),
    ("db.delete_row", r#"{"table": "users", "where": {"id": 1}}"#, ["DELETE", "INSERT"]),
];

/// A folder with a configuration, a database and a proxy before it.
struct Shop {
    world: World,
    db: Database,
    proxy: Proxy,
    before: String,
}

impl Shop {
    async fn new() -> Self {
        let db = Server::shared().database().await;
        db.exec(TABLES).await;
        let world = World::empty();
        world.write("enact.toml", &configuration("url_env = \"DATABASE_URL\""));
        let before = users(&db).await;
        Self { proxy: Proxy::start(db.server()).await, world, db, before }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.world.command(&[args, &["--json"]].concat());
        command.env(VARIABLE, self.proxy.url(&self.db));
        command
    }

    fn enact(&self, args: &[&str]) -> Gave {
        self.command(args).output().unwrap().into()
    }

    fn act(&self, action: &str, params: &str) -> Gave {
        self.enact(&["act", action, "--user", "me@example.com", "--params", params])
    }

    fn begun(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// The newest run, as it stands in the log.
    fn newest(&self) -> (String, String) {
        let run = &self.enact(&["runs"]).exits(0).json()["runs"][0];
        (run["run_id"].as_str().unwrap().to_owned(), run["status"].as_str().unwrap().to_owned())
    }

    async fn ledger(&self) -> Vec<String> {
        let client = self.db.client().await;
        let rows = client.query("SELECT did FROM ledger ORDER BY number", &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    async fn assert_as_before(&self) {
        assert_eq!(users(&self.db).await, self.before);
    }
}

fn configuration(url: &str) -> String {
    format!(
        "[store]\npath = \"data\"\n[connectors.db]\nkind = \"postgres\"\n{url}\n\
         allowed_actions = [\"select_rows\", \"insert_row\", \"update_row\", \"delete_row\"]\n"
    )
}

/// All rows but those of the ledger.
async fn users(db: &Database) -> String {
    let dump = db.dump().await;
    dump.split("\n\n").filter(|table| !table.starts_with("public.ledger ")).collect::<Vec<_>>().join("\n\n")
}

/// What of a page stands in blocks of a language.
fn block<'a>(page: &'a str, language: &str) -> &'a str {
    page.split_once(&format!("```{language}\n")).unwrap().1.split_once("```").unwrap().0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_of_the_connector_does_what_it_says() {
    let page = include_str!("../../connector-postgres/src/docs.md");
    let shop = Shop::new().await;
    shop.world.write("enact.toml", block(page, "toml"));
    let commands: Vec<&str> =
        block(page, "console").lines().map(|line| line.strip_prefix("$ ").unwrap()).collect();
    let [act, rollback] = commands.as_slice() else { panic!("{commands:?}") };
    assert!(act.starts_with("enact act db.update_row"), "{act}");
    let run = |command: &str| {
        let enact = Path::new(env!("CARGO_BIN_EXE_enact")).parent().unwrap();
        let path = format!("{}:{}", enact.display(), env::var("PATH").unwrap());
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(shop.world.path("")).env_remove("ENACT_CONFIG");
        let output = shell.env("PATH", path).env(VARIABLE, shop.db.url()).output().unwrap();
        Gave::from(output).exits(0)
    };
    let done = run(&format!("{act} --json")).json();
    assert_eq!(done["actions"][0]["output"]["rows"][0], json!({ "id": 1, "name": "Ada", "age": 37 }));
    let id = done["run_id"].as_str().unwrap();
    run(&rollback.replace("RUN", id));
    shop.assert_as_before().await;
    assert_eq!(shop.ledger().await, ["UPDATE", "UPDATE"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_action_is_carried_out_shown_and_undone() {
    let shop = Shop::new().await;
    for (action, params, _) in CASES {
        let done = shop.act(action, params).exits(0).json();
        let id = done["run_id"].as_str().unwrap();
        let shown = shop.enact(&["show", id]).exits(0).json();
        assert_eq!(shown["actions"][0]["reversal"]["effect"], "reversible", "{shown}");
        assert!(shown["actions"][0]["pre_state"]["transaction"]["xid"].is_string(), "{shown}");
        let undone = shop.enact(&["rollback", id]).exits(0).json();
        assert_eq!(undone["rollback"]["actions"][0]["outcome"], "undone", "{undone}");
        shop.assert_as_before().await;
    }
    let read = shop.act("db.select_rows", r#"{"table": "users", "where": {"id": 2}}"#).exits(0).json();
    assert_eq!(read["actions"][0]["output"]["rows"][0]["name"], "Bob");
}

/// What becomes of COMMIT when the process is killed that sent it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Commit {
    /// It never arrives.
    Lost,
    /// It arrives when nobody waits for it any more.
    Late,
    /// It is still on its way when the next process asks.
    OnItsWay,
    /// It was carried out.
    Done,
}

impl Commit {
    /// With each action; one that is on its way costs the connector's patience of some seconds, and is tried with one.
    fn each(action: &str) -> Vec<Self> {
        let mut all = vec![Self::Lost, Self::Late, Self::Done];
        if action == "db.update_row" {
            all.push(Self::OnItsWay);
        }
        all
    }

    /// Whether it takes effect.
    fn counts(self) -> bool {
        matches!(self, Self::Late | Self::Done)
    }
}

impl Shop {
    /// Kills a command at its COMMIT. Gives what is still held.
    async fn killed(&self, args: &[&str], commit: Commit) -> Option<Hold> {
        let held = match commit {
            Commit::Done => self.proxy.delay_reply(COMMIT),
            _ => self.proxy.hold(COMMIT),
        };
        let ledger = self.ledger().await.len();
        let mut child = self.begun(args);
        held.reached().await;
        child.kill().unwrap();
        child.wait().unwrap();
        match commit {
            Commit::Late => {
                held.release();
                while self.ledger().await.len() == ledger {}
            }
            Commit::OnItsWay => return Some(held),
            Commit::Lost | Commit::Done => held.cut(),
        }
        None
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_action_whose_process_is_killed_at_commit_is_resumed_and_is_there_once() {
    for (action, params, noted) in CASES {
        for commit in Commit::each(action) {
            let shop = Shop::new().await;
            let act = ["act", action, "--user", "me@example.com", "--params", params];
            let held = shop.killed(&act, commit).await;
            let (id, status) = shop.newest();
            assert_eq!(status, "running", "{action} {commit:?}");
            let expected: &[&str] = if commit.counts() { &noted[..1] } else { &[] };
            assert_eq!(shop.ledger().await, expected, "{action} {commit:?}");

            let run = shop.enact(&["resume", &id]).exits(0).json();
            assert_eq!(run["status"], "completed");
            assert_eq!(run["actions"][0]["already_done"], false, "it is ours");
            assert_eq!(shop.ledger().await, noted[..1], "{action} {commit:?}");
            drop(held);
            assert_eq!(shop.enact(&["rollback", &id]).exits(0).json()["status"], "rolled_back");
            assert_eq!(shop.ledger().await, noted);
            shop.assert_as_before().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_in_doubt_waits_while_its_secret_is_missing_and_others_go_on() {
    let shop = Shop::new().await;
    let files =
        "[connectors.files]\nkind = \"filesystem\"\nroot = \"files\"\nallowed_actions = [\"list_dir\"]\n";
    shop.world.write("enact.toml", &(configuration("url_env = \"DATABASE_URL\"") + files));
    fs::create_dir(shop.world.path("files")).unwrap();
    let (action, params, noted) = CASES[1];
    shop.killed(&["act", action, "--user", "me@example.com", "--params", params], Commit::Done).await;
    let (id, _) = shop.newest();
    let mut list = shop.command(&["act", "files.list_dir", "--user", "me@example.com"]);
    let gave = Gave::from(list.env_remove(VARIABLE).output().unwrap()).exits(0);
    assert!(gave.stderr.contains("'db' is left out"), "{gave:?}");
    let open = shop.enact(&["show", &id]).exits(0).json();
    assert_eq!(open["status"], "running", "{open}");
    let mut resume = shop.command(&["resume"]);
    Gave::from(resume.env_remove(VARIABLE).output().unwrap()).exits(2);
    assert_eq!(shop.enact(&["resume", &id]).exits(0).json()["status"], "completed");
    assert_eq!(shop.ledger().await, noted[..1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_action_whose_process_is_killed_at_commit_is_rolled_back_whole() {
    for (action, params, noted) in CASES {
        for commit in Commit::each(action) {
            let shop = Shop::new().await;
            let act = ["act", action, "--user", "me@example.com", "--params", params];
            let held = shop.killed(&act, commit).await;
            let (id, _) = shop.newest();
            let run = shop.enact(&["rollback", &id]).exits(0).json();
            assert_eq!(run["status"], "rolled_back", "{action} {commit:?}: {run}");
            drop(held);
            let expected: &[&str] = if commit.counts() { &noted } else { &[] };
            assert_eq!(shop.ledger().await, expected, "{action} {commit:?}");
            shop.assert_as_before().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_whose_process_is_killed_at_commit_is_finished_and_undoes_once() {
    for (action, params, noted) in CASES {
        for (commit, command) in
            Commit::each(action).into_iter().zip(["resume", "rollback"].into_iter().cycle())
        {
            let shop = Shop::new().await;
            let id = shop.act(action, params).exits(0).json()["run_id"].as_str().unwrap().to_owned();
            let held = shop.killed(&["rollback", &id], commit).await;
            assert_eq!(shop.newest(), (id.clone(), "rolling_back".to_owned()), "{action} {commit:?}");
            let expected = if commit.counts() { &noted[..] } else { &noted[..1] };
            assert_eq!(shop.ledger().await, expected, "{action} {commit:?}");

            let run = shop.enact(&[command, &id]).json();
            assert_eq!(run["status"], "rolled_back", "{action} {commit:?}: {run}");
            drop(held);
            assert_eq!(shop.ledger().await, noted, "{action} {commit:?}");
            shop.assert_as_before().await;
        }
    }
}

#[test]
fn a_variable_that_is_not_set_is_named_with_its_key() {
    let world = World::empty();
    world.write("enact.toml", &configuration("url_env = \"ENACT_TEST_NOT_SET\""));
    for args in [["connectors"].as_slice(), &["act", "db.select_rows", "--user", "me@example.com"]] {
        let (code, message) = world.json(args).exits(2).error();
        assert_eq!(code, "invalid_parameters", "{message}");
        assert!(message.contains("url_env") && message.contains("ENACT_TEST_NOT_SET"), "{message}");
    }
}

fn contains(content: &[u8], text: &str) -> bool {
    content.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_password_is_in_no_output_log_event_or_file() {
    let secret = "Sup3r-S3cr3t";
    let server = Server::start_tls(&[]);
    let db = server.database().await;
    db.exec(TABLES).await;
    db.exec(&format!("CREATE ROLE clerk LOGIN PASSWORD '{secret}'; GRANT ALL ON users, ledger TO clerk"))
        .await;
    let world = World::empty();
    let ca_file = server.ca_file().unwrap().display().to_string();
    let config = |url: &str| configuration(&format!("{url}\nca_file = \"{ca_file}\""));
    world.write("enact.toml", &config("url_env = \"DATABASE_URL\""));
    let good = format!("postgres://clerk:{secret}@localhost:{}/{}?sslmode=require", server.port(), db.name());
    let mut said = Vec::new();
    let mut enact = |url: &str, args: &[&str], exit: i32| {
        let mut command = world.command(args);
        command.env(VARIABLE, url).env("ENACT_LOG", "trace");
        let gave = Gave::from(command.output().unwrap()).exits(exit);
        said.push(format!("{args:?}: {gave:?}"));
        gave
    };
    let [_, (action, params, _), _] = CASES;
    let act = ["act", action, "--user", "me@example.com", "--params", params, "--json"];
    let id = enact(&good, &act, 0).json()["run_id"].as_str().unwrap().to_owned();
    enact(&good, &["show", &id], 0);
    enact(&good, &["events"], 0);
    enact(&good, &["connectors"], 0);
    // Wrong in each part.
    let wrong = good.replace(secret, &format!("{secret}-wrong"));
    let failed = enact(&wrong, &act, 4).json();
    assert_eq!(failed["error"]["code"], "unauthenticated", "{failed}");
    enact(&good.replace(&format!(":{}/", server.port()), ":1/"), &act, 4);
    enact(&good.replace("sslmode=require", "sslmode=disable"), &act, 4);
    enact(&good.replace(db.name(), "nowhere"), &act, 4);
    enact(&good.replace("?sslmode=require", "?sslmode=what"), &act, 2);
    enact(&good.replace("postgres://", "postgres:/"), &act, 2);
    enact(&good, &["rollback", &id], 0);
    for said in &said {
        assert!(!said.contains(secret), "{said}");
    }
    let files = files(&world.path("data"));
    assert!(!files.is_empty());
    for (path, content) in files {
        assert!(!contains(&content, secret), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_cannot_be_reached_is_named_and_nothing_is_left() {
    let shop = Shop::new().await;
    let [_, (action, params, _), _] = CASES;
    let mut command = shop.command(&["act", action, "--user", "me@example.com", "--params", params]);
    let gave = Gave::from(command.env(VARIABLE, "postgres://me@127.0.0.1:1/shop").output().unwrap()).exits(4);
    let run = gave.json();
    assert_eq!((&run["status"], &run["error"]["code"]), (&json!("rolled_back"), &json!("unavailable")));
    let message = run["error"]["message"].as_str().unwrap();
    assert!(message.contains("127.0.0.1 port 1") && message.contains("shop"), "{message}");

    // An undo that finds no server is tried again later.
    let id = shop.act(action, params).exits(0).json()["run_id"].as_str().unwrap().to_owned();
    let mut command = shop.command(&["rollback", &id]);
    let gave = Gave::from(command.env(VARIABLE, "postgres://me@127.0.0.1:1/shop").output().unwrap());
    assert_eq!(gave.json()["status"], "partially_rolled_back", "{gave:?}");
    assert_ne!(gave.exit, 0);
    assert_eq!(shop.enact(&["rollback", &id]).exits(0).json()["status"], "rolled_back");
    shop.assert_as_before().await;
}

/// Numbers that no type of 64 bits holds.
const EXACT: [&str; 4] =
    ["99999999999999.1234", "12345678901234567890.123456789", "1e-400", "18446744073709551616"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_keeps_every_digit_from_the_command_line_to_the_server_and_back() {
    let shop = Shop::new().await;
    shop.db.exec("CREATE TABLE num (id text PRIMARY KEY, n numeric, j json)").await;
    let client = shop.db.client().await;
    let holds = async |id: String, number: &str| {
        let asked = format!("SELECT count(*) FROM num WHERE id = '{id}' AND n = '{number}'::numeric");
        let found: i64 = client.query_one(&asked, &[]).await.unwrap().get(0);
        assert_eq!(found, 1, "{id}: {number}");
    };
    for (index, number) in EXACT.into_iter().enumerate() {
        let data = format!(r#"{{"id": "act-{index}", "n": {number}, "j": {{"a": [{number}]}}}}"#);
        let done = shop.act("db.insert_row", &format!(r#"{{"table": "num", "data": {data}}}"#)).exits(0);
        holds(format!("act-{index}"), number).await;
        let id = done.json()["run_id"].as_str().unwrap().to_owned();
        let shown = shop.enact(&["show", &id]).exits(0).stdout;
        // In the parameters, and in what the server gave back.
        assert!(shown.contains(&format!(r#""n":{number}"#)), "{shown}");
        assert!(shown.matches(&format!(r#"{{"a": [{number}]}}"#)).count() >= 2, "{shown}");
        assert!(done.stdout.contains(number), "{done:?}");
        let told = shop.enact(&["events", &id]).exits(0).stdout;
        assert!(told.matches(number).count() >= 4, "{told}");

        shop.world.write(
            "copy.yaml",
            &format!(
                "name: copy\nsteps:\n\
                 - {{id: given, action: db.insert_row, with: {{table: num, data: {{id: 'given-{index}', n: '{{{{ payload.n }}}}'}}}}}}\n\
                 - {{id: fixed, action: db.insert_row, with: {{table: num, data: {{id: 'fixed-{index}', n: {number}}}}}}}\n\
                 - {{id: read, action: db.select_rows, with: {{table: num, where: {{id: 'given-{index}'}}}}}}\n\
                 - {{id: copied, action: db.insert_row, with: {{table: num, data: {{id: 'copied-{index}', n: '{{{{ steps.read.output.rows[0].n }}}}'}}}}}}\n"
            ),
        );
        let payload = format!(r#"{{"n": {number}}}"#);
        let run = ["run", "./copy.yaml", "--user", "me@example.com", "--payload", &payload];
        shop.enact(&run).exits(0);
        // A key tells two inputs apart that differ in the last digit.
        let keyed = |number: &str| {
            let payload = format!(r#"{{"n": {number}}}"#);
            let key = format!("k-{index}");
            shop.enact(&[
                "run",
                "./copy.yaml",
                "--user",
                "you@example.com",
                "--payload",
                &payload,
                "--key",
                &key,
            ])
        };
        keyed(number);
        let (_, message) = keyed(&format!("{number}1")).exits(2).error();
        assert!(message.contains("with another input"), "{message}");
        for how in ["given", "fixed", "copied"] {
            holds(format!("{how}-{index}"), number).await;
        }
        // What is so already is compared digit for digit as well.
        let update =
            format!(r#"{{"table": "num", "data": {{"n": {number}1}}, "where": {{"id": "act-{index}"}}}}"#);
        let updated = shop.act("db.update_row", &update).exits(0).json();
        assert_eq!(updated["actions"][0]["already_done"], false, "{updated}");
    }
    shop.world.write(
        "sum.yaml",
        "name: sum\nsteps:\n- {id: a, action: db.insert_row, with: {table: num, data: {id: s, n: '{{ payload.n + 1 }}'}}}\n",
    );
    let payload = format!(r#"{{"n": {}}}"#, EXACT[0]);
    let gave = shop.enact(&["run", "./sum.yaml", "--user", "me@example.com", "--payload", &payload]).exits(4);
    assert_eq!(gave.json()["error"]["code"], "invalid_parameters", "{gave:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_column_that_is_given_twice_is_refused() {
    let shop = Shop::new().await;
    let twice = r#"{"table": "users", "data": {"id": 80, "id": 81}}"#;
    let (code, message) = shop.act("db.insert_row", twice).exits(2).error();
    assert!(code == "invalid_parameters" && message.contains("'id' stands twice"), "{message}");
    shop.assert_as_before().await;
}
