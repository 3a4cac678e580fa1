//! A page on a web server, by which captive portals are found: its address, and the answer of the server.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

/// Maximum size of an answer that is read, in bytes. The head of a page of a portal is much shorter.
pub const MAX_ANSWER_BYTES: usize = 8192;
/// Maximum number of characters of an address to which an answer leads.
pub const MAX_LOCATION: usize = 200;
/// Maximum size of the address of a page, in bytes.
const MAX_URL_BYTES: usize = 512;
/// Beginning of the address of a page that is asked for without TLS. A portal can answer only such questions.
const SCHEME: &str = "http://";
/// TCP port of web servers.
const HTTP_PORT: u16 = 80;

/// The address of a page, such as `http://10.0.0.1:6080/portal`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageUrl {
    /// IP address or name of the server, without brackets.
    pub host: String,
    /// TCP port of the server.
    pub port: u16,
    /// Path on the server. It begins with a slash.
    pub path: String,
}

/// The answer of a web server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageAnswer {
    /// Status, such as 200.
    pub status: u16,
    /// Address of the page to which it leads, if it leads elsewhere. Control characters are left out.
    pub location: Option<String>,
}

impl PageUrl {
    /// Reads the address of a page. Returns `None` if it is none that can be asked for.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(SCHEME).filter(|_| text.len() <= MAX_URL_BYTES)?;
        if !rest.bytes().all(|byte| byte.is_ascii_graphic()) || rest.contains(['@', '#']) {
            return None;
        }
        let (server, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match server.strip_prefix('[') {
            Some(rest) => rest.split_once(']').map(|(host, port)| (host, port.strip_prefix(':')))?,
            None => server.split_once(':').map_or((server, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map_or(Some(HTTP_PORT), |port| port.parse().ok())?;
        let path = if path.is_empty() { "/" } else { path };
        (!host.is_empty()).then(|| Self { host: host.to_owned(), port, path: path.to_owned() })
    }

    /// Returns the request for the page.
    pub fn request(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let Self { port, path, .. } = self;
        format!(
            "GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\nUser-Agent: dt-swarm\r\n\r\n"
        )
    }
}

/// Returns whether the head of an answer is complete.
pub fn is_complete(bytes: &[u8]) -> bool {
    bytes.windows(4).any(|end| end == b"\r\n\r\n")
}

/// Reads the head of an answer. Returns `None` if it does not come from a web server.
pub fn read_answer(bytes: &[u8]) -> Option<PageAnswer> {
    let bytes = bytes.get(..MAX_ANSWER_BYTES).unwrap_or(bytes);
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.")?.split(' ').nth(1)?;
    let status = status.parse().ok().filter(|status| (100..=999).contains(status))?;
    let headers = lines.take_while(|line| !line.is_empty()).filter_map(|line| line.split_once(':'));
    let mut locations = headers.filter(|(name, _)| name.eq_ignore_ascii_case("location"));
    let location = locations.next().map(|(_, value)| {
        value.trim().chars().filter(|char| !char.is_control()).take(MAX_LOCATION).collect::<String>()
    });
    Some(PageAnswer { status, location: location.filter(|location| !location.is_empty()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<(String, u16, String)> {
        PageUrl::parse(text).map(|PageUrl { host, port, path }| (host, port, path))
    }

    #[test]
    fn addresses_of_pages_are_read() {
        let page = |host: &str, port, path: &str| Some((host.to_owned(), port, path.to_owned()));
        assert_eq!(parsed("http://server"), page("server", 80, "/"));
        assert_eq!(parsed("http://10.0.0.1:6080/a?b=c"), page("10.0.0.1", 6080, "/a?b=c"));
        assert_eq!(parsed("http://[fd00::1]:8000/"), page("fd00::1", 8000, "/"));
        assert_eq!(parsed("http://[fd00::1]"), page("fd00::1", 80, "/"));
        let long = format!("http://server/{}", "a".repeat(MAX_URL_BYTES));
        for wrong in [
            "",
            "server",
            "https://server/",
            "http://",
            "http://a:99999",
            "http://a b/",
            "http://u@a/",
            "http://[a",
            &long,
        ] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
        let request = PageUrl::parse("http://[fd00::1]:8000/x").unwrap().request();
        assert!(
            request.starts_with("GET /x HTTP/1.1\r\nHost: [fd00::1]:8000\r\n")
                && request.ends_with("\r\n\r\n")
        );
    }

    #[test]
    fn the_head_of_an_answer_is_read() {
        let answer = |status, location: Option<&str>| {
            Some(PageAnswer { status, location: location.map(str::to_owned) })
        };
        assert_eq!(read_answer(b"HTTP/1.1 204 No Content\r\n\r\n"), answer(204, None));
        let led =
            b"HTTP/1.0 302 Found\r\nServer: x\r\nlocation:  http://10.0.0.1/\x07login \r\n\r\nLocation: y";
        assert_eq!(read_answer(led), answer(302, Some("http://10.0.0.1/login")));
        assert!(is_complete(led) && !is_complete(&led[..30]));
        assert_eq!(read_answer(b"HTTP/1.1 204"), answer(204, None));
        for wrong in [&b""[..], b"HTTP/1.1", b"HTTP/1.1 99 x", b"{\"from\":1}", b":irc 001", b"HTTP/1.1 2x4"]
        {
            assert_eq!(read_answer(wrong), None, "{}", String::from_utf8_lossy(wrong));
        }
    }
}
