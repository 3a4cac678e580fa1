//! The daemon's side.

use crate::{Answer, Door, Failure, FailureKind, MAX_REQUEST_BYTES, Request, parse_request};
use futures::{SinkExt as _, StreamExt as _};
use std::convert::Infallible;
use std::io;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio_util::codec::{AnyDelimiterCodec, Framed};

/// The most connections at a time; each costs its buffers.
const MAX_CONNECTIONS: usize = 16;
/// How long one may be without a request, or leave an answer unread.
const IDLE: Duration = Duration::from_secs(60);

type Lines = Framed<UnixStream, AnyDelimiterCodec>;

/// Takes connections at `door` and answers their requests with `handler`, until it is dropped; ends only with an error.
/// Only the user as whom this process runs, and root, are answered.
///
/// # Errors
/// When the system takes no connections any more.
pub async fn serve<H, F>(door: Door, handler: H) -> io::Result<Infallible>
where
    H: Fn(Request) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Answer, Failure>> + Send + 'static,
{
    serve_patiently(door, handler, IDLE).await
}

async fn serve_patiently<H, F>(door: Door, handler: H, idle: Duration) -> io::Result<Infallible>
where
    H: Fn(Request) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Answer, Failure>> + Send + 'static,
{
    // Dropped, and so ended, together with this future.
    let mut connections = JoinSet::new();
    loop {
        // A connection over the limit waits its turn with the system, which bounds their number.
        let has_room = connections.len() < MAX_CONNECTIONS;
        tokio::select! {
            accepted = door.listener.accept(), if has_room => {
                let (stream, _) = accepted?;
                if is_owner(&stream) {
                    connections.spawn(converse(stream, handler.clone(), idle));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// The socket's mode says the same; but a mode can be changed by a slip.
fn is_owner(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    let peer = stream.peer_cred().map(|credentials| credentials.uid());
    let is_owner = peer.as_ref().is_ok_and(|peer| may_speak(*peer, own));
    if !is_owner {
        tracing::warn!(?peer, "somebody else than this daemon's user tried to use its control socket");
    }
    is_owner
}

fn may_speak(peer: u32, own: u32) -> bool {
    peer == own || peer == 0
}

async fn converse<H, F>(stream: UnixStream, handler: H, idle: Duration)
where
    H: Fn(Request) -> F,
    F: Future<Output = Result<Answer, Failure>>,
{
    let codec = AnyDelimiterCodec::new_with_max_length(b"\n".into(), b"\n".into(), MAX_REQUEST_BYTES + 1);
    let mut lines = Framed::new(stream, codec);
    while let Ok(Some(line)) = tokio::time::timeout(idle, lines.next()).await {
        let Ok(line) = line else {
            // A line without end: where the next one begins nobody knows.
            let failure = Failure::new(FailureKind::Wrong, "a request that is too long, or a broken line");
            let _ = answer(&mut lines, Answer::Failure(failure), idle).await;
            return;
        };
        let result = match parse_request(&line) {
            Ok(request) => handler(request).await,
            Err(error) => Err(Failure::new(FailureKind::Wrong, error)),
        };
        if answer(&mut lines, result.unwrap_or_else(Answer::Failure), idle).await.is_none() {
            return;
        }
    }
}

async fn answer(lines: &mut Lines, answer: Answer, patience: Duration) -> Option<()> {
    tokio::time::timeout(patience, lines.send(answer.encode())).await.ok()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Client, ClientError};
    use std::io::{Read as _, Write as _};
    use std::path::{Path, PathBuf};

    const PATIENCE: Duration = Duration::from_secs(20);

    /// A server that joins only what is called `good`, in a folder of its own.
    struct Served {
        _folder: tempfile::TempDir,
        path: PathBuf,
        task: tokio::task::JoinHandle<io::Result<Infallible>>,
    }

    impl Served {
        fn new(idle: Duration) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("control.sock");
            let door = Door::open(&path).unwrap();
            let handler = |request| async move {
                match request {
                    Request::Join { swarm } if swarm == "good" => Ok(Answer::Done {}),
                    _ => Err(Failure::new(FailureKind::Refused, "not that")),
                }
            };
            Self { _folder: folder, path, task: tokio::spawn(serve_patiently(door, handler, idle)) }
        }
    }

    /// Blocking work beside the server.
    async fn beside<T: Send + 'static>(path: &Path, work: impl FnOnce(PathBuf) -> T + Send + 'static) -> T {
        let path = path.to_owned();
        tokio::task::spawn_blocking(move || work(path)).await.unwrap()
    }

    #[tokio::test]
    async fn answers_each_request_and_says_what_is_wrong() {
        let served = Served::new(PATIENCE);
        beside(&served.path, |path| {
            let mut client = Client::connect(&path, PATIENCE).unwrap();
            assert_eq!(client.ask(&Request::Join { swarm: "good".into() }).unwrap(), Answer::Done {});
            let refused = client.ask(&Request::Leave {}).unwrap_err();
            assert!(matches!(refused, ClientError::Failure(failure) if failure.words == "not that"));
            // A request that makes no sense costs only itself.
            let none = Request::Say { words: Vec::new(), anyway: false };
            let wrong = client.ask(&none).unwrap_err();
            assert!(matches!(wrong, ClientError::Failure(failure) if failure.kind == FailureKind::Wrong));
            assert_eq!(client.ask(&Request::Join { swarm: "good".into() }).unwrap(), Answer::Done {});
        })
        .await;
        served.task.abort();
    }

    fn read_to_end(mut stream: std::os::unix::net::UnixStream) -> String {
        let mut text = String::new();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // A server that closes while there is still something to be read of ours resets the connection.
        let _ = stream.read_to_string(&mut text);
        text
    }

    #[tokio::test]
    async fn a_line_without_end_and_an_idle_connection_are_closed() {
        let served = Served::new(Duration::from_millis(200));
        beside(&served.path, |path| {
            let connect = || std::os::unix::net::UnixStream::connect(&path).unwrap();
            let mut endless = connect();
            let _ = endless.write_all(&vec![b'x'; 4 * MAX_REQUEST_BYTES]);
            assert!(read_to_end(endless).contains("\"wrong\""));
            assert_eq!(read_to_end(connect()), "", "an idle one");
        })
        .await;
        served.task.abort();
    }

    #[tokio::test]
    async fn those_over_the_limit_wait_for_a_place() {
        let served = Served::new(PATIENCE);
        beside(&served.path, |path| {
            let mut clients: Vec<Client> =
                (0..MAX_CONNECTIONS).map(|_| Client::connect(&path, PATIENCE).unwrap()).collect();
            let join = Request::Join { swarm: "good".into() };
            assert!(clients.iter_mut().all(|client| client.ask(&join).is_ok()));
            let mut hasty = Client::connect(&path, Duration::from_millis(200)).unwrap();
            assert!(matches!(hasty.ask(&join), Err(ClientError::Silent(..))));
            drop(hasty);
            let mut patient = Client::connect(&path, PATIENCE).unwrap();
            drop(clients);
            assert_eq!(patient.ask(&join).unwrap(), Answer::Done {});
        })
        .await;
        served.task.abort();
    }

    #[tokio::test]
    async fn a_daemon_that_stops_is_no_riddle() {
        let served = Served::new(PATIENCE);
        let mut client = beside(&served.path, |path| Client::connect(&path, PATIENCE).unwrap()).await;
        served.task.abort();
        let _ = served.task.await;
        let asked = client.ask(&Request::Leave {}).unwrap_err();
        assert!(matches!(asked, ClientError::Closed(_)), "{asked}");
        assert!(matches!(Client::connect(&served.path, PATIENCE), Err(ClientError::Absent(..))));
    }

    #[test]
    fn only_the_owner_and_root_may_speak() {
        assert!(may_speak(1000, 1000) && may_speak(0, 1000) && may_speak(0, 0));
        assert!(!may_speak(1001, 1000) && !may_speak(1000, 0));
    }
}
