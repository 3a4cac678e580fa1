//! The error for a port that could not be opened.

use std::io;
use telemetry::{FaultReport, faults, report};

/// A port could not be opened. The message says how to solve the problem.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.report())]
pub struct BindError {
    transport: Transport,
    port: u16,
    source: io::Error,
}

/// The protocol of a port.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Transport {
    Udp,
    Tcp,
}

impl BindError {
    pub(crate) fn new(transport: Transport, port: u16, source: io::Error) -> Self {
        Self { transport, port, source }
    }

    /// Returns the fault that describes this error.
    pub fn report(&self) -> FaultReport {
        let Self { transport, port, source } = self;
        let is_taken = source.kind() == io::ErrorKind::AddrInUse;
        match transport {
            Transport::Udp if is_taken => report!(faults::UDP_PORT_TAKEN, port = port),
            Transport::Udp => report!(faults::UDP_PORT_UNAVAILABLE, port = port, error = source),
            Transport::Tcp if is_taken => report!(faults::TCP_PORT_TAKEN, port = port),
            Transport::Tcp => report!(faults::TCP_PORT_UNAVAILABLE, port = port, error = source),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;
    use std::io::ErrorKind;

    #[test]
    fn a_taken_port_is_distinguished_from_a_forbidden_one() {
        let code = |transport, kind: ErrorKind| BindError::new(transport, 7, kind.into()).report().code();
        assert_eq!(code(Transport::Udp, ErrorKind::AddrInUse), "udp.port-taken");
        assert_eq!(code(Transport::Udp, ErrorKind::PermissionDenied), "udp.port-unavailable");
        assert_eq!(code(Transport::Tcp, ErrorKind::AddrInUse), "tcp.port-taken");
        assert_eq!(code(Transport::Tcp, ErrorKind::PermissionDenied), "tcp.port-unavailable");
    }

    #[test]
    fn the_message_names_port_and_setting_and_keeps_the_cause() {
        let error = BindError::new(Transport::Tcp, 8000, ErrorKind::AddrInUse.into());
        let message = error.to_string();
        assert!(message.starts_with("TCP port 8000 is taken") && message.contains("`tcp_port`"), "{message}");
        assert!(error.source().is_some());
    }
}
