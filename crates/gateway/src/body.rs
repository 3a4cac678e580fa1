//! Bodies that are made while they are sent, piece by piece, as fast as the client takes them.
use bytes::Bytes;
use futures::{Stream, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;

use crate::refusal::Refusal;

/// The body of an answer. An error ends the connection, so that nobody takes a part for the whole.
pub(crate) type Body = UnsyncBoxBody<Bytes, Refusal>;

/// What gives one piece after the other.
pub(crate) trait Pieces: Send + 'static {
    /// The next piece, which is not empty; none at the end.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, Refusal>> + Send;
}

/// A body that is known whole.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A body of pieces, the first of which is here already.
pub(crate) fn pieces(first: Option<Bytes>, rest: impl Pieces) -> Body {
    StreamBody::new(stream::unfold(State { first, rest: Some(rest) }, State::step)).boxed_unsync()
}

/// A body of pieces for which nothing is waited.
pub(crate) fn ready(pieces: impl Stream<Item = Bytes> + Send + 'static) -> Body {
    use futures::StreamExt as _;
    StreamBody::new(pieces.map(|piece| Ok(Frame::data(piece)))).boxed_unsync()
}

struct State<P> {
    first: Option<Bytes>,
    /// None after an error.
    rest: Option<P>,
}

impl<P: Pieces> State<P> {
    async fn step(mut self) -> Option<(Result<Frame<Bytes>, Refusal>, Self)> {
        let next = match (self.first.take(), &mut self.rest) {
            (Some(first), _) => Ok(first),
            (None, None) => return None,
            (None, Some(rest)) => rest.next().await.transpose()?,
        };
        if let Err(refusal) = &next {
            tracing::debug!(%refusal, "an answer broke off");
            self.rest = None;
        }
        Some((next.map(Frame::data), self))
    }
}
