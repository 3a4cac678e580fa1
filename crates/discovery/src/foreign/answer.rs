//! Decides about the answer to a ping.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::Profile;
use super::limits::HostLimits;
use super::networks::{OwnNetwork, is_near};
use super::ping::{Ping, Pong};
use std::net::SocketAddr;
use std::time::Duration;

/// Returns the answer to a datagram and its destination, or `None` if it gets no answer.
///
/// The sender of a datagram may be forged, so that the answer hits a victim. So only hosts on the own networks get an
/// answer, only at ports that belong to no known service, and only at a limited rate.
pub(super) fn answer(
    bytes: &[u8],
    source: SocketAddr,
    networks: &[OwnNetwork],
    profile: &Profile,
    limits: &mut HostLimits,
    now: Duration,
) -> Option<(SocketAddr, Vec<u8>)> {
    if !is_near(networks, source.ip()) {
        return None;
    }
    let ping = Ping::decode(bytes).ok()?;
    let to = SocketAddr::new(source.ip(), ping.port);
    targets::check(to, &[], true).ok()?;
    let pong = Pong::of(profile)?;
    limits.admit(source.ip(), now).then(|| (to, pong.encode()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(ping: &str, source: &str) -> Option<SocketAddr> {
        let profile = Profile { name: "duckie7".to_owned(), ..Profile::default() };
        let network =
            OwnNetwork { interface: 1, address: [10, 0, 0, 5].into(), netmask: [255, 255, 255, 0].into() };
        let (bytes, source, limits) =
            (ping.as_bytes(), source.parse().unwrap(), &mut HostLimits::of_sent_answers());
        answer(bytes, source, &[network], &profile, limits, Duration::ZERO).map(|(to, _)| to)
    }

    #[test]
    fn the_answer_goes_to_the_port_in_the_ping() {
        let to = answered(r#"{"version": "1", "port": 7000}"#, "10.0.0.9:40000");
        assert_eq!(to, Some("10.0.0.9:7000".parse().unwrap()));
    }

    #[test]
    fn hosts_elsewhere_and_ports_of_services_get_no_answer() {
        assert_eq!(answered(r#"{"version": "1", "port": 7000}"#, "10.0.1.9:40000"), None);
        assert_eq!(answered(r#"{"version": "1", "port": 7000}"#, "127.0.0.1:40000"), None);
        for port in [1, 22, 1023, 1900, 5353] {
            assert_eq!(answered(&format!(r#"{{"version": "1", "port": {port}}}"#), "10.0.0.9:40000"), None);
        }
        assert_eq!(answered(r#"{"version": "1", "port": 7000, "x": 1}"#, "10.0.0.9:40000"), None);
    }
}
