//! The server: what becomes of a request, with the faults that wait for it.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http_body_util::Full;
use hyper::Response;
use hyper::body::Bytes;
use hyper::http::request::Parts;
use parking_lot::Mutex;
use serde_json::Value;

use super::call::{Asked, Reply};
use super::fault::{Deed, Waiting};
use super::ledger::Request as Noted;
use super::state::State;
use crate::http::{Answered, Dropped, Listening, Serving};

/// The most that a request may bring.
const MAX_BODY: usize = 4_000_000;

/// What the thread and all handles share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    pub(super) faults: Mutex<Vec<Waiting>>,
    late: Mutex<Vec<(u64, Asked)>>,
    requests: AtomicU64,
}

/// The running server.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) shared: Arc<Shared>,
    serving: Serving,
}

impl Running {
    pub(super) fn start() -> Self {
        let listening = Listening::begin();
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(format!("http://{}/api", listening.address))),
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

/// What a client gets.
enum Given {
    Reply(Reply),
    Nothing,
    Never,
}

async fn answer(shared: Arc<Shared>, head: Parts, body: Bytes) -> Answered {
    let number = shared.requests.fetch_add(1, Ordering::SeqCst) + 1;
    match shared.meet(&Asked::new(number, &head, &body)) {
        Given::Reply(reply) => response(&reply),
        Given::Nothing => Err(Dropped),
        Given::Never => pending().await,
    }
}

fn response(reply: &Reply) -> Answered {
    let mut builder = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        builder = builder.header(*name, value);
    }
    let (kind, body) = match &reply.body {
        Value::String(page) => ("text/html", page.clone()),
        body => ("application/json; charset=utf-8", body.to_string()),
    };
    builder.header("content-type", kind).body(Full::new(Bytes::from(body))).map_err(|_| Dropped)
}

/// What is done to a request, taken from where a fault waits.
enum Taken {
    Before(Given),
    After(Given),
    Late,
}

impl Shared {
    /// Meets a request with the faults that wait for it.
    fn meet(&self, asked: &Asked) -> Given {
        for act in self.faster(asked) {
            act();
        }
        let Some((id, taken, name)) = self.fault_for(asked) else {
            let reply = self.answer(asked);
            self.note(asked, Some(reply.word()), Some(reply.status), None);
            return Given::Reply(reply);
        };
        let (decided, given) = match taken {
            Taken::Before(given) => (None, given),
            Taken::After(given) => (Some(self.answer(asked).word()), given),
            Taken::Late => {
                self.late.lock().push((id, asked.clone()));
                (None, Given::Nothing)
            }
        };
        let status = match &given {
            Given::Reply(reply) => Some(reply.status),
            Given::Nothing | Given::Never => None,
        };
        if let Given::Reply(reply) = &given {
            self.state.lock().hold_off(&asked.method, reply);
        }
        self.note(asked, decided, status, Some(name));
        let mut faults = self.faults.lock();
        faults.iter_mut().filter(|waiting| waiting.id == id).for_each(|waiting| waiting.reached());
        given
    }

    /// What others do before this request; each that fits counts it once.
    fn faster(&self, asked: &Asked) -> Vec<Box<dyn FnOnce() + Send>> {
        let mut faults = self.faults.lock();
        let acts = faults.iter_mut().filter(|waiting| waiting.is_act() && !waiting.was_reached());
        acts.filter_map(|waiting| {
            let act = match waiting.meet(&asked.method)? {
                Deed::Before(act) => act.take(),
                _ => None,
            };
            waiting.reached();
            act
        })
        .collect()
    }

    /// The first fault whose turn it is; each that fits counts the request.
    fn fault_for(&self, asked: &Asked) -> Option<(u64, Taken, String)> {
        let mut found = None;
        for waiting in self.faults.lock().iter_mut().filter(|waiting| !waiting.is_act()) {
            let id = waiting.id;
            if let Some(deed) = waiting.meet(&asked.method)
                && found.is_none()
            {
                let taken = match deed {
                    Deed::DropBefore => Taken::Before(Given::Nothing),
                    Deed::HangBefore => Taken::Before(Given::Never),
                    Deed::Reply(reply) => Taken::Before(Given::Reply(reply.clone())),
                    Deed::DropAfter => Taken::After(Given::Nothing),
                    Deed::HangAfter => Taken::After(Given::Never),
                    Deed::ReplyAfter(reply) => Taken::After(Given::Reply(reply.clone())),
                    Deed::Late => Taken::Late,
                    Deed::Before(_) => continue,
                };
                found = Some((id, taken, format!("{deed:?}")));
            }
        }
        found
    }

    /// Lets a late request happen.
    pub(super) fn land(&self, id: u64) -> Option<String> {
        let (_, asked) = {
            let mut late = self.late.lock();
            let place = late.iter().position(|(late, _)| *late == id)?;
            late.remove(place)
        };
        let word = self.answer(&asked).word();
        let mut state = self.state.lock();
        let noted = state.requests.iter_mut().find(|noted| noted.number == asked.number);
        if let Some(noted) = noted {
            noted.decided = Some(word.clone());
        }
        Some(word)
    }

    /// Notes a request in the log.
    fn note(&self, asked: &Asked, decided: Option<String>, status: Option<u16>, fault: Option<String>) {
        let mut state = self.state.lock();
        let by =
            asked.token.as_ref().and_then(|token| state.tokens.get(token)).map(|grant| grant.user.clone());
        let (number, method) = (asked.number, asked.method.clone());
        state.requests.push(Noted { number, method, by, decided, status, fault });
    }
}
