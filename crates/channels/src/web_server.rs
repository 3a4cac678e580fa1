//! Recognises web servers, which answer in place of other servers where a captive portal intercepts connections.

/// Beginning of each answer of a web server that does not use TLS.
const STATUS_LINE: &[u8] = b"HTTP/1.";

/// Returns whether the first line of an answer comes from a web server.
pub(crate) fn is_web_server(line: &[u8]) -> bool {
    line.starts_with(STATUS_LINE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_of_a_web_server_is_told_from_lines_of_peers_and_irc_servers() {
        assert!(is_web_server(b"HTTP/1.1 302 Found") && is_web_server(b"HTTP/1.0 400 Bad Request"));
        for other in [&b"{\"from\":\"\"}"[..], b":irc.example 001 duckie :HTTP/1.1", b"", b"HTTP"] {
            assert!(!is_web_server(other));
        }
    }
}
