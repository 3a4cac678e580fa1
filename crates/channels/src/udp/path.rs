//! Path validation: a host is asked to repeat a token that only it can have received, which proves that its datagrams come
//! from where they say, as in QUIC (RFC 9000, 8.2).
//!
//! `{"path_challenge":"0123456789abcdef"}` is answered by `{"path_response":"0123456789abcdef"}`. These lines pass between
//! the ends of a unicast channel and are no envelopes: an original reader drops them as it drops any line that it does not
//! understand.

use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;

const CHALLENGE: &str = "{\"path_challenge\":\"";
const RESPONSE: &str = "{\"path_response\":\"";
const END: &str = "\"}";
/// Hexadecimal digits of a token.
const DIGITS: usize = 16;

/// One of the two lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    Challenge(String),
    Response(String),
}

impl Path {
    /// Reads a line; `None` when it is none of the two.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?;
        let challenge = || token(line, CHALLENGE).map(Self::Challenge);
        token(line, RESPONSE).map(Self::Response).or_else(challenge)
    }

    /// The line.
    pub(crate) fn line(&self) -> String {
        match self {
            Self::Challenge(token) => format!("{CHALLENGE}{token}{END}"),
            Self::Response(token) => format!("{RESPONSE}{token}{END}"),
        }
    }
}

fn token(line: &str, beginning: &str) -> Option<String> {
    let token = line.strip_prefix(beginning)?.strip_suffix(END)?;
    let is_token = token.len() == DIGITS && token.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_token.then(|| token.to_owned())
}

/// Makes tokens that only this process knows, another one for each host.
#[derive(Debug, Default)]
pub(crate) struct Tokens(RandomState);

impl Tokens {
    /// The token of a host.
    pub(crate) fn of(&self, host: SocketAddr) -> String {
        format!("{:016x}", self.0.hash_one(host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_read_back_and_nothing_else_is_read() {
        let token = Tokens::default().of("10.0.0.1:1240".parse().unwrap());
        for path in [Path::Challenge(token.clone()), Path::Response(token)] {
            assert_eq!(Path::parse(path.line().as_bytes()), Some(path));
        }
        for line in ["", "{}", "{\"path_response\":\"\"}", "{\"path_response\":\"0123456789abcdeg\"}"] {
            assert_eq!(Path::parse(line.as_bytes()), None);
        }
    }

    #[test]
    fn tokens_cannot_be_known_elsewhere() {
        let [a, b] = ["10.0.0.1:1240", "10.0.0.2:1240"].map(|host| host.parse::<SocketAddr>().unwrap());
        let tokens = Tokens::default();
        assert_eq!(tokens.of(a), tokens.of(a));
        assert_ne!(tokens.of(a), tokens.of(b));
        assert_ne!(tokens.of(a), Tokens::default().of(a));
    }
}
