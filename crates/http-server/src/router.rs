//! Routes each request to the handler of its path.
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::body;
use crate::check::{RequestHead, check_head};
use crate::refusal::Refusal;
use crate::routes::{BoxedHandler, Response, Route, RouteSet};

/// Value of `Retry-After`, in seconds, for statuses that can change soon.
const RETRY_AFTER_SECONDS: u16 = 10;

/// Headers of every answer.
///
/// A page gets an origin of its own and runs no script. Other sites cannot embed it. Links on it are followed without
/// telling the linked site the page's address.
pub(crate) const PROTECTION: [(HeaderName, &str); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CONTENT_SECURITY_POLICY, "sandbox"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::REFERRER_POLICY, "no-referrer"),
];

/// The error of two routes with the same pattern. One of them would never be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("two HTTP handlers have the same pattern {pattern}; this is a bug of the program")]
pub struct DuplicateRoute {
    /// The pattern that both routes have.
    pub pattern: String,
}

/// The routes of all sets.
#[derive(Debug)]
pub struct Router {
    sets: Vec<RouteSet>,
}

impl Router {
    /// Combines the sets. Their order does not affect the routing.
    ///
    /// # Errors
    /// Returns an error if two routes have the same pattern.
    pub fn new(sets: Vec<RouteSet>) -> Result<Self, DuplicateRoute> {
        let router = Self { sets };
        let patterns: Vec<_> = router.routes().map(|route| route.pattern).collect();
        match patterns.iter().enumerate().find(|(index, pattern)| patterns[..*index].contains(pattern)) {
            Some((_, pattern)) => Err(DuplicateRoute { pattern: pattern.to_string() }),
            None => Ok(router),
        }
    }

    fn routes(&self) -> impl Iterator<Item = &Route> {
        self.sets.iter().flat_map(|set| &set.routes)
    }

    /// Answers one request.
    pub(crate) async fn answer(&self, head: RequestHead, host_names: &[String]) -> Response {
        let answer = self.try_answer(head, host_names).await;
        let mut response = answer.unwrap_or_else(|refusal| refuse(&refusal));
        protect(response.headers_mut());
        response
    }

    async fn try_answer(&self, head: RequestHead, host_names: &[String]) -> Result<Response, Refusal> {
        check_head(&head, host_names)?;
        let handler = self.handler(head.uri.path()).ok_or_else(|| Refusal::not_found(self.usage()))?;
        handler.handle_boxed(head).await
    }

    fn handler(&self, path: &str) -> Option<&dyn BoxedHandler> {
        let matching = self.routes().filter(|route| route.pattern.matches(path));
        matching.max_by_key(|route| route.pattern.specificity()).map(|route| &*route.handler)
    }

    fn usage(&self) -> String {
        let all: Vec<_> = self.sets.iter().map(|set| set.usage).collect();
        all.join("; ")
    }
}

/// Adds the headers of [`PROTECTION`]. They replace headers of the same names that the handler set.
///
/// The only exception is a `Content-Security-Policy` of the handler, which is kept. A handler may set one for a page
/// that it wrote itself.
fn protect(headers: &mut HeaderMap) {
    for (name, value) in PROTECTION {
        if name != header::CONTENT_SECURITY_POLICY || !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
}

/// Returns the answer for a refusal: its message as plain text, which must not be cached.
fn refuse(refusal: &Refusal) -> Response {
    let mut response = Response::new(body::whole(format!("{refusal}\n")));
    *response.status_mut() = refusal.status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    match refusal.status {
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER_SECONDS.into());
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        _ => {}
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;
    use http_body_util::BodyExt as _;

    /// A handler that answers with its name.
    async fn named(name: &'static str) -> Result<Response, Refusal> {
        Ok(Response::new(body::whole(name)))
    }

    fn router() -> Router {
        let files = RouteSet::new("files are at /files/NAME")
            .prefix("/files/", |_head| named("files"))
            .prefix("/files/new/", |_head| named("new files"));
        let metrics = RouteSet::new("metrics are at /metrics")
            .exact("/metrics", |_head| named("metrics"))
            .exact("/files/list", |_head| named("list"))
            .exact("/broken", |_head| async { Err(Refusal::internal("out of ink")) });
        Router::new(vec![files, metrics]).unwrap()
    }

    fn ask(path: &str, host: &str) -> (StatusCode, String, http::HeaderMap) {
        let request = http::Request::builder().uri(path).header("host", host).body(()).unwrap();
        let response = block_on(router().answer(request.into_parts().0, &[]));
        let (head, body) = response.into_parts();
        let bytes = block_on(body.collect()).unwrap().to_bytes();
        (head.status, String::from_utf8(bytes.to_vec()).unwrap(), head.headers)
    }

    #[test]
    fn the_most_specific_route_answers() {
        for (path, handler) in [
            ("/files/a", "files"),
            ("/files/", "files"),
            ("/files/new/a?b=c", "new files"),
            ("/files/list", "list"),
            ("/files/list/", "files"),
            ("/metrics", "metrics"),
            ("http://localhost/metrics", "metrics"),
        ] {
            let (status, body, _) = ask(path, "localhost");
            assert_eq!((status, body.as_str()), (StatusCode::OK, handler), "{path}");
        }
    }

    #[test]
    fn a_request_without_a_route_gets_the_usage_of_all_sets() {
        for path in
            ["/", "/files", "/metrics/", "/Metrics", "/%6detrics", "//files/a", "/files/../x/../../metrics"]
        {
            let (status, body, headers) = ask(path, "localhost");
            if path.starts_with("/files/") {
                // Paths are compared as they are written, so dots cannot leave a prefix.
                assert_eq!(body, "files");
                continue;
            }
            assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
            assert_eq!(body, "files are at /files/NAME; metrics are at /metrics\n");
            assert_eq!(headers["content-type"], "text/plain; charset=utf-8");
        }
    }

    const SHIELDING: [&str; 4] = ["nosniff", "sandbox", "same-origin", "no-referrer"];

    fn shielding(headers: &http::HeaderMap) -> [&str; 4] {
        let names = [
            "x-content-type-options",
            "content-security-policy",
            "cross-origin-resource-policy",
            "referrer-policy",
        ];
        names.map(|name| headers.get(name).map_or("", |value| value.to_str().unwrap()))
    }

    #[test]
    fn a_handler_can_change_only_the_content_security_policy() {
        let page = |_head| async {
            let page = Response::new(body::whole("own page"));
            let (mut head, body) = page.into_parts();
            head.headers
                .insert("content-security-policy", HeaderValue::from_static("sandbox allow-downloads"));
            head.headers.insert("referrer-policy", HeaderValue::from_static("unsafe-url"));
            Ok(Response::from_parts(head, body))
        };
        let router = Router::new(vec![RouteSet::new("").exact("/", page)]).unwrap();
        let request = http::Request::builder().uri("/").header("host", "localhost").body(()).unwrap();
        let response = block_on(router.answer(request.into_parts().0, &[]));
        let expected = ["nosniff", "sandbox allow-downloads", "same-origin", "no-referrer"];
        assert_eq!(shielding(response.headers()), expected);
    }

    #[test]
    fn every_answer_has_the_protection_headers_and_every_request_is_checked() {
        assert_eq!(ask("/metrics", "evil.example").0, StatusCode::FORBIDDEN);
        assert_eq!(ask("/nothing", "evil.example").0, StatusCode::FORBIDDEN);
        for (path, status) in [("/metrics", 200), ("/broken", 500), ("/", 404)] {
            let (found, _, headers) = ask(path, "localhost");
            assert_eq!((found.as_u16(), shielding(&headers)), (status, SHIELDING), "{path}");
        }
        let (status, _, headers) = ask("/metrics", "evil.example");
        assert_eq!((status, shielding(&headers)), (StatusCode::FORBIDDEN, SHIELDING));
        assert_eq!(ask("/broken", "localhost").1, "out of ink\n");
    }

    #[test]
    fn two_handlers_of_one_pattern_are_an_error() {
        let set =
            |prefix| RouteSet::new("").prefix(prefix, |_head| named("a")).exact("/b", |_head| named("b"));
        assert!(Router::new(vec![RouteSet::new("").prefix("/b", |_head| named("c")), set("/a")]).is_ok());
        let error = Router::new(vec![set("/a"), set("/c")]).unwrap_err();
        assert_eq!(error, DuplicateRoute { pattern: "/b".to_owned() });
    }
}
