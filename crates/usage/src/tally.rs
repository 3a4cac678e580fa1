//! The notes of a robot during a week, from which its report is made.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::fields::{FIELDS, Field, UNKNOWN};
use crate::hex::Hex32;
use crate::observed::{Observed, is_peak, nothing_known, rank, time_of_use};
use crate::payload::Payload;
use crate::week::Week;
use dcache::Time;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Number of hours in a day.
const DAY_HOURS: u8 = 24;

/// The notes of a robot about one week. They contain nothing but values of the table, and the hours in which the daemon ran. They
/// stay on the robot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub(crate) week: Week,
    /// The secret from which the ID of the report follows.
    pub(crate) secret: Hex32,
    /// Hours of the week, from 0 to 167, in which the daemon ran.
    hours: BTreeSet<u8>,
    /// The present value of each field, by its name.
    values: BTreeMap<String, String>,
}

impl Tally {
    pub(crate) fn new(week: Week, secret: Hex32) -> Self {
        Self { week, secret, hours: BTreeSet::new(), values: BTreeMap::new() }
    }

    /// Returns whether the hour of this time is noted already.
    pub(crate) fn has_hour(&self, now: Time) -> bool {
        self.hours.contains(&self.week.hour(now))
    }

    /// Notes the hour of this time, which is in the week, and the facts of the robot. Returns whether anything is new.
    pub(crate) fn note(&mut self, now: Time, observed: &Observed) -> bool {
        let mut is_new = self.hours.insert(self.week.hour(now));
        for field in FIELDS {
            let Some(value) = observed.value(field) else { continue };
            let former = self.values.get(field.name).and_then(|former| field.value(former));
            // After a start, the daemon does not know all facts at once.
            let is_less = former.is_some_and(|former| {
                value == UNKNOWN || (is_peak(field) && rank(field, former) > rank(field, value))
            });
            if !is_less && former != Some(value) {
                self.values.insert(field.name.to_owned(), value.to_owned());
                is_new = true;
            }
        }
        is_new
    }

    /// Makes the report, with the fields of this version of the list.
    pub(crate) fn payload(&self, list: u16) -> Payload {
        Payload::new(list, self.week, &self.secret, |field| self.value(field))
    }

    fn value(&self, field: &'static Field) -> &'static str {
        let days: BTreeSet<u8> = self.hours.iter().map(|hour| hour / DAY_HOURS).collect();
        let use_of = time_of_use(field, self.hours.len() as u64, days.len() as u64);
        let noted = || self.values.get(field.name).and_then(|noted| field.value(noted));
        use_of.or_else(noted).unwrap_or_else(|| nothing_known(field))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::LIST_VERSION;
    use crate::observed::LocalPart;
    use crate::observed::tests::{NOW, open_swarm, say};
    use crate::week::HOUR;
    use dcache::{Keypair, Set, buckets};

    fn value(tally: &Tally, name: &str) -> &'static str {
        let payload = tally.payload(LIST_VERSION);
        payload.values().find(|(field, _)| field.name == name).unwrap().1
    }

    #[test]
    fn hours_days_and_peaks_of_a_week_are_noted() {
        let me = Keypair::from_seed([1; 32]);
        let mut set = open_swarm();
        let local = LocalPart { version: "0.1.0".to_owned(), has_key: false };
        let monday = Week::of(NOW).begin();
        let mut tally = Tally::new(Week::of(NOW), Hex32([1; 32]));
        assert_eq!((value(&tally, "hours"), value(&tally, "robot_type")), ("1-5", "unknown"));
        for seed in 1..=7 {
            let key = Keypair::from_seed([seed; 32]);
            say(&mut set, &key, buckets::PEER.path(), &key.peer_id().to_string());
        }
        say(&mut set, &me, buckets::ROBOT.of(me.peer_id()), r#"{"type":"watchtower"}"#);
        let observed = Observed::of(&set, me.peer_id(), NOW, &local);
        assert!(tally.note(NOW, &observed));
        assert!(!tally.note(NOW, &observed), "nothing has to be written");
        assert_eq!(value(&tally, "robots"), "6-20");
        for hour in 0..30 {
            let now = monday.plus(hour * HOUR);
            tally.note(now, &Observed::of(&Set::default(), me.peer_id(), now, &local));
            assert!(tally.has_hour(now.plus(HOUR - 1)));
        }
        assert!(!tally.has_hour(monday.plus(50 * HOUR)));
        let read: Tally = serde_json::from_str(&serde_json::to_string(&tally).unwrap()).unwrap();
        assert_eq!(read, tally);
        let seen = ["robots", "hours", "days", "version", "robot_type"].map(|name| value(&tally, name));
        assert_eq!(seen, ["6-20", "21-60", "2-3", "0.1.0", "watchtower"], "peaks and known texts are kept");
    }
}
