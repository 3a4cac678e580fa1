//! The plan: the peers outside the local networks to which the daemon stays connected. Their addresses come from the
//! configuration, the swarm file and the bucket `networks`.

use crate::config::Config;
use crate::routes::Routes;
use channels::{TcpPeer, UdpPeer};
use dcache::{Moment, Set, SwarmFile, Time, buckets};
use ipfs::Multiaddr;
use routing::{Address, Hop, Host, Part, Socket, Wild};
use service::{Decide, Decision, DecisionLoop, LocalFacts};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use swarm::{Stopped, Swarm};
use tokio::sync::watch;

/// Maximum number of addresses of the bucket `networks` that are used.
const MAX_NETWORKS: usize = 16;
/// Maximum number of addresses of peers that are kept for sweeps.
const MAX_KNOWN: usize = 1024;
/// Time for which changes of the bucket `networks` are collected before the plan is updated (debounce).
const GATHER: Duration = Duration::from_millis(500);
/// Maximum number of IRC channels in the plan. The maximum number of pubsub topics is the same.
const MAX_MEETING_POINTS: usize = 4;

/// The peers to stay connected to, by kind of address. Each address is listed once.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Plan {
    pub(crate) tcp: Vec<TcpPeer>,
    pub(crate) udp: Vec<UdpPeer>,
    pub(crate) nodes: Vec<Multiaddr>,
    pub(crate) paths: Vec<Address>,
    pub(crate) rooms: MeetingPoints,
    /// Addresses that peers named as theirs. They are asked first when nobody is heard on a network.
    pub(crate) known: Vec<Ipv4Addr>,
}

/// The IRC channels and pubsub topics where many peers meet. When they change, the channels are restarted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MeetingPoints {
    pub(crate) irc: Vec<Address>,
    pub(crate) topics: Vec<String>,
}

impl Plan {
    /// Makes a plan of these addresses, without the addresses in `own`, which belong to this node itself.
    pub(crate) fn of<'a>(addresses: impl IntoIterator<Item = &'a Address>, own: &[SocketAddr]) -> Self {
        let mut plan = Self::default();
        for address in addresses {
            plan.add(address, own);
        }
        plan
    }

    fn add(&mut self, address: &Address, own: &[SocketAddr]) {
        let hops: Vec<Part<'_>> = address.parts().filter(|part| matches!(part, Part::Hop(_))).collect();
        match (address.split_first().0, hops.as_slice()) {
            (Part::Node(_), _) => put(&mut self.nodes, address.to_multiaddr().ok()),
            (Part::Hop(hop), [_]) => self.add_hop(&hop, own),
            (Part::Hop(_), [_, ..]) => put(&mut self.paths, Address::from_parts(hops).ok()),
            _ => tracing::warn!(%address, "this address cannot be connected to; it is ignored"),
        }
    }

    fn add_hop(&mut self, hop: &Hop<'_>, own: &[SocketAddr]) {
        let is_own =
            |socket: &Socket<'_>| socket.addr().is_some_and(|at| own.iter().any(|own| own.ip() == at.ip()));
        match hop {
            Hop::Tcp(socket) | Hop::Udp(socket) if is_own(socket) => {}
            Hop::Tcp(socket) => put(&mut self.tcp, place(socket).map(|(host, port)| TcpPeer { host, port })),
            Hop::Udp(socket) => put(&mut self.udp, place(socket).map(|(host, port)| UdpPeer { host, port })),
            Hop::Irc { .. } if self.rooms.irc.len() < MAX_MEETING_POINTS => {
                put(&mut self.rooms.irc, Address::hop(*hop).ok());
            }
            Hop::Pubsub { topic: Wild::Is(topic) } if self.rooms.topics.len() < MAX_MEETING_POINTS => {
                put(&mut self.rooms.topics, Some((*topic).to_owned()));
            }
            Hop::Irc { .. } | Hop::Pubsub { .. } => {
                tracing::warn!(%hop, "this address is ignored: there are too many IRC channels or topics, or it names none");
            }
        }
    }
}

fn put<T: PartialEq>(list: &mut Vec<T>, one: Option<T>) {
    if let Some(one) = one.filter(|one| !list.contains(one)) {
        list.push(one);
    }
}

/// Returns the host and the port, if the socket has both.
fn place(socket: &Socket<'_>) -> Option<(String, u16)> {
    let host = match socket.host {
        Host::Ip4(ip) => ip.value()?.to_string(),
        Host::Ip6(ip) => ip.value()?.to_string(),
        Host::Name { name, .. } => name.value()?.to_owned(),
    };
    Some((host, socket.port.value()?))
}

/// Decider that reads the addresses in the bucket `networks`, and the private addresses of all peers.
#[derive(Default)]
struct NetworkList {
    known: Vec<Ipv4Addr>,
}

impl Decide for NetworkList {
    type Action = Address;

    fn decide(&mut self, set: &Set, now: Moment) -> Decision<Address> {
        self.known = known(set, now.time);
        let wake = set.next_edge(&[buckets::NETWORKS.matcher()], now.time);
        Decision { actions: networks(set, now.time), wake, ..Decision::default() }
    }
}

/// Updates the plan when its sources change.
pub(crate) struct Planner {
    pub(crate) config: Arc<Config>,
    pub(crate) swarm: Swarm,
    pub(crate) membership: watch::Receiver<Option<SwarmFile>>,
    pub(crate) facts: watch::Receiver<LocalFacts>,
    pub(crate) routes: Routes,
    pub(crate) plan: watch::Sender<Plan>,
}

impl Planner {
    /// Updates the plan until the future is dropped or the swarm stops.
    pub(crate) async fn run(mut self) -> Result<(), Stopped> {
        let is_of_interest = |bucket: &dcache::BucketPath| buckets::NETWORKS.contains(bucket);
        let mut decisions =
            DecisionLoop::new(self.swarm.clone(), NetworkList::default(), is_of_interest, GATHER);
        loop {
            let networks = decisions.decide().await?;
            let known = decisions.decider().known.clone();
            let plan = Plan { known, ..self.current(networks) };
            self.routes.set_paths(plan.paths.clone()).await?;
            self.plan.send_if_modified(|told| {
                let is_new = *told != plan;
                told.clone_from(&plan);
                is_new
            });
            tokio::select! {
                Ok(()) = self.membership.changed() => {}
                Ok(()) = self.facts.changed() => {}
                () = decisions.changed() => {}
            }
        }
    }

    fn current(&mut self, networks: Vec<Address>) -> Plan {
        let swarm_file = self.membership.borrow_and_update().clone();
        let own = self.facts.borrow_and_update().lines.clone();
        let mut addresses = first(&self.config, swarm_file.as_ref());
        // In the open swarm the bucket is ignored: any peer could add an address to it and make all robots connect to a
        // victim.
        if swarm_file.is_some() {
            addresses.extend(networks);
        }
        Plan::of(&addresses, &own)
    }
}

/// Returns the addresses that the configuration and the swarm file name.
pub(crate) fn first(config: &Config, swarm_file: Option<&SwarmFile>) -> Vec<Address> {
    let topic = Address::pubsub_line(&config.pubsub_topic).ok();
    let bootstrap = swarm_file.into_iter().flat_map(SwarmFile::bootstrap);
    let bootstrap = bootstrap.filter_map(|text| match text.parse() {
        Ok(address) => Some(address),
        Err(error) => {
            tracing::warn!(address = text, %error, "an address of the swarm file cannot be used");
            None
        }
    });
    topic.into_iter().chain(config.peers.iter().cloned()).chain(bootstrap).collect()
}

fn networks(set: &Set, now: Time) -> Vec<Address> {
    let bucket = buckets::NETWORKS.path();
    let addresses = set.bucket(&bucket, now).filter_map(|view| view.item.data.as_str().parse().ok());
    addresses.take(MAX_NETWORKS).collect()
}

/// Returns the private IPv4 addresses at which peers accept lines.
fn known(set: &Set, now: Time) -> Vec<Ipv4Addr> {
    let pattern = buckets::ADDRESSES.matcher();
    let addresses =
        set.matching(&pattern, now).filter_map(|view| view.item.data.as_str().parse::<Address>().ok());
    let hosts = addresses.filter_map(|address| match address.tcp()? {
        SocketAddr::V4(v4) => Some(*v4.ip()).filter(|ip| ip.is_private() || ip.is_link_local()),
        SocketAddr::V6(_) => None,
    });
    let hosts: BTreeSet<Ipv4Addr> = hosts.take(MAX_KNOWN).collect();
    hosts.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[test]
    fn each_address_is_sorted_into_the_plan_by_its_kind() {
        let node = "/ip4/10.0.0.9/tcp/6002/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";
        let addresses = [
            "/ip4/10.0.0.7/tcp/8000/dswarm-line",
            "/ip4/10.0.0.7/tcp/8000/dswarm-line/dswarm/*/brain",
            "/dns4/swarm.example/tcp/8000/dswarm-line",
            "/ip4/10.0.0.7/udp/1240/dswarm-line",
            "/dns4/irc.example/tcp/6697/tls/irc/#duckiebots/dswarm-line",
            "/ipfs-pubsub/duckiebots/dswarm-line",
            "/ip4/10.0.0.1/tcp/8000/dswarm-line",
            node,
            "/ip4/10.0.0.7/udp/1240/dswarm-line/ip4/10.1.0.9/udp/1240/dswarm-line/dswarm/*/brain",
        ];
        let addresses = addresses.map(address);
        let plan = Plan::of(&addresses, &["10.0.0.1:8000".parse().unwrap()]);
        assert_eq!(
            plan.tcp.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["10.0.0.7:8000", "swarm.example:8000"]
        );
        assert_eq!(plan.udp.len(), 1);
        assert_eq!(plan.nodes, [node.parse().unwrap()]);
        assert_eq!(plan.rooms.topics, ["duckiebots"]);
        assert_eq!(plan.paths.len(), 1);
        assert_eq!(plan.paths[0].hops(), 2);
        assert_eq!(plan.rooms.irc, [addresses[4].clone()]);
    }
}
