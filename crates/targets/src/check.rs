//! Checks whether an address that another peer named may be contacted at all.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// First port that does not belong to services of the operating system, such as mail, names, remote shells and web
/// servers. A node of the swarm needs none of the lower ports.
const FIRST_FREE_PORT: u16 = 1024;

/// Ports of other services that are commonly open on a local network and would misread the lines of this node. They are
/// the ports above 1023 that browsers refuse to contact (WHATWG Fetch, "bad port"), and common ports for discovery,
/// remote control and databases.
const PORTS_OF_OTHERS: &[u16] = &[
    1433, 1719, 1720, 1723, 1900, 2049, 2375, 3306, 3389, 3659, 4045, 4190, 5060, 5061, 5353, 5355, 5432,
    5900, 6000, 6379, 6566, 6665, 6666, 6667, 6668, 6669, 6697, 9200, 10_080, 11_211, 27_017,
];

/// The reason why an address that another peer named is not contacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The address belongs to no single host: it is unspecified, multicast, broadcast or reserved.
    #[error("this is not the address of a single host")]
    NoHost,
    /// The address leads to this computer itself.
    #[error("a loopback address is contacted only if its peer was heard there")]
    Loopback,
    /// The address is link-local: the same address belongs to different hosts on different networks.
    #[error("a link-local address is contacted only if its peer was heard there")]
    LinkLocal,
    /// The port belongs to another service.
    #[error("port {0} belongs to another service")]
    Port(u16),
}

/// Checks an address that another peer named. `own_ports` are the ports at which this node listens with the same
/// protocol. Peers most likely use the same ports, so these are allowed. `is_heard` tells whether the peer was heard at
/// this IP address.
///
/// # Errors
/// When the address must not be contacted.
pub fn check(target: SocketAddr, own_ports: &[u16], is_heard: bool) -> Result<(), Unfit> {
    let ip = target.ip().to_canonical();
    if !is_host(ip) {
        return Err(Unfit::NoHost);
    }
    if !is_heard && ip.is_loopback() {
        return Err(Unfit::Loopback);
    }
    if !is_heard && is_link_local(ip) {
        return Err(Unfit::LinkLocal);
    }
    let port = target.port();
    let is_of_others = port < FIRST_FREE_PORT || PORTS_OF_OTHERS.contains(&port);
    if port == 0 || is_of_others && !own_ports.contains(&port) {
        return Err(Unfit::Port(port));
    }
    Ok(())
}

fn is_host(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [first, ..] = ip.octets();
            // 0.0.0.0/8 is "this network"; 240.0.0.0/4 is reserved, with the broadcast address at its end.
            first != 0 && first < 240 && !ip.is_multicast()
        }
        IpAddr::V6(ip) => !ip.is_unspecified() && !ip.is_multicast() && !is_ipv4_in_disguise(ip),
    }
}

/// Returns whether an IPv6 address is an IPv4 address in an obsolete notation (`::10.0.0.1`).
fn is_ipv4_in_disguise(ip: Ipv6Addr) -> bool {
    ip.to_bits() >> 32 == 0 && !ip.is_loopback()
}

/// Returns whether an address is link-local, so that it belongs to different hosts on different networks.
fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => Ipv4Addr::is_link_local(&ip),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(target: &str, is_heard: bool) -> Result<(), Unfit> {
        check(target.parse().unwrap(), &[443], is_heard)
    }

    #[test]
    fn hosts_of_any_network_are_contacted() {
        for target in ["10.0.0.1:8000", "203.0.113.7:6002", "[fd00::1]:6002", "[2001:db8::1]:49152"] {
            assert_eq!(checked(target, false), Ok(()), "{target}");
        }
    }

    #[test]
    fn addresses_of_no_single_host_are_never_contacted() {
        let targets = [
            "0.0.0.0:8000",
            "0.1.2.3:8000",
            "224.0.0.1:8000",
            "239.255.255.250:8000",
            "255.255.255.255:8000",
            "240.0.0.1:8000",
            "[::]:8000",
            "[ff02::1]:8000",
            "[::ffff:224.0.0.1]:8000",
            "[::ffff:0.0.0.0]:8000",
            "[::127.0.0.1]:8000",
        ];
        for target in targets {
            assert_eq!(checked(target, true), Err(Unfit::NoHost), "{target}");
        }
    }

    #[test]
    fn loopback_and_link_local_are_contacted_only_where_the_peer_was_heard() {
        for target in ["127.0.0.1:9999", "127.9.9.9:9999", "[::1]:9999", "[::ffff:127.0.0.1]:9999"] {
            assert_eq!((checked(target, false), checked(target, true)), (Err(Unfit::Loopback), Ok(())));
        }
        for target in ["169.254.169.254:8000", "[fe80::1]:8000", "[::ffff:169.254.1.1]:8000"] {
            assert_eq!((checked(target, false), checked(target, true)), (Err(Unfit::LinkLocal), Ok(())));
        }
    }

    #[test]
    fn ports_of_other_services_are_refused_unless_this_node_uses_them_itself() {
        for port in [0, 1, 22, 25, 53, 80, 1023, 2049, 6379, 11_211] {
            assert_eq!(checked(&format!("10.0.0.1:{port}"), true), Err(Unfit::Port(port)));
        }
        assert_eq!(checked("10.0.0.1:443", false), Ok(()));
        assert_eq!(check("10.0.0.1:0".parse().unwrap(), &[0], true), Err(Unfit::Port(0)));
        assert!(PORTS_OF_OTHERS.is_sorted(), "the ports must be sorted, so that duplicates are noticed");
    }
}
