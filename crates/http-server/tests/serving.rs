//! Tests of a server with the routes of two services, over TCP.
#![expect(clippy::unwrap_used, reason = "a panic fails the test with a message")]

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_server::{
    BodySource, Listener, Refusal, RequestHead, Response, RouteSet, Router, ServerError, Settings, body,
    run_server,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(20);

/// A body of numbered lines. `end` is the number of lines; after these, `Ok` ends the body, and `Err` makes it fail.
struct Lines {
    next: u32,
    end: Result<u32, u32>,
}

impl BodySource for Lines {
    async fn next_chunk(&mut self) -> Result<Option<Bytes>, Refusal> {
        let number = self.next;
        self.next += 1;
        // Like a real source, lets the server send the previous chunk while the next one is read.
        tokio::task::yield_now().await;
        match self.end {
            Ok(end) if number == end => Ok(None),
            Err(broken) if number == broken => Err(Refusal::internal("the source is gone")),
            _ => Ok(Some(format!("line {number}\n").into())),
        }
    }
}

async fn lines(end: Result<u32, u32>) -> Result<Response, Refusal> {
    let mut lines = Lines { next: 0, end };
    let first = lines.next_chunk().await?;
    Ok(Response::new(body::chunks(first, lines)))
}

#[expect(clippy::panic, reason = "tests that the server survives it")]
async fn panics(_head: RequestHead) -> Result<Response, Refusal> {
    panic!("a fault of a handler")
}

fn logs() -> RouteSet {
    RouteSet::new("logs are at /logs/NAME")
        .prefix("/logs/", |_head| lines(Ok(3)))
        .exact("/logs/broken", |_head| lines(Err(2)))
        .exact("/logs/missing", |_head| lines(Err(0)))
}

fn metrics() -> RouteSet {
    let up = |_head| async { Ok(Response::new(body::whole("up 1\n"))) };
    RouteSet::new("metrics are at /metrics").exact("/metrics", up).exact("/panics", panics)
}

async fn start() -> (SocketAddr, JoinHandle<()>) {
    let settings = Settings::new("127.0.0.1:0".parse().unwrap(), "listen", vec!["duckie".to_owned()]);
    let listener = Listener::bind(settings).await.unwrap();
    let address = listener.address().unwrap();
    let router = Router::new(vec![logs(), metrics()]).unwrap();
    let serving = tokio::spawn(async move {
        listener.serve(router).await;
    });
    (address, serving)
}

/// Sends a request on a connection of its own and returns everything until the server closes it.
async fn ask(server: SocketAddr, line: &str, host: &str) -> String {
    let mut stream = TcpStream::connect(server).await.unwrap();
    let head = format!("{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset also ends the answer.
    let _ = timeout(SOON, stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn services_share_one_server() {
    let (server, _serving) = start().await;
    let metrics = ask(server, "GET /metrics", "localhost").await;
    assert!(metrics.starts_with("HTTP/1.1 200 OK\r\n") && metrics.ends_with("\r\n\r\nup 1\n"), "{metrics}");
    assert!(metrics.contains("x-content-type-options: nosniff\r\n"), "{metrics}");
    let logs = ask(server, "GET /logs/a", "duckie.local").await;
    assert!(logs.contains("line 0\n") && logs.contains("line 2\n") && logs.ends_with("0\r\n\r\n"), "{logs}");
    let head = ask(server, "HEAD /metrics", "127.0.0.1").await;
    assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
    let nothing = ask(server, "GET /", "localhost").await;
    assert!(nothing.starts_with("HTTP/1.1 404"), "{nothing}");
    assert!(nothing.ends_with("logs are at /logs/NAME; metrics are at /metrics\n"), "{nothing}");
}

#[tokio::test]
async fn requests_for_other_hosts_are_refused_on_every_route() {
    let (server, _serving) = start().await;
    for path in ["/metrics", "/logs/a", "/"] {
        let answer = ask(server, &format!("GET {path}"), "evil.example").await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{path}: {answer}");
    }
    let posted = ask(server, "POST /metrics", "localhost").await;
    assert!(posted.starts_with("HTTP/1.1 405") && posted.contains("allow: GET, HEAD\r\n"), "{posted}");
}

#[tokio::test]
async fn a_client_notices_that_a_body_is_incomplete() {
    let (server, _serving) = start().await;
    let broken = ask(server, "GET /logs/broken", "localhost").await;
    assert!(broken.starts_with("HTTP/1.1 200") && broken.contains("line 1\n"), "{broken}");
    assert!(!broken.ends_with("0\r\n\r\n"), "{broken}");
    // If not even the first chunk is available, the status is 500.
    let missing = ask(server, "GET /logs/missing", "localhost").await;
    assert!(missing.starts_with("HTTP/1.1 500") && missing.ends_with("the source is gone\n"), "{missing}");
}

#[tokio::test]
async fn a_handler_that_panics_closes_only_its_own_connection() {
    let (server, _serving) = start().await;
    assert_eq!(ask(server, "GET /panics", "localhost").await, "");
    assert!(ask(server, "GET /metrics", "localhost").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn the_end_of_the_server_closes_its_connections() {
    let (server, serving) = start().await;
    let mut idle = TcpStream::connect(server).await.unwrap();
    assert!(ask(server, "GET /metrics", "localhost").await.starts_with("HTTP/1.1 200"));
    serving.abort();
    assert_eq!(timeout(SOON, idle.read(&mut [0])).await.unwrap().unwrap_or(0), 0);
    assert!(TcpStream::connect(server).await.is_err());
}

#[tokio::test]
async fn a_server_with_two_handlers_of_one_pattern_does_not_start() {
    let settings = Settings::new("127.0.0.1:0".parse().unwrap(), "listen", Vec::new());
    let error = run_server(settings, vec![metrics(), logs(), metrics()]).await.unwrap_err();
    assert!(matches!(&error, ServerError::Routes(error) if error.pattern == "/metrics"), "{error}");
}
