//! Errors of an IRC server or its channel. The messages for people are in the table of faults.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use telemetry::{FaultReport, faults, report};
use tokio_rustls::rustls::{self, CertificateError};
use tokio_util::codec::AnyDelimiterCodecError;

/// Maximum number of characters of a server's text that a message quotes.
const MAX_QUOTED: usize = 160;

/// Reason why there is no connection to the server, or why this node is not in the channel.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.report())]
pub(crate) enum SessionError {
    NameUnresolved { server: String, source: io::Error },
    NoAnswer { address: SocketAddr, patience: Duration },
    Refused(SocketAddr),
    Unreachable { address: SocketAddr, source: io::Error },
    Certificates { file: PathBuf, source: io::Error },
    NoCertificates,
    ServerName(String),
    Tls(#[source] io::Error),
    Silent,
    PingUnanswered,
    Closed,
    ClosedEarly,
    Broken(#[source] io::Error),
    NotIrc,
    WebServer,
    Ended(String),
    Killed { by: String, reason: String },
    NicksTaken(String),
    NotLetIn(String),
    Kicked { by: String, reason: String },
    Removed,
    NotJoined(JoinRefusal, String),
    JoinUnanswered,
    Moderated(String),
}

/// Reason why a server does not let this node into a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JoinRefusal {
    Banned,
    Full,
    InviteOnly,
    NeedsKey,
    /// The channel is unavailable for a while.
    Unavailable,
    /// The channel cannot be joined, whatever its operators do.
    Impossible,
}

impl SessionError {
    /// Returns the corresponding error for a connection that failed before the server's welcome.
    pub(crate) fn before_welcome(self) -> Self {
        match self {
            Self::Closed | Self::Broken(_) => Self::ClosedEarly,
            other => other,
        }
    }

    /// Returns whether another nick would help, according to the reason that the server gave.
    pub(crate) fn is_collision(&self) -> bool {
        let (Self::Ended(reason) | Self::Killed { reason, .. }) = self else { return false };
        reason.to_ascii_lowercase().contains("collision")
    }

    /// Returns the fault that describes this error.
    pub(crate) fn report(&self) -> FaultReport {
        match self {
            Self::NoCertificates => report!(faults::IRC_CERTIFICATES_MISSING),
            Self::Silent => report!(faults::IRC_SILENT),
            Self::PingUnanswered => report!(faults::IRC_PING_UNANSWERED),
            Self::Closed => report!(faults::IRC_CLOSED),
            Self::ClosedEarly => report!(faults::IRC_CLOSED_EARLY),
            Self::WebServer => report!(faults::IRC_WEB_SERVER),
            Self::NotIrc => report!(faults::IRC_NOT_IRC),
            Self::Removed => report!(faults::IRC_REMOVED),
            Self::JoinUnanswered => report!(faults::IRC_CHANNEL_NO_ANSWER),
            Self::ServerName(server) => report!(faults::IRC_SERVER_NAME_INVALID, server = server),
            Self::NicksTaken(nick) => report!(faults::IRC_NICKS_TAKEN, nick = nick),
            Self::Ended(reason) => report!(faults::IRC_ENDED, reason = reason),
            Self::NotLetIn(reason) => report!(faults::IRC_NOT_LET_IN, reason = reason),
            Self::Moderated(reason) => report!(faults::IRC_CHANNEL_MODERATED, reason = reason),
            Self::Killed { by, reason } => report!(faults::IRC_KILLED, by = by, reason = reason),
            Self::Kicked { by, reason } => report!(faults::IRC_KICKED, by = by, reason = reason),
            Self::NotJoined(refusal, reason) => refusal.report(reason),
            Self::Refused(address) => report!(faults::IRC_REFUSED, address = address),
            Self::NoAnswer { address, patience } => {
                report!(faults::IRC_NO_ANSWER, address = address, seconds = patience.as_secs_f64())
            }
            Self::NameUnresolved { server, source } => {
                report!(faults::IRC_NAME_UNRESOLVED, server = server, error = source)
            }
            Self::Unreachable { address, source } => {
                report!(faults::IRC_UNREACHABLE, address = address, error = source)
            }
            Self::Certificates { file, source } => {
                report!(faults::IRC_CERTIFICATES_UNREADABLE, file = file.display(), error = source)
            }
            Self::Tls(source) if is_other_name(source) => report!(faults::IRC_OTHER_NAME),
            Self::Tls(source) => report!(faults::IRC_TLS_FAILED, error = source),
            Self::Broken(source) => report!(faults::IRC_CONNECTION_BROKEN, error = source),
        }
    }
}

/// Returns whether TLS failed because the certificate of the server is for another name.
fn is_other_name(error: &io::Error) -> bool {
    let tls = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    matches!(
        tls,
        Some(rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
        ))
    )
}

impl JoinRefusal {
    fn report(self, reason: &str) -> FaultReport {
        match self {
            Self::Banned => report!(faults::IRC_CHANNEL_BANNED, reason = reason),
            Self::Full => report!(faults::IRC_CHANNEL_FULL, reason = reason),
            Self::InviteOnly => report!(faults::IRC_CHANNEL_INVITE_ONLY, reason = reason),
            Self::NeedsKey => report!(faults::IRC_CHANNEL_NEEDS_KEY, reason = reason),
            Self::Unavailable => report!(faults::IRC_CHANNEL_UNAVAILABLE, reason = reason),
            Self::Impossible => report!(faults::IRC_CHANNEL_REFUSED, reason = reason),
        }
    }
}

impl From<io::Error> for SessionError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // TLS reports a connection that ended without a closing message as an unexpected end.
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                Self::Closed
            }
            _ => Self::Broken(error),
        }
    }
}

impl From<AnyDelimiterCodecError> for SessionError {
    fn from(error: AnyDelimiterCodecError) -> Self {
        match error {
            AnyDelimiterCodecError::MaxChunkLengthExceeded => Self::NotIrc,
            AnyDelimiterCodecError::Io(error) => error.into(),
        }
    }
}

/// Returns a server's text in a form that is safe to display: truncated, with escapes for the characters that could
/// control a terminal or mislead its reader.
pub(crate) fn quoted(text: &str) -> String {
    telemetry::clean(text, MAX_QUOTED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    #[test]
    fn a_quoted_text_is_truncated_and_its_dangerous_characters_are_escaped() {
        assert_eq!(quoted("\x1b[2Jbye\u{202e}\r"), r"\u{1b}[2Jbye\u{202e}\u{d}");
        assert_eq!(quoted(&"ä".repeat(1000)), "ä".repeat(MAX_QUOTED) + "…");
    }

    #[test]
    fn a_collision_asks_for_another_nick() {
        assert!(SessionError::Ended("Nick collision!".into()).is_collision());
        assert!(!SessionError::Closed.is_collision());
    }

    #[test]
    fn a_certificate_for_another_name_is_told_from_other_errors_of_tls() {
        let tls = |error: CertificateError| {
            SessionError::Tls(io::Error::other(rustls::Error::InvalidCertificate(error)))
                .report()
                .code()
                .to_owned()
        };
        assert_eq!(tls(CertificateError::NotValidForName), "irc.other-name");
        assert_eq!(tls(CertificateError::Expired), "irc.tls-failed");
    }

    #[test]
    fn an_error_names_its_fault_and_keeps_its_cause() {
        let source = io::Error::other("no such name");
        let error = SessionError::NameUnresolved { server: "irc.lab".to_owned(), source };
        assert_eq!(error.report().code(), "irc.name-unresolved");
        assert_eq!(error.to_string(), error.report().message());
        assert!(error.to_string().starts_with("the name irc.lab cannot be resolved: no such name; "));
        assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("no such name"));
    }
}
