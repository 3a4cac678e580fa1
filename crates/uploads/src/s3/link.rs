//! Errors of requests to the endpoint.

use http_client::ConnectError;
use object_store::client::{HttpError, HttpErrorKind};
use std::time::Duration;

/// Reason why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    #[error("{0}")]
    Connect(ConnectError),
    #[error("nothing happened for {0:?}")]
    Silent(Duration),
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    #[error("a part of an object has no position")]
    NoRange,
    #[error(transparent)]
    Broken(hyper::Error),
}

impl LinkError {
    /// Wraps the error so that `object_store` returns it without another attempt: the plan decides about those.
    pub(super) fn http(self) -> HttpError {
        HttpError::new(HttpErrorKind::Unknown, self)
    }
}
