//! A plain client for the tests of the stand-in for GitHub: one connection for each request, and no retries.

use enact_testkit::github::Server;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// An answer.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: hyper::HeaderMap,
    pub(crate) body: Value,
}

/// Somebody who asks a server.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    address: String,
    pub(crate) base: String,
    pub(crate) headers: Vec<(String, String)>,
}

impl Client {
    pub(crate) fn new(hub: &Server, token: &str) -> Self {
        let headers = vec![
            ("user-agent".to_owned(), "a test".to_owned()),
            ("authorization".to_owned(), format!("Bearer {token}")),
            ("x-github-api-version".to_owned(), "2022-11-28".to_owned()),
        ];
        Self { address: hub.url().replacen("http://", "", 1), base: String::new(), headers }
    }

    /// An error is that the connection has ended without an answer.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Got, hyper::Error> {
        let text = body.map(Value::to_string).unwrap_or_default();
        self.send_text(method, path, text).await
    }

    pub(crate) async fn send_text(
        &self,
        method: &str,
        path: &str,
        body: String,
    ) -> Result<Got, hyper::Error> {
        let stream = TcpStream::connect(&self.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async { connection.await.ok() });
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("host", &self.address);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let response = sender.send_request(request.body(Full::new(Bytes::from(body))).unwrap()).await?;
        let (head, body) = response.into_parts();
        let bytes = body.collect().await?.to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Ok(Got { status: head.status.as_u16(), headers: head.headers, body })
    }

    pub(crate) async fn get(&self, path: &str) -> Got {
        self.send("GET", path, None).await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Got {
        self.send("POST", path, Some(&body)).await.unwrap()
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Got {
        self.send("PATCH", path, Some(&body)).await.unwrap()
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Got {
        self.send("PUT", path, Some(&body)).await.unwrap()
    }

    pub(crate) async fn delete(&self, path: &str) -> Got {
        self.send("DELETE", path, None).await.unwrap()
    }
}

impl Got {
    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }

    /// That it is refused with these words.
    #[track_caller]
    pub(crate) fn refuses(self, status: u16, words: &str) {
        let body = self.is(status);
        assert!(body.to_string().contains(words), "{body}");
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}
