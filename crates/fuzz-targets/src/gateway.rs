//! Target: the head of a request to the gateway: a line with method and target, then one line for each header.

use gateway::request::{EntityBytes, Format, Request, Scope, Target};
use http::{HeaderName, HeaderValue, Uri};
use http_server::{MAX_TARGET_BYTES, RequestHead, check_head, is_ours};

const CID: &str = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
/// File sizes for which ranges are checked.
const SIZES: [u64; 5] = [0, 1, 262_144, 1 << 40, u64::MAX];

/// Returns the seed inputs, from which the fuzzer starts.
pub fn seeds() -> Vec<Vec<u8>> {
    let head = |line: &str, headers: &str| {
        format!("{}\nhost: duckie.local:6080\n{headers}", line.replace("CID", CID)).into_bytes()
    };
    vec![
        head("GET /ipfs/CID/a%20b/?filename=%C3%BC+.txt&download=true", "range: bytes=5-9\nif-range: \"a\""),
        head("HEAD /ipfs/bafkqaaa?format=raw", "cache-control: only-if-cached\nif-none-match: W/\"a\", *"),
        head("GET /ipfs/CID?format=car&dag-scope=entity&entity-bytes=-5:*&car-dups=y&car-order=dfs", ""),
        head("GET /ipfs/CID", "accept: application/vnd.ipld.car; version=1; order=dfs; dups=n;q=0.5, */*"),
        head(
            "GET /ipfs/CID",
            "accept: application/vnd.ipld.raw\nrange: bytes=-5\nsec-fetch-site: cross-site",
        ),
        head(
            "GET http://localhost/ipfs/QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH",
            "service-worker: script",
        ),
    ]
}

/// Checks that an accepted request is valid and within the limits, and that a refused request gets an error status.
pub fn check(bytes: &[u8]) {
    let Some(head) = std::str::from_utf8(bytes).ok().and_then(head) else { return };
    let names = ["duckie".to_owned()];
    match check_head(&head, &names).and_then(|()| Request::read(&head)) {
        Ok(request) => check_request(&head, &request, &names),
        Err(refusal) => assert!(refusal.status.is_client_error() || refusal.status.is_server_error()),
    }
}

fn head(text: &str) -> Option<RequestHead> {
    let (first, headers) = text.split_once('\n').unwrap_or((text, ""));
    let (method, target) = first.split_once(' ')?;
    let uri: Uri = target.parse().ok()?;
    let mut request = http::Request::builder().method(method).uri(uri).body(()).ok()?;
    for line in headers.lines().take(64) {
        let (name, value) = line.split_once(": ")?;
        let (name, value): (HeaderName, HeaderValue) = (name.parse().ok()?, value.parse().ok()?);
        request.headers_mut().append(name, value);
    }
    Some(request.into_parts().0)
}

fn check_request(head: &RequestHead, request: &Request, names: &[String]) {
    let host = head.headers.get("host").and_then(|host| host.to_str().ok());
    assert!(host.is_some_and(|host| is_ours(host, names)));
    assert!(matches!(head.method.as_str(), "GET" | "HEAD"));
    assert!(head.uri.path_and_query().is_none_or(|target| target.as_str().len() <= MAX_TARGET_BYTES));
    check_target(&request.target);
    // These texts are written into headers, so they have to be valid values.
    let texts = [Some(request.target.with_slash() + &request.query_text), request.location.clone()];
    assert!(texts.into_iter().flatten().all(|text| text.is_ascii() && HeaderValue::try_from(text).is_ok()));
    if let Format::Car { scope: Scope::Entity(Some(bytes)), .. } = request.format {
        SIZES.iter().for_each(|size| check_entity(bytes, *size));
    }
    for size in SIZES {
        if let Some(range) = request.range.and_then(|range| range.within(size)) {
            assert!(range.start < range.end && range.end <= size);
        }
    }
}

fn check_target(target: &Target) {
    assert!(target.names.len() <= 64 && target.names.iter().all(|name| (1..=255).contains(&name.len())));
    assert!(target.names.iter().all(|name| !name.contains(['/', '\0'])));
    let path = if target.is_directory { target.with_slash() } else { target.to_string() };
    assert_eq!(Target::read(&path).as_ref(), Ok(target));
}

fn check_entity(bytes: EntityBytes, size: u64) {
    let range = bytes.within(size);
    assert!(range.start <= range.end && range.end <= size);
}
