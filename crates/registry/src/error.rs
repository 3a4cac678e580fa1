//! Answers that say why there is no content, in the form that the specification demands.

use crate::name::NameError;
use crate::source::SourceError;
use http::{HeaderValue, StatusCode, header};
use http_server::{Refusal, Response, body};
use serde::Serialize;

/// A request that is not fulfilled.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Problem {
    pub status: StatusCode,
    /// Code of the specification.
    pub code: &'static str,
    pub message: String,
}

#[derive(Serialize)]
struct Document {
    errors: [Entry; 1],
}

#[derive(Serialize)]
struct Entry {
    code: &'static str,
    message: String,
}

impl Problem {
    pub(crate) fn missing(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, code, message: message.into() }
    }

    /// Returns the problem of a source. `code` says what was wanted.
    pub(crate) fn of_source(error: &SourceError, code: &'static str) -> Self {
        let status = match error {
            SourceError::Missing => StatusCode::NOT_FOUND,
            SourceError::Stalled { .. } => StatusCode::GATEWAY_TIMEOUT,
            SourceError::Failed(_) => StatusCode::BAD_GATEWAY,
        };
        Self { status, code, message: error.to_string() }
    }

    pub(crate) fn response(self) -> Result<Response, Refusal> {
        let document = Document { errors: [Entry { code: self.code, message: self.message }] };
        let text = serde_json::to_vec(&document).map_err(|error| Refusal::internal(error.to_string()))?;
        let mut response = Response::new(body::whole(text));
        *response.status_mut() = self.status;
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        Ok(response)
    }
}

impl From<NameError> for Problem {
    fn from(error: NameError) -> Self {
        let code = match error {
            NameError::Repository => "NAME_INVALID",
            NameError::Tag => "MANIFEST_INVALID",
            NameError::Digest => "DIGEST_INVALID",
        };
        Self { status: StatusCode::BAD_REQUEST, code, message: error.to_string() }
    }
}
