//! Path validation, as in QUIC (RFC 9000, section 8.2). A host is asked to repeat a token that only it can have
//! received. The repetition proves that the source address of its datagrams is not forged.
//!
//! `{"path_challenge":"0123456789abcdef"}` is answered by `{"path_response":"0123456789abcdef"}`. These lines pass
//! between the ends of a unicast channel and are no envelopes. The original IPSD program drops them, like any line that
//! it does not understand.

use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;

const CHALLENGE: &str = "{\"path_challenge\":\"";
const RESPONSE: &str = "{\"path_response\":\"";
const END: &str = "\"}";
/// Number of hexadecimal digits of a token.
const DIGITS: usize = 16;

/// A line of path validation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    Challenge(String),
    Response(String),
}

impl Path {
    /// Parses a line; `None` if it is not a line of path validation.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?;
        let challenge = || token(line, CHALLENGE).map(Self::Challenge);
        token(line, RESPONSE).map(Self::Response).or_else(challenge)
    }

    /// Returns the text of the line.
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

/// Creates tokens that only this process knows, a different one for each host.
#[derive(Debug, Default)]
pub(crate) struct Tokens(RandomState);

impl Tokens {
    /// Returns the token of a host.
    pub(crate) fn of(&self, host: SocketAddr) -> String {
        format!("{:016x}", self.0.hash_one(host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_round_trip_and_other_texts_are_refused() {
        let token = Tokens::default().of("10.0.0.1:1240".parse().unwrap());
        for path in [Path::Challenge(token.clone()), Path::Response(token)] {
            assert_eq!(Path::parse(path.line().as_bytes()), Some(path));
        }
        for line in ["", "{}", "{\"path_response\":\"\"}", "{\"path_response\":\"0123456789abcdeg\"}"] {
            assert_eq!(Path::parse(line.as_bytes()), None);
        }
    }

    #[test]
    fn tokens_differ_by_host_and_by_process() {
        let [a, b] = ["10.0.0.1:1240", "10.0.0.2:1240"].map(|host| host.parse::<SocketAddr>().unwrap());
        let tokens = Tokens::default();
        assert_eq!(tokens.of(a), tokens.of(a));
        assert_ne!(tokens.of(a), tokens.of(b));
        assert_ne!(tokens.of(a), Tokens::default().of(a));
    }
}
