//! Forwarding decisions of an Ethernet switch. This module is pure: it has no I/O.

use std::collections::BTreeMap;

type Mac = [u8; 6];

/// Length in bytes of an Ethernet header: destination, source, type.
const HEADER_BYTES: usize = 14;

/// The ports of a switch, and the addresses learnt behind each port.
#[derive(Debug, Default)]
pub(crate) struct Forwarding {
    /// The group of each port. Ports of different groups do not hear each other.
    groups: Vec<u32>,
    behind: BTreeMap<Mac, usize>,
}

/// Destination ports of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Receivers {
    One(usize),
    /// All ports except the sender's.
    Others,
}

impl Forwarding {
    /// Adds a port in group 0. Ports are numbered from 0.
    pub(crate) fn add_port(&mut self) {
        self.groups.push(0);
    }

    pub(crate) fn set_group(&mut self, port: usize, group: u32) {
        if let Some(current) = self.groups.get_mut(port) {
            *current = group;
        }
    }

    /// Learns the sender's address, and returns the destination of the frame. Returns `None` when the bytes are not a
    /// frame or the receiver is behind the same port.
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
            // The address is broadcast, multicast, or has not sent a frame yet.
            None => Some(Receivers::Others),
        }
    }

    /// Returns the ports that receive a frame from this port now.
    pub(crate) fn hearers(&self, from: usize, receivers: Receivers) -> impl Iterator<Item = usize> + '_ {
        let ports = match receivers {
            Receivers::One(port) => port..port + 1,
            Receivers::Others => 0..self.groups.len(),
        };
        ports.filter(move |port| *port != from && self.groups.get(*port) == self.groups.get(from))
    }
}

/// Returns whether an address stands for several hosts, so that no single host has it.
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
    fn a_frame_to_an_unknown_address_is_flooded_and_to_a_known_one_is_not() {
        let mut forwarding = three_ports();
        assert_eq!(forwarding.route(0, &frame(11, 10)), Some(Receivers::Others));
        assert_eq!(forwarding.route(1, &frame(10, 11)), Some(Receivers::One(0)));
        assert_eq!(forwarding.route(0, &frame(11, 10)), Some(Receivers::One(1)));
        assert_eq!(forwarding.route(0, &frame(0xff, 10)), Some(Receivers::Others));
        assert_eq!(hearers(&forwarding, 0, Receivers::Others), [1, 2]);
        assert_eq!(hearers(&forwarding, 0, Receivers::One(1)), [1]);
        // A host that moves to another port is found there.
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
    fn a_malformed_frame_and_one_to_the_same_port_are_dropped() {
        let mut forwarding = three_ports();
        assert_eq!(forwarding.route(0, &frame(11, 10)[..13]), None);
        // The receiver is behind the same port and has heard the frame already.
        forwarding.route(0, &frame(0xff, 12));
        assert_eq!(forwarding.route(0, &frame(12, 10)), None);
    }
}
