//! Target: the answer of a web server, by which captive portals are found.

use discovery::page::{MAX_LOCATION, PageUrl, is_complete, read_answer};

/// Checks that a status and an address stay within their limits, and that the address of a page is the same after it was
/// read from its request.
pub fn check(bytes: &[u8]) {
    let _ = is_complete(bytes);
    if let Some(answer) = read_answer(bytes) {
        assert!((100..=999).contains(&answer.status));
        let location = answer.location.unwrap_or_default();
        assert!(location.chars().count() <= MAX_LOCATION && !location.chars().any(char::is_control));
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Some(url) = PageUrl::parse(text) else { return };
    let request = url.request();
    assert!(url.path.starts_with('/') && request.lines().count() == 5, "{request}");
}

/// Returns an answer with and one without a page, and the address of a page.
pub fn seeds() -> Vec<Vec<u8>> {
    let answers =
        ["HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/login\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n"];
    let urls = ["http://10.0.0.1:6080/empty", "http://[fd00::1]/"];
    answers.iter().chain(&urls).map(|text| text.as_bytes().to_vec()).collect()
}
