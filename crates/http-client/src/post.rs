//! Single requests: one connection each, limits on every wait and on the answer, and no redirects.

use crate::{ConnectError, Connector};
use bytes::Bytes;
use http::header::{HOST, HeaderName};
use http::{HeaderValue, Method, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

/// Maximum time for the look-up of the name, for a connection, and for a TLS handshake.
const CONNECT: Duration = Duration::from_secs(15);

/// Reason why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection broke, or the server speaks no HTTP.
    #[error("the connection broke: {0}")]
    Broken(#[from] hyper::Error),
    /// The answer is too long.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    /// There was no answer in time.
    #[error("there was no answer within {} s", .0.as_secs())]
    Late(Duration),
    /// The request cannot be written.
    #[error("the request cannot be written: {0}")]
    Request(#[from] http::Error),
}

/// Sends a body to an address, and returns the answer with its body, which has at most `most` bytes. The whole request
/// may take this time.
///
/// # Errors
/// When there is no connection, no answer in time, or the answer is too long.
pub async fn post(
    connector: &Connector,
    uri: &Uri,
    headers: &[(HeaderName, HeaderValue)],
    body: Bytes,
    (patience, most): (Duration, usize),
) -> Result<Response<Bytes>, PostError> {
    let sending = send(connector, uri, headers, body, most);
    timeout(patience, sending).await.unwrap_or(Err(PostError::Late(patience)))
}

async fn send(
    connector: &Connector,
    uri: &Uri,
    headers: &[(HeaderName, HeaderValue)],
    body: Bytes,
    most: usize,
) -> Result<Response<Bytes>, PostError> {
    let no_host = || ConnectError::Address(uri.to_string());
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(origin_form(uri))
        .header(HOST, host(uri).ok_or_else(no_host)?);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(body))?;
    let stream = connector.connect(uri, CONNECT).await?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    // An error of the connection is also an error of its request.
    let _task = AbortOnDropHandle::new(tokio::spawn(async move { drop(connection.await) }));
    let (parts, body) = sender.send_request(request).await?.into_parts();
    let body =
        Limited::new(body, most).collect().await.map_err(|error| match error.downcast::<hyper::Error>() {
            Ok(error) => PostError::Broken(*error),
            Err(other) => {
                debug_assert!(other.is::<LengthLimitError>());
                PostError::TooLong(most)
            }
        })?;
    Ok(Response::from_parts(parts, body.to_bytes()))
}

/// Returns the header `Host` of an address: without the default port.
pub fn host(uri: &Uri) -> Option<HeaderValue> {
    let authority = uri.authority()?;
    let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    let text = match authority.port_u16() {
        Some(port) if port != default => format!("{}:{port}", authority.host()),
        _ => authority.host().to_owned(),
    };
    HeaderValue::from_str(&text).ok()
}

/// Returns the path and the query of an address, as the first line of a request has them.
pub fn origin_form(uri: &Uri) -> Uri {
    uri.path_and_query().map(|path| Uri::from(path.clone())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    const SHORT: Duration = Duration::from_secs(20);

    async fn answered(answer: &'static [u8], most: usize) -> (Result<Response<Bytes>, PostError>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri: Uri = format!("http://{}/write?db=1", listener.local_addr().unwrap()).parse().unwrap();
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"body") {
                request.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer).await.unwrap();
            String::from_utf8(request).unwrap()
        };
        let headers = [(HeaderName::from_static("x-test"), HeaderValue::from_static("7"))];
        let connector = Connector::plain();
        let body = Bytes::from_static(b"body");
        tokio::join!(post(&connector, &uri, &headers, body, (SHORT, most)), serve)
    }

    #[tokio::test]
    async fn a_body_is_sent_and_the_answer_is_bounded() {
        let (response, request) = answered(b"HTTP/1.1 204 No Content\r\n\r\n", 10).await;
        assert_eq!(response.unwrap().status(), 204);
        assert!(
            request.starts_with("POST /write?db=1 HTTP/1.1\r\n") && request.contains("x-test: 7"),
            "{request}"
        );
        assert!(request.contains("content-length: 4") && request.contains("host: 127.0.0.1:"), "{request}");
        let long = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 20\r\n\r\n01234567890123456789";
        assert!(matches!(answered(long, 10).await.0, Err(PostError::TooLong(10))));
        assert_eq!(answered(long, 20).await.0.unwrap().into_body().len(), 20);
        assert!(matches!(answered(b"something else\r\n\r\n", 10).await.0, Err(PostError::Broken(_))));
    }

    #[test]
    fn the_default_port_is_left_out_of_the_host() {
        let of = |uri: &str| host(&uri.parse().unwrap()).unwrap();
        assert_eq!(
            (of("http://a:80/x"), of("https://a:443/"), of("https://a:80/")),
            ("a".parse().unwrap(), "a".parse().unwrap(), "a:80".parse().unwrap())
        );
    }
}
