//! Answers that give a reason instead of the requested content.
use http::StatusCode;

/// The reason why a request is not fulfilled: a status for programs, and a message for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The status of the answer.
    pub status: StatusCode,
    /// The message, which becomes the body of the answer.
    pub message: String,
}

impl Refusal {
    /// Creates a refusal with this status and message.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// Creates a refusal with status 400: the request is malformed.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// Creates a refusal with status 403: the client may not have the content.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    /// Creates a refusal with status 404: the content does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// Creates a refusal with status 406: the content is not available in the requested format.
    pub fn not_acceptable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_ACCEPTABLE, message)
    }

    /// Creates a refusal with status 500: this program or this host has failed.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    /// Creates a refusal with status 501: the request is valid but not implemented.
    pub fn not_implemented(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, message)
    }
}

/// Status 500: handlers make their own headers, so a malformed header is a bug of this program.
impl From<http::Error> for Refusal {
    fn from(error: http::Error) -> Self {
        Self::internal(error.to_string())
    }
}
