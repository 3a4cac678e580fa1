//! The faults of UDP. Each fault is reported once.

use super::cast::CastMode;
use super::lan::{Lan, UnicastHeard};
use std::collections::BTreeMap;
use std::time::Duration;
use telemetry::{FaultReport, faults, report};

/// Time after which a fault is reported if hosts are heard by unicast only. In this time, each host sends at least two
/// lines by all cast modes.
const LONG: Duration = Duration::from_secs(150);

/// Returns the fault of an interface. If there are several faults, returns the most informative one.
pub(crate) fn lan_fault(lan: &Lan, port: u16, now: Duration) -> Option<FaultReport> {
    let interface = &lan.interface;
    if let Some(failure) = lan.sending.failure(now) {
        return Some(failure.report(interface));
    }
    if let (Some(host), Some(network)) = (lan.stranger(now), interface.networks.first()) {
        let interface = format!("{} ({network})", interface.name);
        return Some(report!(faults::UDP_NETMASK_WRONG, interface = interface, host = host));
    }
    if let Some(failure) = lan.broadcasting.failure(now) {
        return Some(failure.report_broadcasts(interface));
    }
    if lan.cast.is_silent(CastMode::Broadcast, CastMode::Multicast4, now) {
        return Some(report!(faults::UDP_BROADCASTS_FILTERED, interface = interface, port = port));
    }
    if lan.cast.is_silent(CastMode::Multicast4, CastMode::Broadcast, now) {
        return Some(report!(faults::UDP_MULTICASTS_FILTERED, interface = interface));
    }
    let UnicastHeard { host, since, last } = lan.unicast_heard?;
    let is_lasting = last.saturating_sub(since) >= LONG && now.saturating_sub(last) < LONG;
    (is_lasting && !lan.cast.is_anybody_heard(now))
        .then(|| report!(faults::UDP_ONLY_UNICAST, interface = interface, host = host, port = port))
}

/// Last reported fault of each channel, by the name of the channel.
#[derive(Debug, Default)]
pub(crate) struct LastReports(BTreeMap<String, FaultReport>);

impl LastReports {
    /// Returns whether no fault is reported.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Records a report. Returns whether it differs from the last one.
    pub(crate) fn is_new(&mut self, name: &str, fault: Option<&FaultReport>) -> bool {
        let former = match fault {
            Some(fault) => self.0.insert(name.to_owned(), fault.clone()),
            None => self.0.remove(name),
        };
        former.as_ref() != fault
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_is_reported_once() {
        let broken = |host: &str| report!(faults::UDP_NETMASK_WRONG, interface = "eth0", host = host);
        let mut last = LastReports::default();
        assert!(!last.is_new("eth0", None));
        assert!(last.is_new("eth0", Some(&broken("10.0.0.1"))));
        assert!(!last.is_new("eth0", Some(&broken("10.0.0.1"))));
        assert!(last.is_new("eth0", Some(&broken("10.0.0.2"))));
        assert!(last.is_new("eth0", None));
        assert!(!last.is_new("eth0", None));
    }
}
