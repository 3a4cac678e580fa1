//! Messages about connections that failed.
use libp2p::swarm::DialError;

/// Formats an error with all its causes in one line.
pub(super) fn reason(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Returns why a dial failed: each address with the innermost cause of its error.
pub(super) fn dial_message(error: &DialError, is_private: bool) -> String {
    match error {
        DialError::Transport(all) => {
            let each = all.iter().map(|(address, error)| format!("{address}: {}", root(error)));
            let each = each.collect::<Vec<_>>().join("; ");
            // If the network keys differ, each side decrypts only random bytes. Then the other side closes the connection
            // or sends nothing.
            let is_plain = ["refused", "unreachable", "No route"].iter().any(|plain| each.contains(plain));
            let may_be_wrong_key = is_private && !is_plain;
            if may_be_wrong_key { format!("{each} (does it have the same network key?)") } else { each }
        }
        DialError::WrongPeerId { obtained, address } => {
            format!("{address}: another peer answers: {obtained}")
        }
        DialError::Denied { cause } => root(cause),
        other => reason(other),
    }
}

/// Returns the message of the innermost cause of an error. The outer errors only repeat it.
pub(super) fn root(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |cause| cause.source());
    causes.last().map_or_else(String::new, ToString::to_string)
}
