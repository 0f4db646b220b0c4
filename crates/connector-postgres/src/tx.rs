//! One transaction of the server, from BEGIN to COMMIT, and what became of it.
//!
//! Capture opens it and carries the change out in it; perform commits. So COMMIT is the only effect, and the
//! server itself knows for each transaction id whether it took place.

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use enact_core::action::Doubt;
use enact_core::{Error, ErrorCode};
use futures::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};

use crate::catalog::{FINGERPRINT, Table, altered, is_current};
use crate::client::{About, Client, Pooled, Session, Unanswered};
use crate::error::{self, internal};
use crate::name::TableName;

/// How long a probe waits for a transaction that is still under way before it ends its connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a connection may take to go back.
const ROLLBACK_TIMEOUT: Duration = Duration::from_secs(5);

/// The most that one statement may answer. What an action gives and keeps has to fit a record.
pub(crate) const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// A parameter of a statement.
pub(crate) type Param<'a> = &'a (dyn ToSql + Sync);

/// A transaction as an intent names it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransactionId {
    /// The server's id for it, 64 bits in decimal.
    pub xid: String,
    /// The cluster's system identifier.
    pub system: String,
    /// The timeline that it was begun on.
    pub timeline: String,
    /// The server's process that carries it out.
    pub backend: i32,
    /// When that process began.
    pub started: String,
}

/// What a statement is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Access {
    /// Reading alone.
    Read,
    /// Reading and changing.
    Write,
}

/// An open transaction. Dropped, it is rolled back.
pub(crate) struct Tx {
    client: Arc<Client>,
    session: Option<Pooled>,
    access: Access,
    /// Before it was begun.
    since: Instant,
    /// Whether BEGIN was sent.
    begun: AtomicBool,
}

impl Debug for Tx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} transaction", self.access)
    }
}

impl Tx {
    /// Takes a connection. BEGIN goes out with the first statement.
    ///
    /// # Errors
    /// `unavailable`, where something is to be changed and the server is a standby; `forbidden`, where it is set to be
    /// read alone.
    pub(crate) async fn begin(client: &Arc<Client>, access: Access) -> Result<Self, Error> {
        let since = Instant::now();
        let mut session = client.session().await?;
        if access == Access::Write && refusal(&session.about).is_some() {
            session = client.session_instead_of(session).await?;
            if let Some(refused) = refusal(&session.about) {
                return Err(refused);
            }
        }
        Ok(Self {
            client: Arc::clone(client),
            session: Some(session),
            access,
            since,
            begun: AtomicBool::new(false),
        })
    }

    /// Sends a request, behind BEGIN where it is the first one. Outside of `BEGIN READ WRITE` the session is read-only,
    /// so that a request whose BEGIN failed changes nothing.
    async fn within<T>(
        &self,
        session: &Pooled,
        request: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, tokio_postgres::Error> {
        if self.begun.swap(true, Ordering::Relaxed) {
            return request.await;
        }
        let begin = match self.access {
            Access::Read => "BEGIN READ ONLY",
            Access::Write => "BEGIN READ WRITE",
        };
        let (begun, answer) = futures::join!(session.client.batch_execute(begin), request);
        begun?;
        answer
    }

    fn session(&self) -> Result<&Pooled, Error> {
        self.session.as_ref().ok_or_else(|| internal("the transaction is over"))
    }

    /// The role that the connection works as.
    pub(crate) fn role(&self) -> Result<String, Error> {
        Ok(self.session()?.about.role.clone())
    }

    /// The rows that a statement gives.
    pub(crate) async fn query(
        &self,
        doing: &str,
        sql: &str,
        params: &[Param<'_>],
    ) -> Result<Vec<Row>, Error> {
        let session = self.session()?;
        let asked = async {
            let statement = session.client.prepare_cached(sql).await?;
            self.within(session, all(&session.client, &statement, params)).await
        };
        self.client.bounded(doing, asked).await?.map_err(|TooMuch| too_much(doing))
    }

    /// The row that a statement gives, where it gives one.
    pub(crate) async fn query_opt(
        &self,
        doing: &str,
        sql: &str,
        params: &[Param<'_>],
    ) -> Result<Option<Row>, Error> {
        Ok(self.query(doing, sql, params).await?.into_iter().next())
    }

    /// The one row that a statement gives.
    pub(crate) async fn query_one(&self, doing: &str, sql: &str, params: &[Param<'_>]) -> Result<Row, Error> {
        let row = self.query_opt(doing, sql, params).await?;
        row.ok_or_else(|| internal(format!("cannot {doing}: the server gave no row")))
    }

    /// The rows of a statement on a table, sent in one go with the question whether its description is still
    /// right. Where it is not, nothing of the answer counts, and the transaction is to be begun anew
    /// ([`is_stale`]).
    pub(crate) async fn query_table(
        &self,
        doing: &str,
        (table, name): (&Table, &TableName),
        sql: &str,
        params: &[Param<'_>],
    ) -> Result<Vec<Row>, Error> {
        let session = self.session()?;
        let name = name.sql();
        let asked = async {
            let client = &session.client;
            let statement = client.prepare_cached(sql).await?;
            let check = client.prepare_cached(FINGERPRINT).await?;
            let names: [Param<'_>; 1] = [&name];
            // The statement locks the table; what the check then sees stays so. Of a row that was only read and locked
            // that is not all of it: a foreign key or a trigger may still be made until something is changed.
            let both = async {
                Ok(futures::join!(all(client, &statement, params), client.query_opt(&check, &names)))
            };
            self.within(session, both).await
        };
        let (rows, checked) = self.client.bounded(doing, asked).await?;
        let rows = rows.map_err(|failed| error::statement(doing, failed))?;
        let rows = rows.map_err(|TooMuch| too_much(doing))?;
        let checked = checked.map_err(|failed| error::statement("look up the catalog", failed))?;
        check(session, table, &name, checked.as_ref())?;
        Ok(rows)
    }

    /// Asks whether the description of a table is still right, where earlier statements have locked the table.
    pub(crate) async fn check_table(&self, table: &Table, name: &TableName) -> Result<(), Error> {
        let name = name.sql();
        let checked = self.query_opt("look up the catalog", FINGERPRINT, &[&name]).await?;
        check(self.session()?, table, &name, checked.as_ref())
    }

    /// Carries out statements without parameters.
    pub(crate) async fn execute(&self, doing: &str, sql: &str) -> Result<(), Error> {
        let session = self.session()?;
        self.client.bounded(doing, self.within(session, session.client.batch_execute(sql))).await
    }

    /// The transaction by the id that a statement gave, made durable at the server, so that it can be asked about after
    /// any crash.
    pub(crate) async fn named(&self, xid: String) -> Result<TransactionId, Error> {
        let about = &self.session()?.about;
        let timeline = about.timeline.clone().ok_or_else(standby)?;
        if !self.client.make_ids_durable(about, self.since).await? {
            // Its own connection answers: there was no crash since it was begun.
            self.execute("go on with the transaction", "SELECT 1").await?;
        }
        Ok(TransactionId {
            xid,
            system: about.system.clone(),
            timeline,
            backend: about.backend,
            started: about.started.clone(),
        })
    }

    /// Checks now what the server would otherwise check at COMMIT, when the intent is already durable.
    pub(crate) async fn check_constraints(&self) -> Result<(), Error> {
        self.execute("check deferred constraints", "SET CONSTRAINTS ALL IMMEDIATE").await
    }

    /// Ends it without an effect; the connection goes back.
    pub(crate) async fn rollback(mut self) {
        let begun = self.begun.load(Ordering::Relaxed);
        if let Some(session) = self.session.take()
            && begun
        {
            roll_back(session).await;
        }
    }

    /// Makes the change take effect.
    ///
    /// # Errors
    /// `in_doubt`, where the server did not say whether it did; else nothing was changed.
    pub(crate) async fn commit(mut self) -> Result<(), Error> {
        // From here on the connection goes back only after the server has answered.
        let session = Unanswered::new(self.session.take());
        let Session { client, about, .. } = session.session()?;
        let sql = format!("SET LOCAL synchronous_commit = {}; COMMIT", about.commit);
        match timeout(self.client.timeout(), client.batch_execute(&sql)).await {
            Ok(Ok(())) => {
                session.answered();
                Ok(())
            }
            Ok(Err(failed)) => {
                if failed.is_closed() {
                    self.client.forget_idle();
                }
                Err(error::commit(failed))
            }
            Err(_) => {
                let message = format!("the server did not answer COMMIT within {:?}", self.client.timeout());
                Err(Error::new(ErrorCode::InDoubt, message))
            }
        }
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else { return };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(roll_back(session))),
            Err(_) => drop(Pooled::take(session)),
        }
    }
}

/// Why nothing may be changed by a connection. What its owner has set is asked of them, not overruled.
fn refusal(about: &About) -> Option<Error> {
    if about.timeline.is_none() {
        return Some(standby());
    }
    let message = "the role, the database or the server is set to read alone (default_transaction_read_only = on); \
                   nothing was changed";
    about.reads_alone.then(|| Error::new(ErrorCode::Forbidden, message).left_nothing())
}

/// Another server serves writes, or this one will.
fn standby() -> Error {
    let message = "the server is a standby, which can be read and not changed; nothing was changed";
    Error::new(ErrorCode::Unavailable, message).retryable().left_nothing()
}

/// Whether the session is the one that was set up, and the description of a table is still right.
fn check(session: &Session, table: &Table, name: &str, answer: Option<&Row>) -> Result<(), Error> {
    let Some(answer) = answer else { return Err(altered(name)) };
    if answer.get::<_, Option<&str>>(0) != Some(session.mark.as_str()) {
        return Err(error::in_transaction_mode());
    }
    if is_current(table, answer.get(1)) { Ok(()) } else { Err(altered(name)) }
}

/// More was answered than is taken.
struct TooMuch;

fn too_much(doing: &str) -> Error {
    let limit = MAX_ANSWER_BYTES / (1024 * 1024);
    error::wrong(format!(
        "cannot {doing}: the rows have more than {limit} MiB; ask for fewer rows or columns"
    ))
}

/// All rows of an answer, up to [`MAX_ANSWER_BYTES`]; what comes after that is thrown away as it comes.
async fn all(
    client: &ClientWrapper,
    statement: &Statement,
    params: &[Param<'_>],
) -> Result<Result<Vec<Row>, TooMuch>, tokio_postgres::Error> {
    let params = params.iter().map(|param| *param as &(dyn ToSql + Sync));
    let stream = client.query_raw(statement, params).await?;
    futures::pin_mut!(stream);
    let (mut rows, mut bytes) = (Vec::new(), 0_usize);
    while let Some(row) = stream.try_next().await? {
        bytes = bytes.saturating_add(row.raw_size_bytes());
        if bytes <= MAX_ANSWER_BYTES {
            rows.push(row);
        } else {
            rows.clear();
        }
    }
    Ok(if bytes <= MAX_ANSWER_BYTES { Ok(rows) } else { Err(TooMuch) })
}

async fn roll_back(session: Pooled) {
    let done = timeout(ROLLBACK_TIMEOUT, session.client.batch_execute("ROLLBACK")).await;
    if !matches!(done, Ok(Ok(()))) {
        // A connection that is closed is rolled back by the server.
        drop(Pooled::take(session));
    }
}

/// What became of a transaction whose end is not known. Only what the server says of that very id counts.
pub(crate) async fn fate(client: &Client, id: &TransactionId) -> Result<Doubt<()>, Error> {
    let mut session = client.session().await?;
    if session.about.timeline.is_none() {
        session = client.session_instead_of(session).await?;
    }
    let session = Unanswered::new(session);
    let fate = settle(client, session.session()?, id).await?;
    session.answered();
    Ok(fate)
}

async fn settle(client: &Client, session: &Session, id: &TransactionId) -> Result<Doubt<()>, Error> {
    let about = &session.about;
    match &about.timeline {
        Some(timeline) if *timeline == id.timeline && about.system == id.system => {}
        // A standby may follow the very server, which may come back.
        None if about.system == id.system => {
            let message =
                format!("a standby answers, which does not know what became of transaction {}", id.xid);
            return Err(Error::new(ErrorCode::Unavailable, message).retryable().left_nothing());
        }
        now => {
            let now = now.as_deref().unwrap_or("unknown (a standby)");
            return Ok(Doubt::Unknown(format!(
                "transaction {} was begun on timeline {} and the server is on timeline {now}: after a failover or a \
                 restore its ids no longer tell; look at the rows",
                id.xid, id.timeline
            )));
        }
    }
    let mut began = Instant::now();
    let mut ended = false;
    loop {
        match status(client, session, id).await? {
            Status::Known(fate) => return Ok(fate),
            Status::UnderWay if began.elapsed() < PATIENCE => sleep(Duration::from_millis(50)).await,
            Status::UnderWay if !ended => {
                end_backend(client, session, id).await?;
                (began, ended) = (Instant::now(), true);
            }
            Status::UnderWay => {
                let message = format!("transaction {} is still under way and does not end", id.xid);
                return Err(Error::new(ErrorCode::Unavailable, message).retryable().left_nothing());
            }
        }
    }
}

enum Status {
    Known(Doubt<()>),
    UnderWay,
}

async fn status(client: &Client, session: &Session, id: &TransactionId) -> Result<Status, Error> {
    let params: [Param<'_>; 1] = [&id.xid];
    let asked = session.client.query_one("SELECT pg_catalog.pg_xact_status($1::text::xid8)", &params);
    let answer = match client.bounded("ask what became of a transaction", asked).await {
        Ok(row) => row.get::<_, Option<String>>(0),
        Err(error) if error::is_of_later_id(&error) => {
            return Ok(Status::Known(Doubt::Unknown(format!(
                "the server has not come to transaction {} yet: it is a copy from before, or was restored; look at \
                 the rows",
                id.xid
            ))));
        }
        Err(error) => return Err(error),
    };
    Ok(match answer.as_deref() {
        Some("committed") => Status::Known(Doubt::Applied(())),
        Some("aborted") => Status::Known(Doubt::NotApplied),
        Some(_) => Status::UnderWay,
        None => Status::Known(Doubt::Unknown(format!(
            "transaction {} is too long ago for the server to know what became of it; look at the rows",
            id.xid
        ))),
    })
}

/// Ends the connection that still carries the transaction out, and no other that has its number by now.
async fn end_backend(client: &Client, session: &Session, id: &TransactionId) -> Result<(), Error> {
    tracing::warn!(
        xid = id.xid,
        backend = id.backend,
        "ending a connection whose transaction nobody waits for"
    );
    let sql = "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_get_activity($1) WHERE backend_start::text = $2";
    let params: [Param<'_>; 2] = [&id.backend, &id.started];
    let asked = session.client.query(sql, &params);
    client.bounded("end the connection of a transaction that does not end", asked).await?;
    Ok(())
}
