//! HTTP for stand-ins: one thread of its own for each, so that a test may block, pause its clock or run a child that asks it.
//!
//! It knows connections and whole requests. What is answered, and whether, is for the stand-in.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use futures::future::{Either, select};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;

use crate::or_panic::OrPanic;

/// The connection ends without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is dropped")]
pub(crate) struct Dropped;

/// What a client gets.
pub(crate) type Answered = Result<Response<Full<Bytes>>, Dropped>;

/// A port of this machine that is listened on; nobody is answered yet.
#[derive(Debug)]
pub(crate) struct Listening {
    listener: TcpListener,
    pub(crate) address: SocketAddr,
}

/// The thread that answers. It ends when this is dropped, which waits for it.
#[derive(Debug)]
pub(crate) struct Serving {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Listening {
    pub(crate) fn begin() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).or_panic("listen on 127.0.0.1");
        listener.set_nonblocking(true).or_panic("listen without blocking");
        let address = listener.local_addr().or_panic("know the own port");
        Self { listener, address }
    }

    /// Answers each request, of which the body has at most `max_body` bytes.
    pub(crate) fn serve<F>(
        self,
        max_body: usize,
        answer: impl Fn(Parts, Bytes) -> F + Send + Sync + 'static,
    ) -> Serving
    where
        F: Future<Output = Answered> + Send + 'static,
    {
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.or_panic("start the server").block_on(async {
                let accept = std::pin::pin!(accept(self.listener, max_body, Arc::new(answer)));
                // An error is that the server's handle is gone.
                match select(accept, stopped).await {
                    Either::Left(((), _)) | Either::Right(_) => {}
                }
            });
        });
        Serving { stop: Some(stop), thread: Some(thread) }
    }
}

impl Serving {
    /// Answers nobody any more.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

async fn accept<F>(
    listener: TcpListener,
    max_body: usize,
    answer: Arc<impl Fn(Parts, Bytes) -> F + Send + Sync + 'static>,
) where
    F: Future<Output = Answered> + Send + 'static,
{
    let listener = tokio::net::TcpListener::from_std(listener).or_panic("listen");
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // As where there are too few descriptors; others may end.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let answer = Arc::clone(&answer);
        tokio::spawn(async move {
            let serve = service_fn(move |request: Request<Incoming>| {
                let answer = Arc::clone(&answer);
                async move {
                    let (head, body) = request.into_parts();
                    let body = Limited::new(body, max_body).collect().await.map_err(|_| Dropped)?.to_bytes();
                    answer(head, body).await
                }
            });
            // An error is that a connection has ended: by a fault, or by its client.
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), serve)
                .await
                .ok();
        });
    }
}
