//! Checks of a request's head that apply to every route. The module is pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use http::header::{self, AsHeaderName, HeaderMap, HeaderValue};
use http::{Method, StatusCode, Uri};
use std::net::IpAddr;

use crate::host::is_ours;
use crate::refusal::Refusal;

/// The head of a request: method, target and headers.
pub type RequestHead = http::request::Parts;

/// The IP address of the client. The server adds it to the extensions of each [`RequestHead`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// Maximum size, in bytes, of a request's path and query together.
pub const MAX_TARGET_BYTES: usize = 8 * 1024;

/// Returns the values of a header that are visible ASCII text. Other values are skipped.
pub fn header_texts(headers: &HeaderMap, name: impl AsHeaderName) -> impl Iterator<Item = &str> {
    headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok())
}

/// Checks the head of a request.
///
/// - `Host` has to name this host.
/// - The request must not come from a page of another site that embeds or reads the answer.
/// - The method has to be `GET` or `HEAD`.
/// - The target has at most [`MAX_TARGET_BYTES`].
///
/// # Errors
/// Returns the refusal, which becomes the answer.
pub fn check_head(head: &RequestHead, host_names: &[String]) -> Result<(), Refusal> {
    check_host(head, host_names)?;
    check_origin(&head.headers, host_names)?;
    check_method(&head.method)?;
    check_length(&head.uri)
}

fn check_host(head: &RequestHead, host_names: &[String]) -> Result<(), Refusal> {
    let mut hosts = head.headers.get_all(header::HOST).into_iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(Refusal::bad_request("there has to be one header Host"));
    };
    // A value that is not text cannot be one of our names.
    let host = host.to_str().unwrap_or_default();
    let mut authorities =
        std::iter::once(host).chain(head.uri.authority().map(|authority| authority.as_str()));
    if authorities.all(|authority| is_ours(authority, host_names)) {
        return Ok(());
    }
    Err(Refusal::forbidden(
        "this server accepts only its address, localhost and this host's name in the header Host",
    ))
}

/// Refuses requests by which a page of another site embeds or reads an answer. Following a link to this server is
/// allowed.
///
/// Browsers send `Sec-Fetch-*` only to `localhost` and over TLS. For other hosts, `Origin` identifies a page that reads
/// answers by a script.
fn check_origin(headers: &HeaderMap, host_names: &[String]) -> Result<(), Refusal> {
    let says = |name: &str, value: &str| header_texts(headers, name).any(|said| said == value);
    let is_embedded = says("sec-fetch-site", "cross-site") && !says("sec-fetch-dest", "document");
    let mut origins = headers.get_all(header::ORIGIN).into_iter();
    match is_embedded || !origins.all(|origin| is_own(origin, host_names)) {
        true => Err(Refusal::forbidden(
            "pages of other sites cannot embed content of this server; open its address directly",
        )),
        false => Ok(()),
    }
}

/// Returns whether an `Origin` is this host. Returns false for `null` and for values that are not text.
fn is_own(origin: &HeaderValue, host_names: &[String]) -> bool {
    let authority = origin.to_str().ok().and_then(|text| text.split_once("://"));
    authority.is_some_and(|(_, authority)| is_ours(authority, host_names))
}

fn check_method(method: &Method) -> Result<(), Refusal> {
    match *method {
        Method::GET | Method::HEAD => Ok(()),
        _ => Err(Refusal::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "this server only answers the methods GET and HEAD",
        )),
    }
}

fn check_length(uri: &Uri) -> Result<(), Refusal> {
    match uri.path_and_query().is_some_and(|text| text.as_str().len() > MAX_TARGET_BYTES) {
        true => Err(Refusal::new(StatusCode::URI_TOO_LONG, "the path is too long")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: &str, target: &str, headers: &[(&str, &str)]) -> RequestHead {
        let mut request = http::Request::builder().method(method).uri(target);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", "127.0.0.1:6080");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn status_of(head: &RequestHead) -> Result<(), u16> {
        check_head(head, &["duckie".to_owned()]).map_err(|refusal| refusal.status.as_u16())
    }

    fn check(target: &str, headers: &[(&str, &str)]) -> Result<(), u16> {
        status_of(&head("GET", target, headers))
    }

    #[test]
    fn methods_other_than_get_and_head_are_refused() {
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "FROB"] {
            assert_eq!(status_of(&head(method, "/", &[])), Err(405), "{method}");
        }
        assert_eq!(status_of(&head("HEAD", "/", &[])), Ok(()));
    }

    #[test]
    fn the_host_header_has_to_name_this_host() {
        for host in [
            "localhost",
            "LOCALHOST:6080",
            "127.0.0.1",
            "[::1]:6080",
            "192.168.1.7:6080",
            "duckie",
            "duckie.local:80",
        ] {
            assert_eq!(check("/", &[("host", host)]), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.nip.example:6080",
            "duckie.local.evil",
            "[evil]",
            "x:y",
        ] {
            assert_eq!(check("/", &[("host", host)]), Err(403), "{host}");
        }
        assert_eq!(check("http://evil.example/", &[]), Err(403));
        assert_eq!(check("/", &[("host", "evil.example"), ("host", "localhost")]), Err(400));
        assert_eq!(check("/", &[("host", "ev\u{ef}l")]), Err(403));
        assert_eq!(check("/", &[("host", "")]), Err(403));
        let mut without = head("GET", "/", &[]);
        without.headers.clear();
        assert_eq!(status_of(&without), Err(400));
    }

    #[test]
    fn pages_of_other_sites_cannot_embed_an_answer() {
        let from = |site: &str, to: &str| check("/", &[("sec-fetch-site", site), ("sec-fetch-dest", to)]);
        assert_eq!(from("cross-site", "image"), Err(403));
        assert_eq!(from("cross-site", "iframe"), Err(403));
        assert_eq!(from("cross-site", "document"), Ok(()));
        assert_eq!(from("same-origin", "image"), Ok(()));
    }

    #[test]
    fn a_page_that_rebinds_its_name_to_this_host_is_refused() {
        // After DNS rebinding, the browser takes the page and this server for the same origin. Over plain HTTP, only
        // the header `Host` shows that the page has another name.
        let (host, page) = (("host", "evil.example:6080"), ("origin", "http://evil.example:6080"));
        let modern = [("sec-fetch-site", "same-origin"), ("sec-fetch-dest", "empty")];
        for headers in [&[host][..], &[host, page], &[host, modern[0], modern[1]]] {
            assert_eq!(check("/", headers), Err(403), "{headers:?}");
        }
    }

    #[test]
    fn a_script_of_another_site_is_refused_by_its_origin_alone() {
        for origin in ["http://evil.example", "https://localhost.evil.example", "null", "", "file://"] {
            assert_eq!(check("/", &[("origin", origin)]), Err(403), "{origin}");
        }
        for origin in ["http://127.0.0.1:6080", "http://localhost", "http://duckie.local:6080"] {
            assert_eq!(check("/", &[("origin", origin)]), Ok(()), "{origin}");
        }
    }

    #[test]
    fn overlong_targets_are_refused() {
        assert_eq!(check(&format!("/{}", "a".repeat(MAX_TARGET_BYTES - 1)), &[]), Ok(()));
        assert_eq!(check(&format!("/{}", "a".repeat(MAX_TARGET_BYTES)), &[]), Err(414));
        assert_eq!(check(&format!("/?{}", "a".repeat(MAX_TARGET_BYTES)), &[]), Err(414));
    }
}
