//! Accepts connections, limits their number, and serves each of them.
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::check::ClientAddress;
use crate::router::Router;
use crate::settings::Settings;
use crate::write_timeout::WriteTimeout;

/// Maximum number of connections at one time. Further connections wait until one ends.
const MAX_CONNECTIONS: usize = 64;
/// Maximum number of connections of one host at one time: half of all, so that one host cannot shut out the others.
const MAX_CONNECTIONS_PER_HOST: usize = 32;
/// Maximum size of a connection's buffers, in bytes. It limits the size of a request's head. It also limits the unsent
/// bytes of an answer: while there are more, no further chunk of the body is read.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// Maximum number of headers of a request.
const MAX_HEADERS: usize = 64;
/// Timeout for receiving the head of a request, including the idle time before it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Time to wait before accepting again after the operating system refused a connection, for example for lack of file
/// descriptors.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(200);

const TOO_MANY: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\
    X-Content-Type-Options: nosniff\r\nContent-Security-Policy: sandbox\r\n\
    Cross-Origin-Resource-Policy: same-origin\r\nReferrer-Policy: no-referrer\r\nConnection: close\r\n\r\n";

/// The state that all connections share.
struct ServerState {
    settings: Settings,
    router: Router,
}

/// Accepts connections, and serves each of them with the router.
pub(crate) async fn serve(socket: TcpListener, settings: Settings, router: Router) -> Infallible {
    let mut connections = Connections::default();
    let state = Arc::new(ServerState { settings, router });
    loop {
        tokio::select! {
            accepted = socket.accept(), if connections.tasks.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, from)) => connections.admit(stream, from.ip(), state.clone()),
                Err(error) => back_off(&error).await,
            },
            Some(ended) = connections.tasks.join_next_with_id() => connections.remove(ended.map(|(id, ())| id)),
        }
    }
}

/// Waits after a failure to accept a connection, unless only that connection failed.
async fn back_off(error: &std::io::Error) {
    if error.kind() != std::io::ErrorKind::ConnectionAborted {
        tracing::warn!(%error, "the HTTP server cannot accept a connection");
        // Nothing notifies the program when a file descriptor becomes free, so it retries.
        tokio::time::sleep(ACCEPT_BACKOFF).await;
    }
}

/// The connections that are being served.
#[derive(Default)]
struct Connections {
    tasks: JoinSet<()>,
    /// The remote host of each task.
    hosts: BTreeMap<tokio::task::Id, IpAddr>,
}

impl Connections {
    fn admit(&mut self, stream: TcpStream, host: IpAddr, state: Arc<ServerState>) {
        if self.hosts.values().filter(|other| **other == host).count() >= MAX_CONNECTIONS_PER_HOST {
            // The server does not wait until the client reads the answer, because the client may never do so.
            let _ = stream.try_write(TOO_MANY);
            return;
        }
        let task = self.tasks.spawn(serve_connection(stream, ClientAddress(host), state));
        self.hosts.insert(task.id(), host);
    }

    fn remove(&mut self, ended: Result<tokio::task::Id, tokio::task::JoinError>) {
        let id = ended.unwrap_or_else(|error| {
            tracing::error!(%error, "a handler of an HTTP request panicked");
            error.id()
        });
        self.hosts.remove(&id);
    }
}

/// Serves one connection until it ends.
async fn serve_connection(stream: TcpStream, client: ClientAddress, state: Arc<ServerState>) {
    let stream = TokioIo::new(WriteTimeout::new(stream, state.settings.send_timeout));
    let service = service_fn(|request: Request<Incoming>| {
        let state = state.clone();
        async move {
            let (mut head, _body) = request.into_parts();
            head.extensions.insert(client);
            Ok::<_, Infallible>(state.router.answer(head, &state.settings.host_names).await)
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(stream, service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "an HTTP connection ended");
    }
}
