//! Builds the libp2p swarm: the protocols of a node and the transports below them.
use std::num::NonZeroU8;
use std::time::Duration;

use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::pnet::{PnetConfig, PreSharedKey};
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{
    Multiaddr, Swarm, SwarmBuilder, Transport, connection_limits, identify, noise, ping, quic, relay, yamux,
};

use super::head_start::{GivesHeadStart, OF_DIRECT, OF_TCP};
use super::persistent::keep_alive;
use super::pubsub::guard;
use super::relay::server;
use super::types::{NetworkKey, NodeConfig, StartError};
use super::{addresses, inbound, link_local, service_streams, sources, streams};

/// Number of addresses of one peer that are dialled at the same time: all of them.
const AT_ONCE: NonZeroU8 = match NonZeroU8::new(addresses::MAX_ADDRESSES as u8) {
    Some(all) => all,
    None => NonZeroU8::MIN,
};
/// Interval of pings on each connection. The ping behaviour reports a failure only at the second time in a row; the
/// driver then closes the connection. A connection that is needed is probed at once (`probes.rs`). On a quiet robot,
/// pings are most of the traffic.
const PING_INTERVAL: Duration = Duration::from_secs(60);
/// Interval at which a peer is asked again for its identity data. The peer reports changes by itself.
const IDENTIFY_INTERVAL: Duration = Duration::from_secs(3600);

/// Maximum number of inbound connections whose handshake is in progress.
const MAX_PENDING_INCOMING: u32 = 64;
/// Maximum number of streams of one connection. Unread bytes of each take memory. Peers that open a stream for each
/// message use a few dozen.
const MAX_STREAMS: u32 = 192;
/// Maximum number of streams of one connection on which the protocol is not negotiated yet.
const MAX_NEGOTIATING: usize = 32;
/// QUIC receive windows in bytes, of one stream and of one connection. They suffice for 100 Mbit/s at a round-trip time
/// of half a second.
const QUIC_WINDOWS: (u32, u32) = (6_000_000, 8_000_000);

#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    pub(super) limits: connection_limits::Behaviour,
    sources: sources::Behaviour,
    keep_alive: keep_alive::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    pub(super) outbound: libp2p_stream::Behaviour,
    inbound: inbound::Behaviour,
    pub(super) service: service_streams::Behaviour,
    relay_client: relay::client::Behaviour,
    relay: Toggle<relay::Behaviour>,
    /// Must be the last field, because gossipsub remembers a connection even if a later behaviour refuses it.
    pub(super) pubsub: guard::Behaviour,
}

/// Builds the swarm. It does not listen yet.
pub(super) fn build(
    config: &NodeConfig,
    keep_alive: keep_alive::Behaviour,
    chosen: keep_alive::Chosen,
) -> Result<Swarm<Behaviour>, StartError> {
    let (relayed, client) = relay::client::new(config.keypair.public().to_peer_id());
    let behaviour = behaviour(config, keep_alive, chosen, client)?;
    match &config.network_key {
        None => open(config, behaviour, relayed),
        Some(key) => private(config, key, behaviour, relayed),
    }
}

fn open(
    config: &NodeConfig,
    behaviour: Behaviour,
    relayed: relay::client::Transport,
) -> Result<Swarm<Behaviour>, StartError> {
    let idle_timeout = config.idle_timeout;
    let transport = link_local::transport()
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(&config.keypair)?)
        .multiplex(yamux_config());
    let builder = SwarmBuilder::with_existing_identity(config.keypair.clone()).with_tokio();
    let Ok(builder) = builder.with_other_transport(|_| transport);
    let Ok(builder) = builder.with_other_transport(|keypair| {
        GivesHeadStart(quic::tokio::Transport::new(quic_config(keypair)), OF_TCP)
    });
    let relayed = GivesHeadStart(relayed, OF_DIRECT)
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(&config.keypair)?)
        .multiplex(yamux_config());
    let Ok(builder) = builder.with_other_transport(|_| relayed);
    let Ok(built) = builder.with_behaviour(|_| behaviour);
    Ok(built.with_swarm_config(|swarm| swarm_config(swarm, idle_timeout)).build())
}

/// Builds the swarm of a private network, over TCP only: the network's cipher works on byte streams, and QUIC has none
/// below it. A relayed connection has no cipher of the network of its own: the connections with the relay have it.
fn private(
    config: &NodeConfig,
    key: &NetworkKey,
    behaviour: Behaviour,
    relayed: relay::client::Transport,
) -> Result<Swarm<Behaviour>, StartError> {
    let idle_timeout = config.idle_timeout;
    let protector = PnetConfig::new(PreSharedKey::new(key.0));
    let transport = link_local::transport()
        .and_then(move |socket, _| protector.handshake(socket))
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(&config.keypair)?)
        .multiplex(yamux_config());
    let builder = SwarmBuilder::with_existing_identity(config.keypair.clone()).with_tokio();
    let Ok(builder) = builder.with_other_transport(|_| transport);
    let relayed = GivesHeadStart(relayed, OF_DIRECT)
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(&config.keypair)?)
        .multiplex(yamux_config());
    let Ok(builder) = builder.with_other_transport(|_| relayed);
    let Ok(built) = builder.with_behaviour(|_| behaviour);
    Ok(built.with_swarm_config(|swarm| swarm_config(swarm, idle_timeout)).build())
}

/// All addresses of a peer are dialled at once, so that those that do not answer do not delay one that does.
fn swarm_config(swarm: libp2p::swarm::Config, idle_timeout: Duration) -> libp2p::swarm::Config {
    swarm
        .with_idle_connection_timeout(idle_timeout)
        .with_dial_concurrency_factor(AT_ONCE)
        .with_max_negotiating_inbound_streams(MAX_NEGOTIATING)
}

fn yamux_config() -> yamux::Config {
    let mut config = yamux::Config::default();
    config.set_max_num_streams(MAX_STREAMS as usize);
    config
}

fn quic_config(keypair: &Keypair) -> quic::Config {
    let mut config = quic::Config::new(keypair);
    config.max_concurrent_stream_limit = MAX_STREAMS;
    (config.max_stream_data, config.max_connection_data) = QUIC_WINDOWS;
    config
}

fn behaviour(
    config: &NodeConfig,
    keep_alive: keep_alive::Behaviour,
    chosen: keep_alive::Chosen,
    relay_client: relay::client::Behaviour,
) -> Result<Behaviour, StartError> {
    let me = config.keypair.public().to_peer_id();
    let identify = identify::Config::new("/ipfs/0.1.0".to_owned(), config.keypair.public())
        .with_agent_version(concat!("dt-swarm/", env!("CARGO_PKG_VERSION")).to_owned())
        .with_interval(IDENTIFY_INTERVAL)
        // Only addresses that a peer signed in a record are dialled, so addresses from identify are not cached.
        .with_cache_size(0);
    Ok(Behaviour {
        limits: connection_limits::Behaviour::new(limits(config)),
        sources: sources::Behaviour::new(config.max_connections, chosen),
        keep_alive,
        identify: identify::Behaviour::new(identify),
        ping: ping::Behaviour::new(ping::Config::new().with_interval(PING_INTERVAL)),
        outbound: libp2p_stream::Behaviour::new(),
        inbound: inbound::Behaviour::new(streams::PROTOCOL),
        service: service_streams::Behaviour::default(),
        relay_client,
        relay: config.relay.as_ref().map(|admission| server::behaviour(me, admission)).into(),
        pubsub: guard::Behaviour::new(&config.keypair, &config.topics).map_err(StartError::Pubsub)?,
    })
}

fn limits(config: &NodeConfig) -> connection_limits::ConnectionLimits {
    connection_limits::ConnectionLimits::default()
        .with_max_pending_incoming(Some(MAX_PENDING_INCOMING))
        .with_max_pending_outgoing(Some(64))
        .with_max_established(Some(config.max_connections))
        .with_max_established_per_peer(Some(config.max_connections_per_peer))
}

/// Returns the addresses on which the node is to listen, without those for QUIC in a private network.
pub(super) fn listen_addresses(config: &NodeConfig) -> Vec<Multiaddr> {
    let is_private = config.network_key.is_some();
    config.listen.iter().filter(|address| !(is_private && addresses::is_quic(address))).cloned().collect()
}
