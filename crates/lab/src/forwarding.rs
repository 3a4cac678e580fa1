//! To whom a frame goes: what an Ethernet switch knows. Pure.

use std::collections::BTreeMap;

type Mac = [u8; 6];

/// An Ethernet header: destination, source, type.
const HEADER_BYTES: usize = 14;

/// The ports of a switch, and who was heard behind which.
#[derive(Debug, Default)]
pub(crate) struct Forwarding {
    /// The group of each port. Those of different groups do not hear each other.
    groups: Vec<u32>,
    behind: BTreeMap<Mac, usize>,
}

/// Where a frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Receivers {
    One(usize),
    /// All ports but its own.
    Others,
}

impl Forwarding {
    /// One more port, in group 0; the first is number 0.
    pub(crate) fn add_port(&mut self) {
        self.groups.push(0);
    }

    pub(crate) fn set_group(&mut self, port: usize, group: u32) {
        if let Some(current) = self.groups.get_mut(port) {
            *current = group;
        }
    }

    /// Learns who sends, and says where the frame goes; `None` when it is not one.
    pub(crate) fn route(&mut self, from: usize, frame: &[u8]) -> Option<Receivers> {
        let header = frame.get(..HEADER_BYTES)?;
        let destination: Mac = header[..6].try_into().ok()?;
        let source: Mac = header[6..12].try_into().ok()?;
        if !is_group(source) {
            self.behind.insert(source, from);
        }
        match self.behind.get(&destination) {
            Some(port) if *port == from => None,
            Some(port) => Some(Receivers::One(*port)),
            // Broadcast, multicast, and whoever has not spoken yet.
            None => Some(Receivers::Others),
        }
    }

    /// The ports that hear a frame from this one now.
    pub(crate) fn hearers(&self, from: usize, receivers: Receivers) -> impl Iterator<Item = usize> + '_ {
        let ports = match receivers {
            Receivers::One(port) => port..port + 1,
            Receivers::Others => 0..self.groups.len(),
        };
        ports.filter(move |port| *port != from && self.groups.get(*port) == self.groups.get(from))
    }
}

/// Whether an address stands for several: nobody can be behind it.
fn is_group(mac: Mac) -> bool {
    mac[0] & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(to: u8, from: u8) -> Vec<u8> {
        let mac = |last| [2, 0, 0, 0, 0, last];
        let to = if to == 0xff { [0xff; 6] } else { mac(to) };
        [&to[..], &mac(from), &[8, 0, 1, 2, 3]].concat()
    }

    fn three_ports() -> Forwarding {
        let mut forwarding = Forwarding::default();
        (0..3).for_each(|_| forwarding.add_port());
        forwarding
    }

    fn hearers(forwarding: &Forwarding, from: usize, receivers: Receivers) -> Vec<usize> {
        forwarding.hearers(from, receivers).collect()
    }

    #[test]
    fn the_unknown_is_flooded_and_the_known_goes_to_one() {
        let mut forwarding = three_ports();
        assert_eq!(forwarding.route(0, &frame(11, 10)), Some(Receivers::Others));
        assert_eq!(forwarding.route(1, &frame(10, 11)), Some(Receivers::One(0)));
        assert_eq!(forwarding.route(0, &frame(11, 10)), Some(Receivers::One(1)));
        assert_eq!(forwarding.route(0, &frame(0xff, 10)), Some(Receivers::Others));
        assert_eq!(hearers(&forwarding, 0, Receivers::Others), [1, 2]);
        assert_eq!(hearers(&forwarding, 0, Receivers::One(1)), [1]);
        // Whoever moves to another port is found there.
        forwarding.route(2, &frame(0xff, 11));
        assert_eq!(forwarding.route(0, &frame(11, 10)), Some(Receivers::One(2)));
    }

    #[test]
    fn groups_do_not_hear_each_other() {
        let mut forwarding = three_ports();
        forwarding.set_group(2, 1);
        assert_eq!(hearers(&forwarding, 0, Receivers::Others), [1]);
        assert!(hearers(&forwarding, 0, Receivers::One(2)).is_empty());
        forwarding.set_group(2, 0);
        assert_eq!(hearers(&forwarding, 0, Receivers::One(2)), [2]);
    }

    #[test]
    fn what_is_no_frame_goes_nowhere() {
        let mut forwarding = three_ports();
        assert_eq!(forwarding.route(0, &frame(11, 10)[..13]), None);
        // To somebody behind the same port: it has heard it already.
        forwarding.route(0, &frame(0xff, 12));
        assert_eq!(forwarding.route(0, &frame(12, 10)), None);
    }
}
