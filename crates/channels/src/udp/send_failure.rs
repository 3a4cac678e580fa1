//! Tracks whether sending fails, and why.

use std::fmt::Display;
use std::io::{Error, ErrorKind};
use std::time::Duration;
use telemetry::{FaultReport, faults, report};

/// Time for which sending has to fail before it is reported. Avoids a report for a cable that is soon plugged in again.
const REPORT_AFTER: Duration = Duration::from_secs(10);

/// Results of the latest attempts to send.
#[derive(Debug, Default)]
pub(crate) struct SendStreak {
    /// Start of the current series of failures, and the latest failure.
    failing: Option<(Duration, SendFailure)>,
}

/// Reason why nothing can be sent.
#[derive(Debug)]
pub(crate) struct SendFailure {
    kind: ErrorKind,
    message: String,
}

impl SendStreak {
    /// Records the result of one more attempt.
    pub(crate) fn note(&mut self, result: &Result<(), Error>, now: Duration) {
        self.failing = match (result, self.failing.take()) {
            (Ok(()), _) => None,
            (Err(error), former) => Some((former.map_or(now, |(since, _)| since), SendFailure::new(error))),
        };
    }

    /// Returns whether the last attempt failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.failing.is_some()
    }

    /// Returns the latest failure if all attempts of the last ten seconds or longer have failed.
    pub(crate) fn failure(&self, now: Duration) -> Option<&SendFailure> {
        let (since, failure) = self.failing.as_ref()?;
        (now.saturating_sub(*since) >= REPORT_AFTER).then_some(failure)
    }
}

impl SendFailure {
    fn new(error: &Error) -> Self {
        Self { kind: error.kind(), message: error.to_string() }
    }

    /// Returns the fault that nothing can be sent to a host, or by an interface.
    pub(crate) fn report(&self, target: impl Display) -> FaultReport {
        let error = &self.message;
        match self.kind {
            ErrorKind::PermissionDenied => {
                report!(faults::UDP_SENDING_FORBIDDEN, target = target, error = error)
            }
            ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => {
                report!(faults::UDP_NO_ROUTE, target = target, error = error)
            }
            ErrorKind::NetworkDown => report!(faults::UDP_INTERFACE_DOWN, target = target, error = error),
            ErrorKind::TimedOut => report!(faults::UDP_SENDING_STUCK, target = target, error = error),
            _ => report!(faults::UDP_SENDING_FAILS, target = target, error = error),
        }
    }

    /// Returns the fault that an interface cannot send broadcasts, while multicast works.
    pub(crate) fn report_broadcasts(&self, interface: impl Display) -> FaultReport {
        let error = &self.message;
        match self.kind {
            ErrorKind::PermissionDenied => {
                report!(faults::UDP_BROADCASTS_FORBIDDEN, interface = interface, error = error)
            }
            _ => report!(faults::UDP_BROADCASTS_FAIL, interface = interface, error = error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn only_lasting_failures_are_reported() {
        let mut streak = SendStreak::default();
        let refused = || Err(Error::from(ErrorKind::PermissionDenied));
        streak.note(&refused(), at(1));
        assert!(streak.failure(at(10)).is_none());
        streak.note(&refused(), at(11));
        assert!(streak.failure(at(11)).is_some());
        streak.note(&Ok(()), at(12));
        streak.note(&refused(), at(13));
        assert!(streak.failure(at(14)).is_none());
    }

    #[test]
    fn the_latest_cause_is_reported() {
        let mut streak = SendStreak::default();
        streak.note(&Err(ErrorKind::PermissionDenied.into()), at(0));
        streak.note(&Err(ErrorKind::NetworkDown.into()), at(9));
        let report = streak.failure(at(10)).map(|failure| failure.report("eth0"));
        assert_eq!(report.map(|report| report.code()), Some("udp.interface-down"));
    }

    #[test]
    fn each_cause_has_its_own_fault() {
        let report = |kind: ErrorKind| SendFailure::new(&kind.into()).report("eth0");
        for (kind, code) in [
            (ErrorKind::PermissionDenied, "udp.sending-forbidden"),
            (ErrorKind::NetworkUnreachable, "udp.no-route"),
            (ErrorKind::HostUnreachable, "udp.no-route"),
            (ErrorKind::NetworkDown, "udp.interface-down"),
            (ErrorKind::TimedOut, "udp.sending-stuck"),
            (ErrorKind::Other, "udp.sending-fails"),
        ] {
            let report = report(kind);
            assert_eq!(report.code(), code);
            assert!(report.message().starts_with("eth0: nothing can be sent"), "{report}");
        }
        assert!(report(ErrorKind::PermissionDenied).message().contains("firewall"));
        let broadcasts = |kind: ErrorKind| SendFailure::new(&kind.into()).report_broadcasts("eth0").code();
        assert_eq!(broadcasts(ErrorKind::PermissionDenied), "udp.broadcasts-forbidden");
        assert_eq!(broadcasts(ErrorKind::TimedOut), "udp.broadcasts-fail");
    }
}
