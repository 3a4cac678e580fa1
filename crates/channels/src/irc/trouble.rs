//! What can be wrong with an IRC server or its channel, in words for people.

use std::io;
use std::path::PathBuf;
use std::time::Duration;
use tokio_util::codec::AnyDelimiterCodecError;

/// How much of a stranger's words is repeated.
const MAX_QUOTED: usize = 160;

/// Why there is no connection, or none with the channel.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error("the name {0} cannot be resolved ({1}): is it right, and does this network have a name server?")]
    Name(String, io::Error),
    #[error("no answer from {0} within {1:?}: the port is perhaps blocked here, or the server is down")]
    NoAnswer(String, Duration),
    #[error("{0} refuses connections: no IRC server runs there, or at another port")]
    Refused(String),
    #[error("{0} cannot be reached: {1}")]
    Unreachable(String, io::Error),
    #[error("the file {} with the certificates to trust cannot be used: {source}", .file.display())]
    Roots { file: PathBuf, source: io::Error },
    #[error("this system has no certificates to trust: install ca-certificates, or name a file of them")]
    NoRoots,
    #[error("{0:?} is no name that a certificate could bear")]
    ServerName(String),
    #[error(
        "TLS failed because {0}: is this its port for TLS, and is its certificate signed by somebody whom this system trusts?"
    )]
    Tls(io::Error),
    #[error(
        "the server took the connection and does not speak: is this the port of an IRC server (with TLS?)"
    )]
    Silent,
    #[error("the server fell silent, and does not answer a PING")]
    Dead,
    #[error("the server closed the connection")]
    Closed,
    #[error(
        "the server closed the connection before it let this node in: is this its port for TLS, or are we banned?"
    )]
    ClosedEarly,
    #[error("the connection broke: {0}")]
    Broken(io::Error),
    #[error("what the server says is no IRC: a line without end")]
    NoIrc,
    #[error("the server ended the connection: {0}")]
    Ended(String),
    #[error("{by} (an operator, or another server) ended the connection: {reason}")]
    Killed { by: String, reason: String },
    #[error("all nicks that were tried are taken, the last was {0}")]
    Nicks(String),
    #[error("the server does not let this node in: {0}")]
    Unwelcome(String),
    #[error("{by} kicked this node out of the channel: {reason}")]
    Kicked { by: String, reason: String },
    #[error("this node left the channel without wanting to")]
    Left,
    #[error("the channel cannot be joined: {0}")]
    CannotJoin(String),
    #[error("nothing may be said in the channel: {0} (its operator can give voice, or set mode -m)")]
    Mute(String),
}

impl Trouble {
    /// The same, of a connection on which this node was not let in yet.
    pub(crate) fn before_welcome(self) -> Self {
        match self {
            Self::Closed | Self::Broken(_) => Self::ClosedEarly,
            other => other,
        }
    }

    /// Whether another nick would help.
    pub(crate) fn is_collision(&self) -> bool {
        let (Self::Ended(reason) | Self::Killed { reason, .. }) = self else { return false };
        reason.to_ascii_lowercase().contains("collision")
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // TLS tells so when the end of a connection was not announced.
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                Self::Closed
            }
            _ => Self::Broken(error),
        }
    }
}

impl From<AnyDelimiterCodecError> for Trouble {
    fn from(error: AnyDelimiterCodecError) -> Self {
        match error {
            AnyDelimiterCodecError::MaxChunkLengthExceeded => Self::NoIrc,
            AnyDelimiterCodecError::Io(error) => error.into(),
        }
    }
}

/// What a stranger said, fit to be repeated: not too long, and without anything that would move a terminal's cursor.
pub(crate) fn quoted(words: &str) -> String {
    words.chars().filter(|one| !one.is_control()).take(MAX_QUOTED).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_words_are_tamed() {
        assert_eq!(quoted("\x1b[2Jbye\x02\r\n"), "[2Jbye");
        assert_eq!(quoted(&"ä".repeat(1000)).chars().count(), MAX_QUOTED);
    }

    #[test]
    fn a_collision_asks_for_another_nick() {
        assert!(Trouble::Ended("Nick collision!".into()).is_collision());
        assert!(!Trouble::Closed.is_collision());
    }
}
