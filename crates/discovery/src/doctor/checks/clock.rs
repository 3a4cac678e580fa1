//! The clock of this host, compared with those of its neighbours.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::troubles::{self, Family};
use crate::doctor::findings::{count, unknown, works};
use crate::doctor::observed::Observed;
use crate::protocol::Finding;

const CODE: &str = "clock";

pub(crate) fn check(observed: &Observed) -> Vec<Finding> {
    let wrong = troubles::of(observed, Family::Clock);
    if !wrong.is_empty() {
        return wrong;
    }
    let battery = match observed.has_battery_clock {
        Some(false) => "; it stops while this host is switched off, so it needs a network after each start",
        _ => "",
    };
    vec![match observed.clocks {
        0 => unknown(
            CODE,
            format!("no neighbour shows the time, so the clock of this host cannot be compared{battery}"),
        ),
        number => works(
            CODE,
            format!(
                "the clock of this host agrees with those of its neighbours ({}){battery}",
                count(number, "host")
            ),
        ),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Verdict;

    #[test]
    fn a_clock_is_right_if_neighbours_show_the_same_time() {
        let at = |clocks| check(&Observed { clocks, has_battery_clock: Some(false), ..Observed::default() });
        assert_eq!(at(0)[0].verdict, Verdict::Unknown);
        assert_eq!(at(2)[0].verdict, Verdict::Works);
        assert!(at(2)[0].message.contains("2 hosts"));
    }
}
