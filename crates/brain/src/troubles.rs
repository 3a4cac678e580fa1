//! The troubles of this node: faults that channels reported and that still last.

use routing::{MAX_CHANNELS, Trouble};
use std::collections::BTreeMap;
use std::time::Duration;
use telemetry::FaultReport;

/// Maximum number of troubles that are kept. A further one evicts the oldest.
const MAX_TROUBLES: usize = MAX_CHANNELS;

/// Reported faults by the names of their channels, with the time since which each lasts.
#[derive(Debug, Default)]
pub(crate) struct Troubles {
    by_name: BTreeMap<String, (FaultReport, Duration)>,
}

impl Troubles {
    /// Notes the fault of a channel. `None` means that the channel works.
    pub(crate) fn note(&mut self, name: String, fault: Option<FaultReport>, now: Duration) {
        let Some(fault) = fault else {
            self.by_name.remove(&name);
            return;
        };
        if let Some((known, _)) = self.by_name.get_mut(&name) {
            *known = fault;
            return;
        }
        if self.by_name.len() >= MAX_TROUBLES {
            let oldest = self.by_name.iter().min_by_key(|(_, (_, since))| since);
            if let Some(name) = oldest.map(|(name, _)| name.clone()) {
                self.by_name.remove(&name);
            }
        }
        self.by_name.insert(name, (fault, now));
    }

    /// Returns the status of each trouble, ordered by name.
    pub(crate) fn statuses(&self, now: Duration) -> Vec<Trouble> {
        let status = |(name, (fault, since)): (&String, &(FaultReport, Duration))| Trouble {
            channel: name.clone(),
            code: fault.code().to_owned(),
            message: fault.message(),
            seconds: now.saturating_sub(*since).as_secs(),
        };
        self.by_name.iter().map(status).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telemetry::{faults, report};

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_trouble_is_reported_with_code_message_and_duration() {
        let mut troubles = Troubles::default();
        troubles.note("tcp".to_owned(), Some(report!(faults::TCP_PORT_TAKEN, port = 8000)), at(5));
        let refused = report!(faults::TCP_REFUSED);
        troubles.note("tcp".to_owned(), Some(refused.clone()), at(7));
        let told = Trouble {
            channel: "tcp".to_owned(),
            code: "tcp.refused".to_owned(),
            message: refused.message(),
            seconds: 4,
        };
        assert_eq!(troubles.statuses(at(9)), [told]);
        troubles.note("tcp".to_owned(), None, at(10));
        assert_eq!(troubles.statuses(at(11)), []);
    }

    #[test]
    fn a_further_trouble_evicts_the_oldest_of_a_full_table() {
        let mut troubles = Troubles::default();
        for number in 0..=MAX_TROUBLES as u64 {
            // The names are in the reverse order.
            let name = format!("link {:03}", 999 - number);
            troubles.note(name, Some(report!(faults::TCP_REFUSED)), at(number));
        }
        let told = troubles.statuses(at(99));
        assert_eq!(told.len(), MAX_TROUBLES);
        assert!(told.iter().all(|trouble| trouble.channel != "link 999"));
    }
}
