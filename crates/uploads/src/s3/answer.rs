//! Answers of a storage that are not a success, and what they mean.

use super::link::LinkError;
use super::xml;
use crate::credentials::CredentialsError;
use crate::trouble::{MAX_QUOTED, Trouble};
use bytes::Bytes;
use http::{Method, Response, StatusCode};
use http_client::ConnectError;
use std::error::Error;
use std::time::Duration;

/// A status that is not a success, with the code and the message of the storage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.quote())]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) code: Option<String>,
    message: Option<String>,
}

/// Returns an answer with a status of success. S3 also sends errors with such a status, after it began to answer a long
/// *complete*.
pub(super) fn check(method: &Method, answer: Response<Bytes>) -> Result<Response<Bytes>, Refusal> {
    let status = answer.status();
    let (mut code, mut message, mut is_error) = (None, None, false);
    // The answer to GET can be the content of an object.
    if !status.is_success() || *method == Method::POST {
        // A body that is no XML says nothing; the status is enough.
        let _ = xml::read(answer.body().trim_ascii_start(), |path, text| match path {
            [root, name] if root == "Error" && name == "Code" => code = Some(telemetry::clean(text, 64)),
            [root, name] if root == "Error" && name == "Message" => {
                message = Some(telemetry::clean(text, MAX_QUOTED));
            }
            [root] if root == "Error" => is_error = true,
            _ => {}
        });
    }
    if status.is_success() && !is_error { Ok(answer) } else { Err(Refusal { status, code, message }) }
}

impl Refusal {
    fn quote(&self) -> String {
        let Self { status, code, message } = self;
        let code = code.as_deref().map_or_else(|| status.to_string(), |code| format!("{code}, {status}"));
        message.as_ref().map_or_else(|| code.clone(), |message| format!("{code}: {message}"))
    }

    /// Returns the meaning of the refusal.
    fn trouble(&self) -> Trouble {
        let quote = self.quote();
        match self.code.as_deref().unwrap_or_default() {
            "InvalidAccessKeyId"
            | "SignatureDoesNotMatch"
            | "InvalidToken"
            | "ExpiredToken"
            | "TokenRefreshRequired"
            | "InvalidSecurity" => Trouble::CredentialsRefused(quote),
            "RequestTimeTooSkewed" => Trouble::Clock,
            "NoSuchBucket" => Trouble::NoBucket,
            "NoSuchUpload" => Trouble::NoUpload,
            "InvalidPart" | "InvalidPartOrder" | "EntityTooSmall" => Trouble::PartsRefused(quote),
            "PermanentRedirect"
            | "TemporaryRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException" => Trouble::OtherRegion(quote),
            "SlowDown" | "ServiceUnavailable" | "RequestTimeout" | "Busy" | "TooManyRequests" => {
                Trouble::Busy(quote)
            }
            "QuotaExceeded"
            | "InsufficientStorage"
            | "XMinioStorageFull"
            | "XMinioAdminBucketQuotaExceeded"
            | "InsufficientCapacity"
            | "TotalBytesLimitExceeded" => Trouble::Full(quote),
            "NotImplemented" | "MethodNotAllowed" => Trouble::NotSupported(quote),
            _ => self.trouble_of_status(quote),
        }
    }

    fn trouble_of_status(&self, quote: String) -> Trouble {
        match self.status {
            StatusCode::UNAUTHORIZED => Trouble::CredentialsRefused(quote),
            StatusCode::FORBIDDEN => Trouble::Denied(quote),
            StatusCode::INSUFFICIENT_STORAGE => Trouble::Full(quote),
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => Trouble::Busy(quote),
            StatusCode::NOT_IMPLEMENTED | StatusCode::METHOD_NOT_ALLOWED => Trouble::NotSupported(quote),
            status if status.is_redirection() => Trouble::OtherRegion(quote),
            status if status.is_server_error() => Trouble::Failing(quote),
            _ => Trouble::Rejected(quote),
        }
    }
}

/// Returns whether an error says that there is no object. The answer to HEAD has no body, so the status decides.
pub(super) fn is_absent(error: &object_store::Error) -> bool {
    sources(error).any(|error| {
        error.downcast_ref::<Refusal>().is_some_and(|refusal| {
            refusal.status == StatusCode::NOT_FOUND && refusal.code.as_deref() != Some("NoSuchBucket")
        })
    })
}

/// Returns the meaning of an error.
pub(super) fn trouble(error: &(dyn Error + 'static)) -> Trouble {
    for error in sources(error) {
        if let Some(refusal) = error.downcast_ref::<Refusal>() {
            return refusal.trouble();
        }
        if let Some(link) = error.downcast_ref::<LinkError>() {
            return of_link(link);
        }
        if let Some(credentials) = error.downcast_ref::<CredentialsError>() {
            return Trouble::Credentials(credentials.clone());
        }
    }
    Trouble::NotS3(telemetry::clean(&error.to_string(), MAX_QUOTED))
}

fn of_link(link: &LinkError) -> Trouble {
    let copy = |source: &std::io::Error| std::io::Error::new(source.kind(), source.to_string());
    match link {
        LinkError::Connect(ConnectError::Unresolved { host, source }) => {
            Trouble::Unresolved { host: host.clone(), source: copy(source) }
        }
        LinkError::Connect(ConnectError::Unreachable { address, source }) => {
            Trouble::Unreachable { address: *address, source: copy(source) }
        }
        LinkError::Connect(ConnectError::Tls(source)) => Trouble::Tls(copy(source)),
        LinkError::Silent(time) => Trouble::Silent(Duration::from_secs(time.as_secs().max(1))),
        LinkError::Broken(error) if error.is_parse() => Trouble::NotS3(error.to_string()),
        LinkError::Broken(error) => {
            let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
            Trouble::Broken(telemetry::clean(&format!("{error}{source}"), MAX_QUOTED))
        }
        LinkError::Connect(ConnectError::Address(_)) | LinkError::TooLong(_) | LinkError::NoRange => {
            Trouble::NotS3(link.to_string())
        }
    }
}

fn sources<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, body: &'static str) -> Refusal {
        let answer = Response::builder().status(status).body(Bytes::from_static(body.as_bytes())).unwrap();
        check(&Method::POST, answer).unwrap_err()
    }

    #[test]
    fn a_refusal_is_told_by_its_code_and_else_by_its_status() {
        let body =
            "<?xml version=\"1.0\"?><Error><Code>NoSuchUpload</Code><Message>gone\u{1b}[2J</Message></Error>";
        let found = refusal(404, body);
        assert!(matches!(found.trouble(), Trouble::NoUpload));
        assert_eq!(found.quote(), "NoSuchUpload, 404 Not Found: gone\\u{1b}[2J");
        assert!(matches!(refusal(403, "").trouble(), Trouble::Denied(_)));
        assert!(matches!(refusal(507, "<html><body>full").trouble(), Trouble::Full(_)));
        assert!(matches!(refusal(500, "").trouble(), Trouble::Failing(_)));
        assert!(matches!(refusal(301, "").trouble(), Trouble::OtherRegion(_)));
        let skewed = "<Error><Code>RequestTimeTooSkewed</Code></Error>";
        assert!(matches!(refusal(403, skewed).trouble(), Trouble::Clock));
    }

    #[test]
    fn an_error_with_a_status_of_success_is_an_error() {
        let body = "<Error><Code>InternalError</Code></Error>";
        assert!(matches!(refusal(200, body).trouble(), Trouble::Rejected(_) | Trouble::Failing(_)));
        let answer =
            |body: &'static str| Response::builder().body(Bytes::from_static(body.as_bytes())).unwrap();
        assert!(check(&Method::POST, answer("<Ok><Code>x</Code></Ok>")).is_ok());
        assert!(check(&Method::GET, answer(body)).is_ok(), "an object may have this content");
    }
}
