//! The server of the control socket.

use crate::{AnswerFrame, Failure, FailureKind, Listener, MAX_REQUEST_BYTES, RequestFrame};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::value::RawValue;
use std::convert::Infallible;
use std::io;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio_util::codec::{AnyDelimiterCodec, Framed};

/// Maximum number of connections at a time. Each takes the memory of one request and one answer.
const MAX_CONNECTIONS: usize = 16;
/// Timeout of a connection that sends no request or does not read its answer.
const IDLE: Duration = Duration::from_secs(60);

type Lines = Framed<UnixStream, AnyDelimiterCodec>;

/// The result of a request: the answer in JSON, or the reason why there is none.
pub type Reply = Result<Box<RawValue>, Failure>;

/// Accepts connections at `listener`, and answers their requests with `handler`, until the future is dropped.
///
/// Only clients of the user of this process, and of root, are answered.
///
/// # Errors
/// Returns only if the operating system cannot accept connections any more.
pub async fn serve<H, F>(listener: Listener, handler: H) -> io::Result<Infallible>
where
    H: Fn(RequestFrame) -> F + Clone + Send + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    serve_with_idle_limit(listener, handler, IDLE).await
}

async fn serve_with_idle_limit<H, F>(listener: Listener, handler: H, idle: Duration) -> io::Result<Infallible>
where
    H: Fn(RequestFrame) -> F + Clone + Send + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    // The connections end when this future is dropped.
    let mut connections = JoinSet::new();
    loop {
        // A connection over the limit waits in the operating system's bounded queue.
        let has_room = connections.len() < MAX_CONNECTIONS;
        tokio::select! {
            accepted = listener.accept(), if has_room => {
                connections.spawn(serve_connection(accepted?, handler.clone(), idle));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve_connection<H, F>(stream: UnixStream, handler: H, idle: Duration)
where
    H: Fn(RequestFrame) -> F,
    F: Future<Output = Reply>,
{
    let codec = AnyDelimiterCodec::new_with_max_length(b"\n".into(), b"\n".into(), MAX_REQUEST_BYTES + 1);
    let mut lines = Framed::new(stream, codec);
    while let Ok(Some(line)) = tokio::time::timeout(idle, lines.next()).await {
        let Ok(line) = line else {
            // The line did not end within the limit, so the start of the next line is unknown.
            let failure = Failure::new(FailureKind::Wrong, "the request is too long, or could not be read");
            let _ = send(&mut lines, AnswerFrame::Failure(failure), idle).await;
            return;
        };
        let reply = match RequestFrame::parse(&line) {
            Ok(request) => handler(request).await,
            Err(error) => Err(Failure::new(FailureKind::Wrong, error)),
        };
        let frame = reply.map_or_else(AnswerFrame::Failure, AnswerFrame::Answer);
        if send(&mut lines, frame, idle).await.is_none() {
            return;
        }
    }
}

async fn send(lines: &mut Lines, frame: AnswerFrame, limit: Duration) -> Option<()> {
    tokio::time::timeout(limit, lines.send(frame.encode())).await.ok()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Client, ClientError, Protocol, raw};
    use std::io::{Read as _, Write as _};
    use std::path::{Path, PathBuf};

    const PATIENCE: Duration = Duration::from_secs(20);

    struct Echo;
    impl Protocol for Echo {
        const NAME: &'static str = "echo";
        type Request = String;
        type Answer = String;
    }

    fn request(text: &str) -> String {
        text.to_owned()
    }

    /// A server in a temporary folder that accepts only the request `good`.
    struct Served {
        _folder: tempfile::TempDir,
        path: PathBuf,
        task: tokio::task::JoinHandle<io::Result<Infallible>>,
    }

    impl Served {
        fn new(idle: Duration) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("control.sock");
            let listener = Listener::open(&path).unwrap();
            let handler = |frame: RequestFrame| async move {
                match (frame.service.as_str(), frame.request.get()) {
                    ("echo", "\"good\"") => Ok(raw(&"good")),
                    _ => Err(Failure::new(FailureKind::Refused, "not that")),
                }
            };
            let task = tokio::spawn(serve_with_idle_limit(listener, handler, idle));
            Self { _folder: folder, path, task }
        }
    }

    /// Runs blocking work in a thread, while the server runs.
    async fn beside<T: Send + 'static>(path: &Path, work: impl FnOnce(PathBuf) -> T + Send + 'static) -> T {
        let path = path.to_owned();
        tokio::task::spawn_blocking(move || work(path)).await.unwrap()
    }

    #[tokio::test]
    async fn each_request_is_answered_or_refused_with_a_reason() {
        let served = Served::new(PATIENCE);
        beside(&served.path, |path| {
            let mut client = Client::connect(&path, PATIENCE).unwrap();
            assert_eq!(client.call::<Echo>(&request("good")).unwrap(), "good");
            let refused = client.call::<Echo>(&request("bad")).unwrap_err();
            assert!(matches!(refused, ClientError::Failure(failure) if failure.message == "not that"));
            // A malformed line does not end the connection.
            let wrong = client.send("{}").unwrap_err();
            assert!(matches!(wrong, ClientError::Failure(failure) if failure.kind == FailureKind::Wrong));
            assert_eq!(client.call::<Echo>(&request("good")).unwrap(), "good");
        })
        .await;
        served.task.abort();
    }

    fn read_to_end(mut stream: std::os::unix::net::UnixStream) -> String {
        let mut text = String::new();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // A server that closes the connection before it has read all our bytes resets it.
        let _ = stream.read_to_string(&mut text);
        text
    }

    #[tokio::test]
    async fn endless_lines_and_idle_connections_are_closed() {
        let served = Served::new(Duration::from_millis(200));
        beside(&served.path, |path| {
            let connect = || std::os::unix::net::UnixStream::connect(&path).unwrap();
            let mut endless = connect();
            let _ = endless.write_all(&vec![b'x'; 4 * MAX_REQUEST_BYTES]);
            assert!(read_to_end(endless).contains("\"wrong\""));
            assert_eq!(read_to_end(connect()), "", "an idle connection");
        })
        .await;
        served.task.abort();
    }

    #[tokio::test]
    async fn a_connection_over_the_limit_waits_until_another_one_ends() {
        let served = Served::new(PATIENCE);
        beside(&served.path, |path| {
            let mut clients: Vec<Client> =
                (0..MAX_CONNECTIONS).map(|_| Client::connect(&path, PATIENCE).unwrap()).collect();
            let good = request("good");
            assert!(clients.iter_mut().all(|client| client.call::<Echo>(&good).is_ok()));
            let mut hasty = Client::connect(&path, Duration::from_millis(200)).unwrap();
            assert!(matches!(hasty.call::<Echo>(&good), Err(ClientError::Silent(..))));
            drop(hasty);
            let mut patient = Client::connect(&path, PATIENCE).unwrap();
            drop(clients);
            assert_eq!(patient.call::<Echo>(&good).unwrap(), "good");
        })
        .await;
        served.task.abort();
    }

    #[tokio::test]
    async fn a_daemon_that_stops_is_reported_as_closed() {
        let served = Served::new(PATIENCE);
        let mut client = beside(&served.path, |path| Client::connect(&path, PATIENCE).unwrap()).await;
        served.task.abort();
        let _ = served.task.await;
        let asked = client.call::<Echo>(&request("good")).unwrap_err();
        assert!(matches!(asked, ClientError::Closed(_)), "{asked}");
        assert!(matches!(Client::connect(&served.path, PATIENCE), Err(ClientError::Absent(..))));
    }
}
