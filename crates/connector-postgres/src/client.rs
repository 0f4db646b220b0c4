//! Connections: how they are made, what each of them is sure of, and the pool that keeps them.
//!
//! It knows sessions and their settings, and nothing of tables.

use std::fmt::{self, Debug};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use deadpool::managed;
use deadpool_postgres::{ClientWrapper, ManagerConfig, RecyclingMethod};
use enact_core::{Error, ErrorCode};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tokio_postgres::SimpleQueryMessage;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::{self, internal, unsupported, wrong};

/// The oldest server that knows `pg_current_xact_id`.
const OLDEST_VERSION: i32 = 130_000;

/// The most connections of one connector. What really bounds them is how many actions it may carry out at once.
const MAX_CONNECTIONS: usize = 1024;

/// How often two connections are compared before the first use.
const TRIES: usize = 4;

/// How many prepared statements a connection keeps.
const MAX_STATEMENTS: usize = 256;

/// A transaction that waits longer than this between capture and commit is given up by the server, so that a
/// process that was stopped does not hold locks for ever.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(120);

/// What every connection is sure of. Read once when it is made: a server that crashes, or becomes another one,
/// ends all its connections.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct About {
    /// The system identifier: which cluster this is, copies of it included.
    pub(crate) system: String,
    /// Name and oid of the database.
    pub(crate) database: String,
    /// The timeline; none on a standby.
    pub(crate) timeline: Option<String>,
    /// The server's process for this connection.
    pub(crate) backend: i32,
    /// When that process began, so that another one with its number is not taken for it.
    pub(crate) started: String,
    /// The role.
    pub(crate) role: String,
    /// What `synchronous_commit` is at COMMIT: `on`, or `remote_apply` where that is what is configured.
    pub(crate) commit: String,
    /// `default_transaction_read_only`, as it is for the role, the database or the server.
    pub(crate) reads_alone: bool,
}

/// A connection whose session is set up.
pub(crate) struct Session {
    pub(crate) client: ClientWrapper,
    pub(crate) about: About,
    /// A random mark in the session's own settings. A pooler that gives a transaction another session gives it
    /// another mark.
    pub(crate) mark: String,
    /// When the server had answered for the first time.
    since: Instant,
}

/// A connection that goes back to the pool when it is dropped.
pub(crate) type Pooled = managed::Object<Manager>;

type Pool = managed::Pool<Manager>;

/// The database, by way of a pool of connections.
pub(crate) struct Client {
    pool: Pool,
    timeout: Duration,
    /// Two connections at once were seen to be two sessions.
    checked: OnceCell<()>,
    /// What was made durable last; held while more is.
    wal: tokio::sync::Mutex<Option<Flush>>,
    /// How many have asked for that.
    asked: AtomicU64,
}

/// What was made durable at the server last.
#[derive(Clone, Copy)]
struct Flush {
    /// The last of those who asked for it.
    upto: u64,
    /// Since when the connection has been there by which it was done.
    by: Instant,
}

impl Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pool.manager().fmt(f)
    }
}

/// Time limits of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// For one request.
    pub(crate) request: Duration,
    /// For a lock that others hold.
    pub(crate) lock: Duration,
}

impl Client {
    pub(crate) fn new(
        mut config: tokio_postgres::Config,
        ca_file: Option<&Path>,
        limits: Limits,
    ) -> Result<Self, Error> {
        config.connect_timeout(limits.request).tcp_user_timeout(limits.request);
        config.keepalives_idle(Duration::from_secs(30));
        if config.get_application_name().is_none() {
            config.application_name("enact");
        }
        let place = place(&config);
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let inner = deadpool_postgres::Manager::from_config(config, tls(ca_file)?, recycling);
        let manager = Manager { inner, place, limits };
        let pool = Pool::builder(manager)
            .max_size(MAX_CONNECTIONS)
            .queue_mode(managed::QueueMode::Lifo)
            .runtime(deadpool_postgres::Runtime::Tokio1)
            .wait_timeout(Some(limits.request))
            .create_timeout(Some(limits.request))
            .build()
            .map_err(|error| internal(format!("the pool of connections cannot be made: {error}")))?;
        let (checked, wal) = (OnceCell::new(), tokio::sync::Mutex::default());
        Ok(Self { pool, timeout: limits.request, checked, wal, asked: 0.into() })
    }

    /// The time for one request.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// A connection. The first one is made together with a second: a pooler that gives one session to both is found
    /// out before anything is done.
    pub(crate) async fn session(&self) -> Result<Pooled, Error> {
        self.checked.get_or_try_init(|| self.check_sessions()).await?;
        self.get().await
    }

    /// Whether two connections are two sessions, whichever of them has a transaction open meanwhile. A pooler that is
    /// idle gives the second connection the session of the first; a busy one mixes them up within a few tries.
    async fn check_sessions(&self) -> Result<(), Error> {
        let (first, second) = (self.get().await?, self.get().await?);
        let compared = self.compare(&first, &second).await;
        if compared.is_err() {
            // One of them may never answer.
            drop((Pooled::take(first), Pooled::take(second)));
        }
        compared
    }

    async fn compare(&self, first: &Pooled, second: &Pooled) -> Result<(), Error> {
        for _ in 0..TRIES {
            for (holding, asking) in [(first, second), (second, first)] {
                self.execute(holding, "BEGIN READ ONLY").await?;
                let own = self.has_its_mark(holding).await? && self.has_its_mark(asking).await?;
                self.execute(holding, "ROLLBACK").await?;
                if !own {
                    return Err(error::in_transaction_mode());
                }
            }
        }
        Ok(())
    }

    async fn execute(&self, session: &Pooled, sql: &str) -> Result<(), Error> {
        self.bounded("look at the session", session.client.batch_execute(sql)).await
    }

    async fn has_its_mark(&self, session: &Pooled) -> Result<bool, Error> {
        let asked = session.client.simple_query("SELECT current_setting('enact.session', true)");
        let answer = self.bounded("look at the session", asked).await?;
        let mark = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        Ok(mark == Some(session.mark.as_str()))
    }

    async fn get(&self) -> Result<Pooled, Error> {
        use managed::PoolError;
        self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => error,
            PoolError::Timeout(_) => error::no_answer("connect to the database", self.timeout),
            other => Error::new(ErrorCode::Unavailable, format!("cannot get a connection: {other}"))
                .retryable()
                .left_nothing(),
        })
    }

    /// Forgets every connection that waits in the pool: where one was found dead, the others are too.
    pub(crate) fn forget_idle(&self) {
        self.pool.retain(|_, _| false);
    }

    /// Waits for a request, no longer than one may take.
    pub(crate) async fn bounded<T>(
        &self,
        doing: &str,
        request: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Error> {
        // The server has the same limit and says so in better words; this one is for a server that says nothing.
        let patience = self.timeout + Duration::from_secs(1);
        match tokio::time::timeout(patience, request).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(failed)) => {
                if failed.is_closed() {
                    self.forget_idle();
                }
                Err(error::statement(doing, failed))
            }
            Err(_) => Err(error::no_answer(doing, patience)),
        }
    }

    /// Makes all that the server has written to its log so far durable there. Gives whether that was certainly the
    /// server that a transaction was begun on at `begun`.
    ///
    /// A transaction's id is in the server's log with its first change, and not durably until something is
    /// committed. After a crash the server would give the same id to another transaction, and
    /// `pg_xact_status` would speak of that one (docs/adr/0007). So this comes before an intent that names an id.
    /// Whoever comes while it is under way waits for the next one, together with all others who came.
    ///
    /// A connection that was there before the transaction, and answers now, was not ended by a crash in between. A
    /// younger one may be of the server that came back, whose log has nothing of the transaction.
    pub(crate) async fn make_ids_durable(&self, begun: Instant) -> Result<bool, Error> {
        let ticket = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut last = self.wal.lock().await;
        if let Some(flush) = last.filter(|flush| flush.upto >= ticket) {
            return Ok(flush.by < begun);
        }
        let upto = self.asked.load(Ordering::SeqCst);
        let session = self.get().await?;
        // A commit that has written something waits for the log up to its own end. The message means nothing to
        // anyone. It does not wait for standbys: another timeline is asked about by nobody.
        let sql = "BEGIN READ WRITE; SET LOCAL synchronous_commit = local; \
                   SELECT pg_logical_emit_message(true, 'enact', ''); COMMIT";
        let done = self.bounded("make the transaction's id durable", session.client.batch_execute(sql)).await;
        if done.is_err() {
            drop(Pooled::take(session));
            return done.map(|()| false);
        }
        let by = session.since;
        *last = Some(Flush { upto, by });
        Ok(by < begun)
    }
}

/// Makes connections: as deadpool-postgres does, and sets up the session of each.
pub(crate) struct Manager {
    inner: deadpool_postgres::Manager,
    place: String,
    limits: Limits,
}

impl Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Postgres at {}", self.place)
    }
}

impl managed::Manager for Manager {
    type Type = Session;
    type Error = Error;

    async fn create(&self) -> Result<Session, Error> {
        let client = managed::Manager::create(&self.inner).await;
        let client = client.map_err(|error| error::statement(format!("connect to {}", self.place), error))?;
        set_up(client, &self.limits).await
    }

    async fn recycle(&self, session: &mut Session, _: &managed::Metrics) -> managed::RecycleResult<Error> {
        if session.client.is_closed() {
            return Err(managed::RecycleError::message("the connection is closed"));
        }
        if session.client.statement_cache.size() > MAX_STATEMENTS {
            session.client.statement_cache.clear();
        }
        Ok(())
    }

    fn detach(&self, session: &mut Session) {
        managed::Manager::detach(&self.inner, &mut session.client);
    }
}

/// Everything that changes how values are written as text is pinned, and it is found out who is there.
async fn set_up(client: ClientWrapper, limits: &Limits) -> Result<Session, Error> {
    let failed = |failed| error::statement("set up the session", failed);
    let before = client.query_one(BEFORE, &[]).await.map_err(failed)?;
    let taken: Option<String> = before.get(0);
    if taken.is_some_and(|mark| !mark.is_empty()) {
        return Err(error::in_transaction_mode());
    }
    let mark = format!("{:032x}", rand::random::<u128>());
    client.batch_execute(&settings(limits, &mark)).await.map_err(failed)?;
    let row = client.query_one(ABOUT, &[]).await.map_err(failed)?;
    // What is known of the session is of the one that has the mark.
    if row.get::<_, Option<&str>>("mark") != Some(mark.as_str()) {
        return Err(error::in_transaction_mode());
    }
    if row.get::<_, i32>("version") < OLDEST_VERSION {
        let version: i32 = row.get("version");
        return Err(unsupported(format!(
            "the server is version {}; 13 or newer is needed",
            version / 10_000
        )));
    }
    let about = About {
        system: row.get("system"),
        database: row.get("database"),
        timeline: row.get("timeline"),
        backend: row.get("backend"),
        started: row.get("started"),
        role: row.get("role"),
        commit: row.get("commit"),
        reads_alone: before.get(1),
    };
    Ok(Session { client, about, mark, since: Instant::now() })
}

/// What the session has before anything of it is set: another one's mark, and whether the server's owner wants it to
/// read alone.
const BEFORE: &str = "SELECT current_setting('enact.session', true), \
     current_setting('default_transaction_read_only')::bool";

/// What is there at the other end of a connection.
const ABOUT: &str = "SELECT current_setting('server_version_num')::int4 AS version, \
     (SELECT system_identifier::text FROM pg_catalog.pg_control_system()) AS system, \
     format('%s (oid %s)', current_database(), \
       (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())) AS database, \
     CASE WHEN NOT pg_is_in_recovery() \
       THEN left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) END AS timeline, \
     pg_backend_pid() AS backend, \
     (SELECT backend_start::text FROM pg_stat_get_activity(pg_backend_pid())) AS started, \
     current_user::text AS role, current_setting('synchronous_commit') AS commit, \
     current_setting('enact.session', true) AS mark";

fn settings(limits: &Limits, mark: &str) -> String {
    let (request, lock) = (limits.request.as_millis(), limits.lock.as_millis());
    let idle = IDLE_IN_TRANSACTION.max(limits.request).as_millis();
    format!(
        "SET DateStyle = 'ISO, MDY'; SET IntervalStyle = 'postgres'; SET TimeZone = 'UTC'; \
         SET extra_float_digits = 1; SET bytea_output = 'hex'; SET lc_monetary = 'C'; SET xmloption = 'content'; \
         SET default_transaction_read_only = on; SET standard_conforming_strings = on; \
         SET array_nulls = on; SET transform_null_equals = off; \
         SET statement_timeout = {request}; SET lock_timeout = {lock}; \
         SET idle_in_transaction_session_timeout = {idle}; \
         SELECT set_config('synchronous_commit', CASE current_setting('synchronous_commit') \
           WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false); \
         SELECT set_config('enact.session', '{mark}', false)"
    )
}

fn tls(ca_file: Option<&Path>) -> Result<MakeRustlsConnect, Error> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(file) => {
            let unreadable = |error| wrong(format!("'ca_file': {} cannot be read: {error}", file.display()));
            let certificates =
                CertificateDer::pem_file_iter(file).map_err(|error| unreadable(error.to_string()))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
                roots.add(certificate).map_err(|error| unreadable(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(unreadable("it holds no certificate".to_owned()));
            }
        }
        // A system without any can still use connections without TLS.
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| internal(format!("TLS cannot be set up: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// Where the server is, for messages: no user and no password.
fn place(config: &tokio_postgres::Config) -> String {
    let hosts = config.get_hosts().iter().map(|host| match host {
        tokio_postgres::config::Host::Tcp(name) => name.clone(),
        #[cfg(unix)]
        tokio_postgres::config::Host::Unix(path) => path.display().to_string(),
    });
    let ports = config.get_ports().iter().map(u16::to_string).collect::<Vec<_>>().join(",");
    let ports = if ports.is_empty() { String::new() } else { format!(" port {ports}") };
    let database = config.get_dbname().unwrap_or("the default");
    format!("{}{ports}, database {database}", hosts.collect::<Vec<_>>().join(","))
}
