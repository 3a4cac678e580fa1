//! Bodies of answers. A body may be produced while it is sent, at the rate at which the client reads it.
use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;

use crate::refusal::Refusal;

/// The body of an answer. An error closes the connection, so that the client notices that the body is incomplete.
pub type Body = UnsyncBoxBody<Bytes, Refusal>;

/// A producer of a body, chunk by chunk.
pub trait BodySource: Send + 'static {
    /// Returns the next chunk, which must not be empty, or `None` at the end.
    ///
    /// # Errors
    /// Returns an error if the body cannot be continued.
    fn next_chunk(&mut self) -> impl Future<Output = Result<Option<Bytes>, Refusal>> + Send;
}

/// Creates a body from bytes in memory.
pub fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// Creates a body from a stream of chunks that cannot fail.
pub fn stream(chunks: impl Stream<Item = Bytes> + Send + 'static) -> Body {
    StreamBody::new(chunks.map(|chunk| Ok(Frame::data(chunk)))).boxed_unsync()
}

/// Creates a body from a source whose first chunk was already taken.
///
/// A handler that takes the first chunk before it answers can still choose another status if that fails.
pub fn chunks(first: Option<Bytes>, rest: impl BodySource) -> Body {
    StreamBody::new(stream::unfold(Unsent { first, rest: Some(rest) }, Unsent::step)).boxed_unsync()
}

/// The remaining part of a body that is being sent.
struct Unsent<S> {
    first: Option<Bytes>,
    /// `None` after an error.
    rest: Option<S>,
}

impl<S: BodySource> Unsent<S> {
    async fn step(mut self) -> Option<(Result<Frame<Bytes>, Refusal>, Self)> {
        let next = match (self.first.take(), &mut self.rest) {
            (Some(first), _) => Ok(first),
            (None, None) => return None,
            (None, Some(rest)) => rest.next_chunk().await.transpose()?,
        };
        if let Err(refusal) = &next {
            tracing::debug!(%refusal, "the body of an answer could not be completed; the connection is closed");
            self.rest = None;
        }
        Some((next.map(Frame::data), self))
    }
}
