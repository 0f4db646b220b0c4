//! A database for one test.

use std::fmt::Write as _;

use futures::TryStreamExt;
use tokio_postgres::{Client, IsolationLevel, NoTls, Transaction};

use super::{OrPanic, SUPERUSER, Server, place};

/// How values become text in a dump, whatever the database says.
const DUMP_SETTINGS: &str = "SET DateStyle = ISO; SET IntervalStyle = postgres; SET TimeZone = UTC; \
                             SET bytea_output = hex; SET extra_float_digits = 1; SET row_security = off";
/// The tables that hold rows: ordinary ones and leaves of partitioned ones.
const TABLES: &str = "
    SELECT format('%I.%I', n.nspname, c.relname),
           coalesce((SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
                     WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), '')
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\"";

/// A database of a [`Server`], with a name that no other has. On the shared server it is dropped with this
/// handle, whoever is still connected.
#[derive(Debug)]
pub struct Database {
    server: Server,
    name: String,
}

impl Database {
    pub(super) async fn create(server: &Server) -> Self {
        let name = format!("t_{:016x}", place::unique());
        let client = connect(&server.url(SUPERUSER, "postgres")).await;
        client.batch_execute(&format!("CREATE DATABASE {name}")).await.or_panic("make a database");
        Self { server: server.clone(), name }
    }

    /// The server that it is on.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// For the superuser, by the unix socket.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_as(SUPERUSER)
    }

    /// For a role, by the unix socket; no password is asked for there.
    #[must_use]
    pub fn url_as(&self, role: &str) -> String {
        self.server.url(role, &self.name)
    }

    /// For the superuser, by TCP; with TLS where the server asks for it.
    #[must_use]
    pub fn url_tcp(&self) -> String {
        self.server.url_tcp(&self.name)
    }

    /// A client of the superuser. Its connection is a task of the runtime that this is called in.
    ///
    /// # Panics
    /// Where the server does not take it.
    pub async fn client(&self) -> Client {
        connect(&self.url()).await
    }

    /// Runs statements on a connection of their own.
    ///
    /// # Panics
    /// Where one fails.
    pub async fn exec(&self, sql: &str) {
        self.client().await.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// All rows of all tables of users, as text that is the same for the same rows: tables by their names,
    /// rows by their text. It is of one moment. Sequences are not in it.
    ///
    /// # Panics
    /// Where the server does not give them.
    pub async fn dump(&self) -> String {
        let mut client = self.client().await;
        client.batch_execute(DUMP_SETTINGS).await.or_panic("prepare a dump");
        let moment = client
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start();
        let moment = moment.await.or_panic("begin a dump");
        let mut dump = String::new();
        for table in moment.query(TABLES, &[]).await.or_panic("list the tables") {
            let (name, columns): (String, String) = (table.get(0), table.get(1));
            let rows = rows(&moment, &name).await;
            writeln!(dump, "{name} ({columns})\n{rows}").or_panic("write a dump");
        }
        dump
    }
}

async fn rows(moment: &Transaction<'_>, table: &str) -> String {
    let copy = format!(
        "COPY (SELECT * FROM ONLY {table} AS row_of_dump ORDER BY row_of_dump::text COLLATE \"C\") TO STDOUT"
    );
    let stream = moment.copy_out(&copy).await.or_panic(&copy);
    let bytes = stream.try_fold(Vec::new(), async |mut all, part| {
        all.extend_from_slice(&part);
        Ok(all)
    });
    String::from_utf8(bytes.await.or_panic(&copy)).or_panic(copy)
}

/// Connects without TLS, and lets the connection run until the client is dropped.
async fn connect(url: &str) -> Client {
    let (client, connection) =
        tokio_postgres::connect(url, NoTls).await.or_panic(format!("connect to {url}"));
    // What ends a connection is seen by its client.
    tokio::spawn(async { connection.await.ok() });
    client
}

impl Drop for Database {
    fn drop(&mut self) {
        if !self.server.is_shared() {
            return;
        }
        let url = self.server.url(SUPERUSER, "postgres");
        let drop_it = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // The test's runtime may be about to end, and must not be waited in. A database that stays goes with its server.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
            runtime.block_on(async {
                let (client, connection) = tokio_postgres::connect(&url, NoTls).await.ok()?;
                tokio::spawn(async { connection.await.ok() });
                client.batch_execute(&drop_it).await.ok()
            })
        });
        dropped.join().ok();
    }
}
