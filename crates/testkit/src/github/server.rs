//! The server: one thread of its own, so that a test may block, pause its clock or run a child that asks it.

use std::any::Any;
use std::future::pending;
use std::net::{Ipv4Addr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::oneshot;

use super::OrPanic;
use super::exchange::{Asked, Given};
use super::fault::{Deed, Late, Waiting};
use super::reply::Reply;
use super::state::State;

/// The most that a request may bring: a blob of 100 MB in Base64, and some.
const MAX_BODY: usize = 140_000_000;

/// What the thread and all handles share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    pub(super) faults: Mutex<Vec<Waiting>>,
    late: Mutex<Vec<LateRequest>>,
    requests: AtomicU64,
}

/// A request whose effect is still to come.
#[derive(Debug)]
pub(super) struct LateRequest {
    pub(super) id: u64,
    pub(super) when: Late,
    asked: Asked,
}

/// The running thread.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    pub(super) fn start(folder: PathBuf) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).or_panic("listen on 127.0.0.1");
        listener.set_nonblocking(true).or_panic("listen without blocking");
        let address = listener.local_addr().or_panic("know the own port");
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(format!("http://{address}"), folder)),
            faults: Mutex::default(),
            late: Mutex::default(),
            requests: AtomicU64::new(0),
        });
        let (stop, stopped) = oneshot::channel();
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.or_panic("start the server").block_on(async {
                tokio::select! {
                    () = accept(listener, of_thread) => {}
                    // An error is that the server's handle is gone.
                    _ = stopped => {}
                }
            });
        });
        Self { shared, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        // What people were to do may hold handles of this very server.
        self.shared.faults.lock().clear();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let listener = tokio::net::TcpListener::from_std(listener).or_panic("listen");
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let serve = service_fn(move |request| serve(Arc::clone(&shared), request));
            // An error is that a connection has ended: by a fault, or by its client.
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), serve)
                .await
                .ok();
        });
    }
}

/// The connection ends without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is dropped")]
pub(super) struct Dropped;

async fn serve(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Dropped> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, MAX_BODY).collect().await.map_err(|_| Dropped)?.to_bytes();
    let number = shared.requests.fetch_add(1, Ordering::SeqCst) + 1;
    let asked = Asked::new(number, &head, body);
    // git is waited for here; this thread does nothing else.
    let taken = catch_unwind(AssertUnwindSafe(|| shared.take(asked)));
    match taken.unwrap_or_else(|panic| shared.note_panic(number, &*panic)) {
        Given::Reply(reply) => response(&reply),
        Given::After(time, reply) => {
            tokio::time::sleep(time).await;
            response(&reply)
        }
        Given::Cut(reply) => cut(&reply),
        Given::Nothing => Err(Dropped),
        Given::Never => pending().await,
    }
}

/// Promises the whole answer, and gives a half of it.
fn cut(reply: &Reply) -> Result<Response<Full<Bytes>>, Dropped> {
    let (mut head, body) = response(reply)?.into_parts();
    let whole = body.into_inner().unwrap_or_default();
    head.headers.insert("content-length", whole.len().into());
    Ok(Response::from_parts(head, Full::new(whole.slice(..whole.len() / 2))))
}

fn response(reply: &Reply) -> Result<Response<Full<Bytes>>, Dropped> {
    let mut builder = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        builder = builder.header(*name, value);
    }
    let body = match &reply.body {
        Some(Value::String(page)) => {
            builder = builder.header("content-type", "text/html");
            Bytes::from(page.clone())
        }
        Some(body) => {
            builder = builder.header("content-type", "application/json; charset=utf-8");
            Bytes::from(body.to_string())
        }
        None => Bytes::new(),
    };
    builder.body(Full::new(body)).map_err(|_| Dropped)
}

impl Shared {
    /// Meets a request with the faults that wait for it.
    fn take(&self, asked: Asked) -> Given {
        self.land_due(asked.number);
        while let Some(act) = self.faster(&asked) {
            act();
        }
        let Some((id, deed, name)) = self.fault_for(&asked) else {
            let reply = self.answer(&asked);
            self.note(&asked, Some(reply.status), Some(reply.status), None);
            return Given::Reply(reply);
        };
        let (decided, given) = match deed {
            Taken::Refuse(reply) => (None, Given::Reply(self.finish(&asked, reply))),
            Taken::Limit(status) => (None, Given::Reply(self.limit(&asked, status))),
            Taken::DropBefore => (None, Given::Nothing),
            Taken::HangBefore => (None, Given::Never),
            Taken::Late(when) => {
                let when = match when {
                    Late::Requests(requests) => Late::Requests(asked.number + requests),
                    Late::Seconds(seconds) => Late::Seconds(self.state.lock().clock.now() + seconds),
                    Late::Told => Late::Told,
                };
                self.late.lock().push(LateRequest { id, when, asked: asked.clone() });
                (None, Given::Nothing)
            }
            Taken::DropAfter => (Some(self.answer(&asked).status), Given::Nothing),
            Taken::HangAfter => (Some(self.answer(&asked).status), Given::Never),
            Taken::CutAfter => {
                let reply = self.answer(&asked);
                (Some(reply.status), Given::Cut(reply))
            }
            Taken::ReplyAfter(reply) => (Some(self.answer(&asked).status), Given::Reply(reply)),
            Taken::Delay(time) => {
                let reply = self.answer(&asked);
                (Some(reply.status), Given::After(time, reply))
            }
        };
        let status = match &given {
            Given::Reply(reply) | Given::After(_, reply) => Some(reply.status),
            Given::Cut(_) | Given::Nothing | Given::Never => None,
        };
        self.note(&asked, decided, status, Some(name));
        given
    }

    /// What has panicked on this thread is a problem, so that the test hears of it.
    fn note_panic(&self, number: u64, panic: &(dyn Any + Send)) -> Given {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
        self.state.lock().problems.push(format!("{number}: {text}"));
        Given::Nothing
    }

    /// What somebody else does before this request, if anything is left of it.
    fn faster(&self, asked: &Asked) -> Option<Box<dyn FnOnce() + Send>> {
        let mut faults = self.faults.lock();
        faults.iter_mut().filter(|waiting| waiting.is_act() && !waiting.was_reached()).find_map(|waiting| {
            if !waiting.counts(asked.number) {
                return None;
            }
            match waiting.meet(&asked.method, &asked.path)? {
                Deed::Before(act) => act.take(),
                _ => None,
            }
        })
    }

    /// The first fault whose turn it is; each that fits counts the request.
    fn fault_for(&self, asked: &Asked) -> Option<(u64, Taken, String)> {
        let mut found = None;
        for waiting in self.faults.lock().iter_mut().filter(|waiting| !waiting.is_act()) {
            let id = waiting.id;
            if let Some(deed) = waiting.meet(&asked.method, &asked.path)
                && found.is_none()
                && let Some(taken) = Taken::of(deed)
            {
                found = Some((id, taken, format!("{deed:?}")));
            }
        }
        found
    }

    /// Lets late requests happen that fit, and gives their statuses.
    pub(super) fn land(&self, fits: impl Fn(&LateRequest) -> bool) -> Vec<u16> {
        let due: Vec<LateRequest> = self.late.lock().extract_if(.., |late| fits(late)).collect();
        let land = |late: &LateRequest| {
            let status = self.answer(&late.asked).status;
            let mut state = self.state.lock();
            let noted = state.requests.iter_mut().find(|noted| noted.number == late.asked.number);
            if let Some(noted) = noted {
                noted.decided = Some(status);
            }
            status
        };
        due.iter().map(land).collect()
    }

    /// Lets those happen whose time has come before the request with this number.
    pub(super) fn land_due(&self, number: u64) {
        let now = self.state.lock().clock.now();
        self.land(|late| match late.when {
            Late::Told => false,
            Late::Requests(until) => number > until,
            Late::Seconds(until) => now >= until,
        });
    }

    /// The number of the last request.
    pub(super) fn last_request(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

/// A deed, taken out of its fault.
#[derive(Debug)]
enum Taken {
    DropBefore,
    DropAfter,
    ReplyAfter(Reply),
    CutAfter,
    Refuse(Reply),
    Delay(std::time::Duration),
    HangBefore,
    HangAfter,
    Late(Late),
    Limit(u16),
}

impl Taken {
    fn of(deed: &Deed) -> Option<Self> {
        Some(match deed {
            Deed::DropBefore => Self::DropBefore,
            Deed::DropAfter => Self::DropAfter,
            Deed::CutAfter => Self::CutAfter,
            Deed::ReplyAfter(reply) => Self::ReplyAfter(reply.clone()),
            Deed::Reply(reply) => Self::Refuse(reply.clone()),
            Deed::Delay(time) => Self::Delay(*time),
            Deed::HangBefore => Self::HangBefore,
            Deed::HangAfter => Self::HangAfter,
            Deed::Late(when) => Self::Late(*when),
            Deed::Limited(status) => Self::Limit(*status),
            Deed::Before(_) => return None,
        })
    }
}
