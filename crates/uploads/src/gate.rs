//! Whether uploads may run at the moment, and at which rate: hours of the day, and connections that are charged by volume.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::hours::{Hours, Minute, Rate, at};
use serde::{Deserialize, Serialize};
use transfers::Limit;

/// Whether the connection to the internet is charged by volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Metered {
    /// NetworkManager tells it. Without NetworkManager the connection is not charged by volume.
    #[default]
    Auto,
    /// The connection is charged by volume.
    Yes,
    /// The connection is not charged by volume.
    No,
}

/// The settings that decide when uploads may run.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    /// The hours with a rate of their own.
    pub(crate) hours: Vec<Hours>,
    /// The rate at all other times.
    pub(crate) rate: Limit,
    /// Whether the connection to the internet is charged by volume.
    pub(crate) metered: Metered,
    /// Whether the destination is reached over the internet.
    pub(crate) is_remote: bool,
}

/// Decision about the uploads at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Uploads run; the rate is in bytes per second, `None` for no limit.
    Open(Option<u64>),
    /// Nothing is uploaded for this reason.
    Closed(String),
}

impl Gate {
    /// Decides about a minute of the day, by the local time of the robot. `is_metered` is what NetworkManager says, if it
    /// says anything.
    pub(crate) fn judge(&self, minute: Minute, is_metered: Option<bool>) -> Verdict {
        let hours = at(&self.hours, minute);
        let rate = hours.map_or(Rate::UpTo(self.rate), Hours::rate);
        let closed = |reason: &str| Verdict::Closed(reason.to_owned());
        match (self.metered, rate) {
            (Metered::Yes, _) if self.is_remote => {
                closed("the connection is charged by volume (`metered` in the section [uploads])")
            }
            (Metered::Auto, _) if self.is_remote && is_metered == Some(true) => closed(
                "NetworkManager says that the connection is charged by volume; `metered = \"no\"` in the section [uploads] ignores this",
            ),
            (_, Rate::Off) => {
                let span = hours.map(Hours::span).unwrap_or_default();
                Verdict::Closed(format!("uploads are off from {span} (`hours` in the section [uploads])"))
            }
            (_, Rate::UpTo(Limit::Rate(rate))) => Verdict::Open(Some(rate)),
            (_, Rate::UpTo(Limit::None | Limit::Default)) => Verdict::Open(None),
        }
    }

    /// Returns whether NetworkManager's word matters.
    pub(crate) fn asks(&self) -> bool {
        self.metered == Metered::Auto && self.is_remote
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(hours: &[&str]) -> Gate {
        let hours = hours.iter().map(|text| text.parse().unwrap()).collect();
        Gate { hours, rate: Limit::Rate(2_000_000), metered: Metered::Auto, is_remote: true }
    }

    /// Returns what is uploaded in a whole day of these minutes at the rates of the gate, in bytes per second and minute.
    fn day(gate: &Gate, is_metered: Option<bool>) -> Vec<(Verdict, usize)> {
        let mut parts: Vec<(Verdict, usize)> = Vec::new();
        for hour in 0..24 {
            for minute in 0..60 {
                let verdict = gate.judge(Minute::of(hour, minute).unwrap(), is_metered);
                match parts.last_mut() {
                    Some((last, minutes)) if *last == verdict => *minutes += 1,
                    _ => parts.push((verdict, 1)),
                }
            }
        }
        parts
    }

    #[test]
    fn a_day_is_divided_by_the_hours() {
        let reason = "uploads are off from 08:00-16:00 (`hours` in the section [uploads])".to_owned();
        let usual = || Verdict::Open(Some(2_000_000));
        assert_eq!(
            day(&gate(&["08:00-16:00 off", "22:00-06:00 none"]), None),
            [
                (Verdict::Open(None), 6 * 60),
                (usual(), 2 * 60),
                (Verdict::Closed(reason), 8 * 60),
                (usual(), 6 * 60),
                (Verdict::Open(None), 2 * 60),
            ]
        );
    }

    #[test]
    fn a_metered_connection_is_not_used_for_a_remote_storage() {
        let is_open = |gate: &Gate, is_metered| {
            day(gate, is_metered).iter().all(|(verdict, _)| matches!(verdict, Verdict::Open(_)))
        };
        let auto = gate(&[]);
        assert!(is_open(&auto, None) && is_open(&auto, Some(false)) && !is_open(&auto, Some(true)));
        assert!(auto.asks());
        let no = Gate { metered: Metered::No, ..auto.clone() };
        assert!(is_open(&no, Some(true)) && !no.asks());
        let yes = Gate { metered: Metered::Yes, ..auto.clone() };
        assert!(!is_open(&yes, Some(false)) && !yes.asks());
        let folder = Gate { is_remote: false, ..yes };
        assert!(is_open(&folder, Some(true)), "a folder is on this robot");
    }
}
