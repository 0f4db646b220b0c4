//! A proxy between a client and a server that does to chosen messages what networks do.
//!
//! It knows how messages are framed, which of them carry a statement, and which `ReadyForQuery` ends the answer to
//! which of them; it makes no message of its own but the refusal of encryption. So it is for servers that do
//! without TLS.

mod fault;
mod session;
mod talk;
mod wire;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use fault::Armed;
pub use fault::{Fault, Hold};

use super::{Database, OrPanic, SUPERUSER, Server};

/// A proxy on 127.0.0.1. Its connections are cut on both sides when it is dropped.
///
/// A fault is armed for the next statement that begins with a word, whichever connection it comes by: as a simple query,
/// or as the execution of a statement that was parsed before. Case does not matter, and `INSERT INTO a` is a word too.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    cut_all: watch::Sender<()>,
    accepting: AbortHandle,
}

/// What all connections of a proxy know.
#[derive(Debug)]
struct Shared {
    server: SocketAddr,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    connections: usize,
    statements: Vec<String>,
    armed: Vec<Armed>,
}

impl Proxy {
    /// A proxy to the server. Its connections are tasks of the runtime that this is called in.
    ///
    /// # Panics
    /// Where there is no port to listen on.
    pub async fn start(server: &Server) -> Self {
        Self::to_port(server.port()).await
    }

    /// A proxy to whatever listens on this port of 127.0.0.1: another proxy, or a [`Bouncer`](super::Bouncer).
    ///
    /// # Panics
    /// Where there is no port to listen on.
    pub async fn to_port(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.or_panic("listen on 127.0.0.1");
        let address = listener.local_addr().or_panic("know the own port");
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let shared = Arc::new(Shared { server, state: Mutex::default() });
        let (cut_all, cuts) = watch::channel(());
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared), cuts)).abort_handle();
        Self { address, shared, cut_all, accepting }
    }

    /// The URL of a database for the superuser, by this proxy.
    #[must_use]
    pub fn url(&self, database: &Database) -> String {
        self.url_as(SUPERUSER, database)
    }

    /// The URL of a database for a role, by this proxy.
    #[must_use]
    pub fn url_as(&self, role: &str, database: &Database) -> String {
        format!("postgres://{role}@{}/{}", self.address, database.name())
    }

    /// Its port of 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Cuts the connection on both sides when the next such statement arrives; the server does not see it.
    #[must_use = "a fault that was not reached tests nothing: assert on it"]
    pub fn lose_request(&self, word: &str) -> Fault {
        let (armed, fault) = fault::losing_request(word);
        self.arm(armed);
        fault
    }

    /// Lets the next such statement through, waits until the server has answered it and is ready again, and cuts
    /// the connection on both sides; the client does not see the answer.
    #[must_use = "a fault that was not reached tests nothing: assert on it"]
    pub fn lose_reply(&self, word: &str) -> Fault {
        let (armed, fault) = fault::losing_reply(word);
        self.arm(armed);
        fault
    }

    /// Keeps the next such statement, and all that its connection sends after it, until it is released. The server
    /// receives it then even if the client has gone meanwhile.
    #[must_use = "what is held is cut when the handle is dropped"]
    pub fn hold(&self, word: &str) -> Hold {
        let (armed, hold) = fault::holding_request(word);
        self.arm(armed);
        hold
    }

    /// Lets the next such statement through, and keeps the server's answer until it is released.
    #[must_use = "what is held is cut when the handle is dropped"]
    pub fn delay_reply(&self, word: &str) -> Hold {
        let (armed, hold) = fault::holding_reply(word);
        self.arm(armed);
        hold
    }

    fn arm(&self, armed: Armed) {
        self.shared.state.lock().armed.push(armed);
    }

    /// Cuts every connection that there is, on both sides. Faults stay armed.
    pub fn cut_all(&self) {
        self.cut_all.send_replace(());
    }

    /// How many connections clients have made.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.state.lock().connections
    }

    /// How many statements that begin with the word clients have sent, lost ones too.
    #[must_use]
    pub fn seen(&self, word: &str) -> usize {
        let state = self.shared.state.lock();
        state.statements.iter().filter(|statement| fault::begins_with(statement, word)).count()
    }

    /// The statements that clients have sent, in the order in which they came.
    #[must_use]
    pub fn statements(&self) -> Vec<String> {
        self.shared.state.lock().statements.clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    /// Notes a statement, and takes the fault that is armed for it.
    fn meet(&self, statement: &str) -> Option<Armed> {
        let mut state = self.state.lock();
        state.statements.push(statement.to_owned());
        state.armed.retain_mut(|armed| !armed.is_given_up());
        let fits = state.armed.iter().position(|armed| armed.fits(statement))?;
        Some(state.armed.remove(fits))
    }
}

/// The connections are tasks of this one, so that they end with it.
async fn accept(listener: TcpListener, shared: Arc<Shared>, cuts: watch::Receiver<()>) {
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                shared.state.lock().connections += 1;
                sessions.spawn(serve(client, Arc::clone(&shared), cuts.clone()));
            }
            Some(_) = sessions.join_next() => {}
        }
    }
}

async fn serve(client: TcpStream, shared: Arc<Shared>, mut cuts: watch::Receiver<()>) {
    cuts.mark_unchanged();
    tokio::select! {
        () = session::run(client, &shared) => {}
        // An error is that the proxy is gone.
        _ = cuts.changed() => {}
    }
}
