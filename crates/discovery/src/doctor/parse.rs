//! Reads the texts in which the system describes its networks.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::net::{IpAddr, Ipv4Addr};

/// Maximum number of lines of a text that are read.
const MAX_LINES: usize = 4096;
/// Maximum number of name servers that are used. The C library uses three.
const MAX_NAME_SERVERS: usize = 3;
/// Flag of a route that is up.
const UP: u32 = 1;
/// Flag of a route that leads through a gateway.
const GATEWAY: u32 = 2;
/// Flag of an IPv6 route that refuses its destination.
const REJECT: u32 = 0x200;

/// A route in `/proc/net/route`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RouteLine {
    pub(crate) interface: String,
    pub(crate) destination: Ipv4Addr,
    pub(crate) netmask: Ipv4Addr,
    /// Whether the route leads through a gateway.
    pub(crate) has_gateway: bool,
}

impl RouteLine {
    /// Returns whether the route leads to all hosts.
    pub(crate) fn is_default(&self) -> bool {
        self.destination.is_unspecified() && self.netmask.is_unspecified()
    }
}

/// Reads the routes that are up from the text of `/proc/net/route`.
pub(crate) fn routes(text: &str) -> Vec<RouteLine> {
    text.lines().skip(1).take(MAX_LINES).filter_map(route).collect()
}

fn route(line: &str) -> Option<RouteLine> {
    let fields: Vec<&str> = line.split_whitespace().take(8).collect();
    let &[interface, destination, _, flags, _, _, _, netmask] = fields.as_slice() else { return None };
    // The numbers are in the order of the host, and the bytes of an address in the order of the network.
    let address =
        |hex: &str| u32::from_str_radix(hex, 16).ok().map(|bits| Ipv4Addr::from(bits.to_ne_bytes()));
    let flags = u32::from_str_radix(flags, 16).ok().filter(|flags| flags & UP != 0)?;
    Some(RouteLine {
        interface: interface.to_owned(),
        destination: address(destination)?,
        netmask: address(netmask)?,
        has_gateway: flags & GATEWAY != 0,
    })
}

/// Returns whether the text of `/proc/net/ipv6_route` has a route to all hosts.
pub(crate) fn has_default_route6(text: &str) -> bool {
    text.lines().take(MAX_LINES).any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let flags = fields.get(8).and_then(|flags| u32::from_str_radix(flags, 16).ok()).unwrap_or_default();
        let is_for_all = fields.first().is_some_and(|to| to.bytes().all(|digit| digit == b'0'));
        is_for_all
            && fields.get(1) == Some(&"00")
            && flags & (UP | REJECT) == UP
            && fields.get(9) != Some(&"lo")
    })
}

/// Reads the name servers of the text of `/etc/resolv.conf`.
pub(crate) fn name_servers(text: &str) -> Vec<IpAddr> {
    let server = |line: &str| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next()?.parse().ok()).flatten()
    };
    text.lines().take(MAX_LINES).filter_map(server).take(MAX_NAME_SERVERS).collect()
}

/// A UDP socket in `/proc/net/udp` or `/proc/net/udp6`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SocketLine {
    pub(crate) user: u32,
    pub(crate) inode: u64,
}

/// Reads the sockets that hold a port from the text of `/proc/net/udp` or `/proc/net/udp6`.
pub(crate) fn holders(text: &str, port: u16) -> Vec<SocketLine> {
    let socket = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().take(10).collect();
        let (_, held) = fields.get(1)?.rsplit_once(':')?;
        let is_held = u16::from_str_radix(held, 16) == Ok(port);
        let (user, inode) = (fields.get(7)?.parse().ok()?, fields.get(9)?.parse().ok()?);
        is_held.then_some(SocketLine { user, inode })
    };
    text.lines().skip(1).take(MAX_LINES).filter_map(socket).collect()
}

/// Reads the available and the total memory in bytes from the text of `/proc/meminfo`.
pub(crate) fn memory(text: &str) -> Option<(u64, u64)> {
    let value = |name: &str| {
        let line = text.lines().take(MAX_LINES).find_map(|line| line.strip_prefix(name))?;
        let kib: u64 = line.strip_prefix(':')?.trim().strip_suffix("kB")?.trim().parse().ok()?;
        kib.checked_mul(1024)
    };
    Some((value("MemAvailable")?, value("MemTotal")?))
}

/// Returns the inode of the socket that a link in `/proc/PID/fd` names.
pub(crate) fn socket_inode(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_read() {
        let text = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
            wlan0\t00000000\t0100A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n\
            wlan0\t0000A8C0\t00000000\t0001\t0\t0\t600\t00FFFFFF\t0\t0\t0\n\
            eth0\t0000A8C0\t00000000\t0000\t0\t0\t600\t00FFFFFF\t0\t0\t0\nbroken\n";
        let [default, own] = &routes(text)[..] else { panic!("{:?}", routes(text)) };
        assert!(default.is_default() && default.has_gateway && !own.is_default());
        assert_eq!(own.destination, Ipv4Addr::new(192, 168, 0, 0));
        assert_eq!(own.netmask, Ipv4Addr::new(255, 255, 255, 0));
        assert!(routes("").is_empty());
    }

    #[test]
    fn a_default_route_of_ipv6_is_read() {
        let zeros = "0".repeat(32);
        let line = |length: &str, flags: &str, interface: &str| {
            format!("{zeros} {length} {zeros} 00 {zeros} 00000400 00000001 00000000 {flags} {interface}\n")
        };
        assert!(has_default_route6(&line("00", "00000003", "wlan0")));
        assert!(!has_default_route6(&line("00", "00200200", "lo")));
        assert!(!has_default_route6(&line("40", "00000001", "wlan0")));
        assert!(!has_default_route6(""));
    }

    #[test]
    fn name_servers_are_read() {
        let text =
            "# nameserver 10.0.0.9\nsearch lan\nnameserver 10.0.0.1\nnameserver  fd00::1 # x\nnameserver y\n";
        let servers: Vec<IpAddr> = ["10.0.0.1", "fd00::1"].map(|ip| ip.parse().unwrap()).into();
        assert_eq!(name_servers(text), servers);
        assert_eq!(name_servers(&"nameserver 10.0.0.1\n".repeat(9)).len(), MAX_NAME_SERVERS);
    }

    #[test]
    fn the_holders_of_a_port_are_read() {
        let text = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            1: 00000000:14E9 00000000:0000 07 00000000:00000000 00:00000000 00000000   107        0 4711 2 0 0\n\
            2: 00000000:04D8 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4712 2 0 0\n";
        assert_eq!(holders(text, 5353), [SocketLine { user: 107, inode: 4711 }]);
        assert_eq!(holders(text, 1240), [SocketLine { user: 0, inode: 4712 }]);
        assert_eq!(holders("", 5353), []);
        assert_eq!((socket_inode("socket:[4711]"), socket_inode("/dev/null")), (Some(4711), None));
    }

    #[test]
    fn the_memory_is_read() {
        let text = "MemTotal:        4096 kB\nMemFree: 1 kB\nMemAvailable:    1024 kB\n";
        assert_eq!(memory(text), Some((1024 * 1024, 4096 * 1024)));
        assert_eq!(memory("MemTotal: 1 kB\n"), None);
    }
}
