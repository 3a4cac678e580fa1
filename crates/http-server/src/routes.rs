//! Handlers of requests, and the patterns of the paths that they answer.
use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;

use crate::body::Body;
use crate::check::RequestHead;
use crate::refusal::Refusal;

/// An answer to a request. Its body may be produced while it is sent.
pub type Response = http::Response<Body>;

/// A handler of requests. Implemented for asynchronous functions from [`RequestHead`] to an answer.
pub trait Handler: Send + Sync + 'static {
    /// Answers a request whose head has passed [`crate::check_head`]. For `HEAD`, the body of the answer is not sent.
    ///
    /// # Errors
    /// Returns the refusal to answer with.
    fn handle(&self, head: RequestHead) -> impl Future<Output = Result<Response, Refusal>> + Send;
}

impl<F, A> Handler for F
where
    F: Fn(RequestHead) -> A + Send + Sync + 'static,
    A: Future<Output = Result<Response, Refusal>> + Send,
{
    fn handle(&self, head: RequestHead) -> impl Future<Output = Result<Response, Refusal>> + Send {
        self(head)
    }
}

/// An object-safe form of [`Handler`], so that different handlers can be stored together.
pub(crate) trait BoxedHandler: Send + Sync {
    fn handle_boxed(&self, head: RequestHead) -> BoxFuture<'_, Result<Response, Refusal>>;
}

impl<H: Handler> BoxedHandler for H {
    fn handle_boxed(&self, head: RequestHead) -> BoxFuture<'_, Result<Response, Refusal>> {
        Box::pin(self.handle(head))
    }
}

/// The paths that a handler answers. They are compared with the path of the request without decoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// Only this path.
    Exact(&'static str),
    /// All paths that begin with this text.
    Prefix(&'static str),
}

impl Pattern {
    pub(crate) fn matches(self, path: &str) -> bool {
        match self {
            Self::Exact(whole) => path == whole,
            Self::Prefix(prefix) => path.starts_with(prefix),
        }
    }

    /// Orders patterns that match one path: the exact one is the greatest, then the longest prefix.
    pub(crate) fn specificity(self) -> (bool, usize) {
        match self {
            Self::Exact(whole) => (true, whole.len()),
            Self::Prefix(prefix) => (false, prefix.len()),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(whole) => formatter.write_str(whole),
            Self::Prefix(prefix) => write!(formatter, "{prefix}…"),
        }
    }
}

/// A pattern with the handler of its requests.
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) pattern: Pattern,
    pub(crate) handler: Arc<dyn BoxedHandler>,
}

/// The routes of one service.
#[derive(Clone)]
pub struct RouteSet {
    pub(crate) usage: &'static str,
    pub(crate) routes: Vec<Route>,
}

impl RouteSet {
    /// Creates a set without routes.
    ///
    /// `usage` is a message that tells a person which paths exist. A request that no route answers is refused with the
    /// messages of all sets.
    pub fn new(usage: &'static str) -> Self {
        Self { usage, routes: Vec::new() }
    }

    /// Adds a handler for one path, for example `/metrics`.
    #[must_use]
    pub fn exact(self, path: &'static str, handler: impl Handler) -> Self {
        self.with(Pattern::Exact(path), handler)
    }

    /// Adds a handler for all paths that begin with this text, for example `/ipfs/`.
    ///
    /// If several routes match a path, the exact one answers, or else the one with the longest prefix.
    #[must_use]
    pub fn prefix(self, prefix: &'static str, handler: impl Handler) -> Self {
        self.with(Pattern::Prefix(prefix), handler)
    }

    fn with(mut self, pattern: Pattern, handler: impl Handler) -> Self {
        self.routes.push(Route { pattern, handler: Arc::new(handler) });
        self
    }
}

impl fmt::Debug for RouteSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.routes.iter().map(|route| route.pattern)).finish()
    }
}
