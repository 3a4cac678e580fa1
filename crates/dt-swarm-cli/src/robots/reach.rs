//! The addresses at which a robot may accept the line protocol, from what other hosts state.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::host::DEFAULT_PORT;
use discovery::protocol::Robot;
use routing::Address;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Maximum number of addresses of one robot that are tried.
const MAX_TRIED: usize = 8;

/// Returns the addresses of a robot to try, the most likely first. These are the addresses that it states, and the hosts
/// from which it was heard. With `port`, only that port is tried.
///
/// Any robot may state any address. So addresses that lead to other services, or to this computer, are left out.
pub(crate) fn addresses(robot: &Robot, port: Option<u16>) -> Vec<SocketAddr> {
    let heard: Vec<IpAddr> = robot.heard.iter().filter_map(|heard| ip(heard.address.as_deref()?)).collect();
    let mut all: Vec<SocketAddr> = robot.addresses.iter().filter_map(|fact| line(&fact.value)).collect();
    all.sort_by_key(|address| !heard.contains(&address.ip()));
    all.extend(heard.iter().map(|ip| SocketAddr::new(*ip, DEFAULT_PORT)));
    if robot.is_me {
        let ports: Vec<u16> = all.iter().map(SocketAddr::port).chain([DEFAULT_PORT]).collect();
        all = ports.into_iter().map(|port| SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)).collect();
    }
    if let Some(port) = port {
        all.iter_mut().for_each(|address| address.set_port(port));
    }
    let is_fit = |address: &SocketAddr| {
        let is_heard = robot.is_me || heard.contains(&address.ip());
        let own_ports: Vec<u16> = [DEFAULT_PORT].into_iter().chain(port).collect();
        targets::check(*address, &own_ports, is_heard).is_ok()
    };
    let mut fit: Vec<SocketAddr> = Vec::new();
    for address in all.into_iter().filter(is_fit) {
        if fit.len() < MAX_TRIED && !fit.contains(&address) {
            fit.push(address);
        }
    }
    fit
}

/// Returns host and port of an address of the line protocol over TCP.
fn line(text: &str) -> Option<SocketAddr> {
    text.parse::<Address>().ok()?.tcp()
}

/// Returns the IP address of a text such as `10.0.0.7:1240` or `10.0.0.7`.
fn ip(text: &str) -> Option<IpAddr> {
    text.parse::<SocketAddr>().map(|address| address.ip()).or_else(|_| text.parse()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::robots::fixture::{fact, heard, robot};
    use discovery::protocol::Place;

    fn stated(address: &str) -> discovery::protocol::Fact {
        fact(&format!("/ip4/{address}/dswarm-line"), 0)
    }

    fn shown(robot: &Robot, port: Option<u16>) -> Vec<String> {
        addresses(robot, port).iter().map(SocketAddr::to_string).collect()
    }

    #[test]
    fn addresses_at_which_the_robot_was_heard_are_tried_first() {
        let mut robot = robot(1, "duckie1", Place::Here);
        robot.addresses = vec![stated("192.0.2.1/tcp/8000"), stated("10.0.0.7/tcp/8001")];
        robot.addresses.push(fact("/ip4/10.0.0.7/tcp/6002/p2p/12D3", 0));
        robot.heard = vec![heard("udp", Some("10.0.0.7:1240"), 2), heard("irc", None, 1)];
        assert_eq!(shown(&robot, None), ["10.0.0.7:8001", "192.0.2.1:8000", "10.0.0.7:8000"]);
        assert_eq!(shown(&robot, Some(9000)), ["10.0.0.7:9000", "192.0.2.1:9000"]);
    }

    #[test]
    fn addresses_of_other_services_and_of_this_computer_are_left_out() {
        let mut robot = robot(1, "duckie1", Place::Here);
        let addresses =
            ["10.0.0.7/tcp/22", "127.0.0.1/tcp/8000", "224.0.0.1/tcp/8000", "169.254.1.1/tcp/8000"];
        robot.addresses = addresses.map(stated).into();
        assert_eq!(shown(&robot, None), [] as [&str; 0]);
    }

    #[test]
    fn the_number_of_addresses_is_limited() {
        let mut robot = robot(1, "duckie1", Place::Here);
        robot.addresses = (1..100).map(|last| stated(&format!("10.0.0.{last}/tcp/8000"))).collect();
        assert_eq!(addresses(&robot, None).len(), MAX_TRIED);
    }

    #[test]
    fn this_robot_is_reached_by_the_loopback_interface() {
        let mut robot = robot(1, "duckie1", Place::Here);
        (robot.is_me, robot.addresses) = (true, vec![stated("10.0.0.7/tcp/8001")]);
        assert_eq!(shown(&robot, None), ["127.0.0.1:8001", "127.0.0.1:8000"]);
    }
}
