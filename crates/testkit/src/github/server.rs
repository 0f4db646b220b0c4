//! The server: what becomes of a request, with the faults that wait for it.

use std::any::Any;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http_body_util::Full;
use hyper::Response;
use hyper::body::Bytes;
use hyper::http::request::Parts;
use parking_lot::Mutex;
use serde_json::Value;

use super::exchange::{Asked, Given};
use super::fault::{Deed, Late, Waiting};
use super::reply::Reply;
use super::state::State;
use crate::http::{Answered, Dropped, Listening, Serving};

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

/// The running server.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) shared: Arc<Shared>,
    serving: Serving,
}

impl Running {
    pub(super) fn start(folder: PathBuf) -> Self {
        let listening = Listening::begin();
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(format!("http://{}", listening.address), folder)),
            faults: Mutex::default(),
            late: Mutex::default(),
            requests: AtomicU64::new(0),
        });
        let asked = Arc::clone(&shared);
        let serving = listening.serve(MAX_BODY, move |head, body| answer(Arc::clone(&asked), head, body));
        Self { shared, serving }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.serving.stop();
        // What people were to do may hold handles of this very server.
        self.shared.faults.lock().clear();
    }
}

async fn answer(shared: Arc<Shared>, head: Parts, body: Bytes) -> Answered {
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
fn cut(reply: &Reply) -> Answered {
    let (mut head, body) = response(reply)?.into_parts();
    let whole = body.into_inner().unwrap_or_default();
    head.headers.insert("content-length", whole.len().into());
    Ok(Response::from_parts(head, Full::new(whole.slice(..whole.len() / 2))))
}

fn response(reply: &Reply) -> Answered {
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
