//! The HTTP client of S3: one connection at a time, limits on every wait and every answer, and no redirects.
//!
//! `object_store` can bring a client of its own. That one follows redirects, reads answers of any length, limits the time of
//! a whole request instead of the time without progress, and has no rate limit.

use super::answer::{self, Refusal};
use super::link::LinkError;
use crate::pace::Pace;
use async_trait::async_trait;
use bytes::{Buf as _, Bytes};
use http::header::{CONTENT_RANGE, HOST};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Limited};
use http_client::{ConnectError, Connector, host, origin_form};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse,
    HttpService,
};
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

/// Maximum size of an answer, in bytes, that is not the content of an object.
const MAX_ANSWER_BYTES: usize = 1 << 20;
/// Bytes of a request that are sent at a time, each under the rate limit.
const PIECE_BYTES: usize = 16 << 10;
/// Maximum time for which an unused connection is kept. Storages close them after a minute or less.
const MAX_IDLE: Duration = Duration::from_secs(20);

/// Time limits of a request. They limit the time without progress, so that a slow link can take as long as it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Maximum time for the look-up of the name, for each connection, and for each TLS handshake.
    pub connect: Duration,
    /// Maximum time in which no byte of a request can be sent.
    pub stall: Duration,
    /// Maximum time from the last byte of a request to its answer. The system and the routers may still hold data then,
    /// which a slow link takes minutes to carry; and a storage takes a while to complete a large object.
    pub answer: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { connect: seconds(15), stall: seconds(60), answer: seconds(180) }
    }
}

/// The client. A clone refers to the same connection.
#[derive(Clone)]
pub(super) struct Client(Arc<Inner>);

struct Inner {
    connector: Connector,
    patience: Patience,
    pace: Pace,
    idle: Mutex<Option<Connection>>,
}

struct Connection {
    sender: SendRequest<PacedBody>,
    since: Instant,
    /// The task that moves the bytes. It ends with the connection.
    _task: AbortOnDropHandle<()>,
}

impl fmt::Debug for Client {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    pub(super) fn new(connector: Connector, patience: Patience, pace: Pace) -> Self {
        Self(Arc::new(Inner { connector, patience, pace, idle: Mutex::new(None) }))
    }

    /// Sends a request and returns the answer with its whole body.
    ///
    /// # Errors
    /// Returns a [`LinkError`] if there is no answer, and a [`Refusal`] if its status is not one of success.
    pub(super) async fn send(&self, request: HttpRequest) -> Result<Response<Bytes>, HttpError> {
        let (mut parts, body) = request.into_parts();
        let method = parts.method.clone();
        let limit = limit(&parts.method, &parts.headers);
        let host = host(&parts.uri).ok_or_else(|| unusable(ConnectError::Address(parts.uri.to_string())))?;
        parts.headers.insert(HOST, host);
        let uri = std::mem::take(&mut parts.uri);
        parts.uri = origin_form(&uri);
        let mut connection = match self.take_idle() {
            Some(connection) => connection,
            None => self.connect(&uri).await?,
        };
        let progress = Arc::new(Mutex::new(Moved { last: Instant::now(), is_all: body.is_end_stream() }));
        let body = PacedBody::new(body, self.0.pace.clone(), progress.clone());
        let sending = connection.sender.send_request(Request::from_parts(parts, body));
        let answer = self.within_patience(sending, &progress).await?;
        let answer = self.read(answer, limit).await?;
        connection.since = Instant::now();
        *self.idle() = Some(connection);
        answer::check(&method, answer)
            .map_err(|refusal: Refusal| HttpError::new(HttpErrorKind::Unknown, refusal))
    }

    fn idle(&self) -> MutexGuard<'_, Option<Connection>> {
        // The slot is consistent at every point, so a poisoned lock is safe to use.
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_idle(&self) -> Option<Connection> {
        self.idle().take().filter(|idle| idle.since.elapsed() < MAX_IDLE && idle.sender.is_ready())
    }

    async fn connect(&self, uri: &Uri) -> Result<Connection, HttpError> {
        let stream = self.0.connector.connect(uri, self.0.patience.connect).await.map_err(unusable)?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // An error of the connection is also an error of its request.
        let task = AbortOnDropHandle::new(tokio::spawn(async move { drop(connection.await) }));
        sender.ready().await.map_err(broken)?;
        Ok(Connection { sender, since: Instant::now(), _task: task })
    }

    /// Waits for the head of the answer, as long as the request makes progress.
    async fn within_patience(
        &self,
        sending: impl Future<Output = hyper::Result<Response<Incoming>>>,
        progress: &Mutex<Moved>,
    ) -> Result<Response<Incoming>, HttpError> {
        let Patience { stall, answer, .. } = self.0.patience;
        let mut sending = std::pin::pin!(sending);
        loop {
            // `PacedBody` moves the time into the future while the rate limit makes it wait.
            let moved = *progress.lock().unwrap_or_else(PoisonError::into_inner);
            let patience = if moved.is_all { answer } else { stall };
            tokio::select! {
                answered = &mut sending => return answered.map_err(broken),
                () = sleep_until(moved.last + patience) => {
                    if *progress.lock().unwrap_or_else(PoisonError::into_inner) == moved {
                        return Err(LinkError::Silent(patience).http());
                    }
                }
            }
        }
    }

    async fn read(&self, answer: Response<Incoming>, limit: usize) -> Result<Response<Bytes>, HttpError> {
        let patience = self.0.patience.answer;
        let (parts, body) = answer.into_parts();
        let mut body = Limited::new(body, limit);
        let mut content = Vec::new();
        loop {
            let frame =
                timeout(patience, body.frame()).await.map_err(|_| LinkError::Silent(patience).http())?;
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|error| match error.downcast::<hyper::Error>() {
                Ok(error) => broken(*error),
                Err(_) => LinkError::TooLong(limit).http(),
            })?;
            if let Ok(data) = frame.into_data() {
                content.extend_from_slice(&data);
            }
        }
        Ok(Response::from_parts(parts, content.into()))
    }
}

/// Returns the maximum size of an answer. The answer to a request for a range is at most as long as the range.
fn limit(method: &Method, headers: &http::HeaderMap) -> usize {
    let range = headers.get(http::header::RANGE).and_then(|range| range.to_str().ok()).unwrap_or_default();
    let ends = range.strip_prefix("bytes=").and_then(|range| range.split_once('-'));
    let length =
        ends.and_then(|(from, to)| to.parse::<u64>().ok()?.checked_sub(from.parse().ok()?)?.checked_add(1));
    match length.and_then(|length| usize::try_from(length).ok()) {
        Some(length) if *method == Method::GET => length.max(MAX_ANSWER_BYTES),
        _ => MAX_ANSWER_BYTES,
    }
}

fn unusable(error: ConnectError) -> HttpError {
    LinkError::Connect(error).http()
}

fn broken(error: hyper::Error) -> HttpError {
    LinkError::Broken(error).http()
}

#[async_trait]
impl HttpService for Client {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let method = request.method().clone();
        let (parts, body) = self.send(request).await?.into_parts();
        if parts.status == StatusCode::PARTIAL_CONTENT && !parts.headers.contains_key(CONTENT_RANGE) {
            return Err(LinkError::NoRange.http());
        }
        tracing::trace!(%method, status = %parts.status, bytes = body.len(), "answer of the storage");
        Ok(HttpResponse::from_parts(parts, body.into()))
    }
}

impl HttpConnector for Client {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

/// How far a request is.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Moved {
    /// Time at which its last piece was sent.
    last: Instant,
    /// Whether that was the last one of all.
    is_all: bool,
}

/// The body of a request, in pieces under the rate limit.
pub(super) struct PacedBody {
    body: HttpRequestBody,
    left: Bytes,
    pace: Pace,
    /// Wait for the next piece, which is paid for already.
    wait: Option<(usize, Pin<Box<Sleep>>)>,
    progress: Arc<Mutex<Moved>>,
}

impl PacedBody {
    fn new(body: HttpRequestBody, pace: Pace, progress: Arc<Mutex<Moved>>) -> Self {
        Self { body, left: Bytes::new(), pace, wait: None, progress }
    }

    fn note(&self, last: Instant) {
        let is_all = self.is_end_stream();
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = Moved { last, is_all };
    }
}

impl Body for PacedBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        while self.left.is_empty() {
            match std::task::ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => self.left = frame.into_data().unwrap_or_default(),
                other => return Poll::Ready(other),
            }
        }
        let piece = match self.wait.take() {
            Some(wait) => wait,
            None => {
                let piece = self.left.remaining().min(PIECE_BYTES);
                let at = self.pace.take(piece);
                self.note(at.max(Instant::now()));
                (piece, Box::pin(sleep_until(at)))
            }
        };
        let (length, mut sleep) = piece;
        if sleep.as_mut().poll(context).is_pending() {
            self.wait = Some((length, sleep));
            return Poll::Pending;
        }
        let piece = self.left.split_to(length);
        self.note(Instant::now());
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.left.len() as u64;
        SizeHint::with_exact(left + self.body.size_hint().exact().unwrap_or_default())
    }
}
