//! Reads the facts about robots from the records.

use crate::doctor::observed::{Observed, Present, Reply, Target};
use dcache::buckets::{ADDRESSES, HOSTNAME, IPFS_ADDRESSES, PEER};
use dcache::{Data, Item, PeerId, Set, Time};
use routing::Address;
use service::{Context, Failure};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Maximum number of robots that are examined.
const MAX_PRESENT: usize = 5000;
/// Maximum number of addresses of a robot of each kind.
const MAX_ADDRESSES: usize = 4;

/// Adds the robots that are present, and the facts about the robot whose path is checked.
///
/// # Errors
/// When the daemon is stopping.
pub(super) async fn add(
    context: &Context,
    observed: &mut Observed,
    peer: Option<PeerId>,
) -> Result<(), Failure> {
    let me = context.swarm.me();
    let reading = context.swarm.read(move |set, now| {
        let is_open = set.policy().roots().is_empty();
        (present(set, me, now), peer.map(|peer| target(set, me, peer, now)), is_open)
    });
    (observed.present, observed.target, observed.is_open_swarm) = reading.await?;
    Ok(())
}

/// Returns the robots that are present, except `me`.
fn present(set: &Set, me: PeerId, now: Time) -> Vec<Present> {
    let bucket = PEER.path();
    let views = set.bucket(&bucket, now).take(MAX_PRESENT);
    let peers = views.filter_map(|view| view.item.data.as_str().parse::<PeerId>().ok());
    let present = |peer: PeerId| {
        let stated = stated(set, peer, now)?;
        let lines = lines(set, peer, now);
        Some(Present { peer, name: name(set, peer, now), stated, lines, reached: None })
    };
    peers.filter(|peer| *peer != me).filter_map(present).collect()
}

fn target(set: &Set, me: PeerId, peer: PeerId, now: Time) -> Target {
    let bucket = IPFS_ADDRESSES.of(peer);
    let ipfs = set.bucket(&bucket, now).filter_map(|view| socket(view.item.data.as_str()));
    Target {
        peer,
        name: name(set, peer, now),
        is_me: peer == me,
        stated: stated(set, peer, now),
        lines: lines(set, peer, now).into_iter().map(|address| (address, Reply::None)).collect(),
        ipfs: ipfs.take(MAX_ADDRESSES).map(|address| (address, false)).collect(),
        connection: Err("it was not tried".to_owned()),
    }
}

/// Returns the time since a robot stated its presence; `None` if it is not present. Each statement ends one lifetime
/// later.
fn stated(set: &Set, peer: PeerId, now: Time) -> Option<Duration> {
    let item = Item { bucket: PEER.path(), data: Data::from(peer) };
    let view = set.item(&item, now)?;
    let own = view.proposals.iter().find(|record| record.signer() == peer)?;
    let begun = Time(own.validity().until()?.0.saturating_sub(PEER.lifetime()));
    Some(Duration::from_secs(now.since(begun)))
}

/// Returns the host name that a robot stated last.
fn name(set: &Set, peer: PeerId, now: Time) -> Option<String> {
    let bucket = HOSTNAME.of(peer);
    let stated = set.bucket(&bucket, now).filter_map(|view| {
        let own = view.proposals.iter().find(|record| record.signer() == peer)?;
        Some((own.signature().sequence, view.item.data.as_str().to_owned()))
    });
    stated.max().map(|(_, name)| name)
}

/// Returns addresses at which a robot accepts lines.
fn lines(set: &Set, peer: PeerId, now: Time) -> Vec<SocketAddr> {
    let bucket = ADDRESSES.of(peer);
    let parsed =
        set.bucket(&bucket, now).filter_map(|view| view.item.data.as_str().parse::<Address>().ok()?.tcp());
    parsed.take(MAX_ADDRESSES).collect()
}

/// Returns the IP address and the TCP port of a multiaddress such as `/ip4/10.0.0.1/tcp/6002/p2p/…`.
fn socket(multiaddress: &str) -> Option<SocketAddr> {
    let mut parts = multiaddress.split('/').skip(1);
    let (family, ip, transport, port) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let ip: IpAddr = ip.parse().ok()?;
    let is_tcp = matches!(family, "ip4" | "ip6") && transport == "tcp";
    is_tcp.then(|| Some(SocketAddr::new(ip, port.parse().ok()?))).flatten()
}

/// Returns the TCP port of a multiaddress.
pub(super) fn port(multiaddress: &str) -> Option<u16> {
    socket(multiaddress).map(|address| address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tcp_addresses_are_read_from_multiaddresses() {
        let read = |text: &str| socket(text).map(|address| address.to_string());
        assert_eq!(read("/ip4/10.0.0.1/tcp/6002/p2p/12D3").as_deref(), Some("10.0.0.1:6002"));
        assert_eq!(read("/ip6/fd00::1/tcp/6002").as_deref(), Some("[fd00::1]:6002"));
        for other in ["/ip4/10.0.0.1/udp/6002/quic-v1", "/dns4/a/tcp/1", "", "/ip4/10.0.0.1/tcp/99999"] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
