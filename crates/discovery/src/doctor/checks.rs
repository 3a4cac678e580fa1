//! The checks. Each is a pure function of what was observed, in a file of its own.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod clock;
mod consent;
mod disk;
mod dns;
mod folders;
mod hearing;
mod identity;
mod interfaces;
mod internet;
mod irc;
mod isolation;
mod memory;
mod multicast_dns;
mod names;
mod other;
mod other_swarm;
mod portal;
mod ports;
mod privacy;
mod servers;
mod target;
mod troubles;

use crate::doctor::observed::Observed;
use crate::protocol::Finding;

pub(crate) use isolation::is_silent;

/// A check of what was observed. It returns at least one finding if it applies.
pub(crate) type Check = fn(&Observed) -> Vec<Finding>;

/// All checks, in the order in which their findings are shown.
pub(crate) const CHECKS: &[Check] = &[
    target::check,
    identity::check,
    names::check,
    clock::check,
    interfaces::check,
    ports::check,
    hearing::check,
    isolation::check,
    other_swarm::check,
    internet::check,
    portal::check,
    dns::check,
    irc::check,
    servers::check,
    multicast_dns::check,
    disk::check,
    folders::check,
    memory::check,
    other::check,
    privacy::check,
    consent::check,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Verdict;
    use routing::Trouble;
    use std::collections::BTreeSet;

    /// Runs all checks.
    fn diagnose(observed: &Observed) -> Vec<Finding> {
        CHECKS.iter().flat_map(|check| check(observed)).collect()
    }

    #[test]
    fn where_nothing_was_observed_nothing_is_wrong() {
        let findings = diagnose(&Observed::default());
        assert!(findings.iter().all(|finding| finding.verdict <= Verdict::Unknown), "{findings:#?}");
    }

    #[test]
    fn every_fault_of_the_daemon_is_found_by_exactly_one_check() {
        for fault in telemetry::faults::ALL {
            let message = format!("{}; {}", fault.sentence, fault.way_out);
            let trouble =
                Trouble { channel: "somewhere".into(), code: fault.code.into(), message, seconds: 1 };
            let observed = Observed { troubles: vec![trouble], ..Observed::default() };
            let findings = diagnose(&observed);
            let found: Vec<&Finding> = findings.iter().filter(|found| found.code == fault.code).collect();
            let [found] = found.as_slice() else { panic!("{}: {findings:#?}", fault.code) };
            assert!(found.verdict >= Verdict::Warning, "{found:?}");
            assert!(found.remedy.is_some(), "{found:?}");
        }
    }

    #[test]
    fn the_codes_of_faults_are_unique_among_both_tables() {
        let tables = [telemetry::faults::ALL, crate::doctor::faults::ALL].concat();
        let codes: BTreeSet<&str> = tables.iter().map(|fault| fault.code).collect();
        assert_eq!(codes.len(), tables.len());
    }
}
