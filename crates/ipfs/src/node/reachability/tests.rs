//! Tests with the implementation of libp2p as the other side.
use std::net::TcpListener;

use libp2p::identity::Keypair;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Swarm, SwarmBuilder, Transport as _, identify, noise, tcp, yamux};
use libp2p_autonat::v2;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::node::{Node, NodeConfig};
use crate::store::StoreConfig;

const SOON: Duration = Duration::from_secs(20);

fn swarm<B: NetworkBehaviour>(behaviour: impl FnOnce(&Keypair) -> B) -> Swarm<B> {
    let key = Keypair::generate_ed25519();
    let transport = tcp::tokio::Transport::new(tcp::Config::default())
        .upgrade(libp2p::core::upgrade::Version::V1Lazy)
        .authenticate(noise::Config::new(&key).unwrap())
        .multiplex(yamux::Config::default());
    let builder = SwarmBuilder::with_existing_identity(key).with_tokio();
    let Ok(builder) = builder.with_other_transport(|_| transport);
    let Ok(builder) = builder.with_behaviour(|key| behaviour(key));
    builder.build()
}

/// Listens on loopback, and returns the address.
async fn listen<B: NetworkBehaviour>(swarm: &mut Swarm<B>) -> Multiaddr {
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            return address;
        }
    }
}

/// Drives a swarm until the returned handle is aborted.
fn drive<B: NetworkBehaviour + Send>(mut swarm: Swarm<B>) -> JoinHandle<()>
where
    B::ToSwarm: Send,
{
    tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    })
}

/// Connects a client of ours with a server, and checks an address. Returns whether it was reached, or `None` if the
/// server did not tell.
async fn checked(address: impl Fn(&Multiaddr, PeerId) -> Multiaddr) -> Outside {
    let mut server = swarm(|_| v2::server::Behaviour::new(ChaCha8Rng::seed_from_u64(1)));
    let at = listen(&mut server).await;
    let server_id = *server.local_peer_id();
    let mut client = swarm(|_| libp2p_stream::Behaviour::new());
    let own = listen(&mut client).await;
    let address = address(&own, *client.local_peer_id());
    let mut reachability = Reachability::new(client.behaviour().new_control(), None, None);
    let serving = drive(server);
    client.dial(at).unwrap();
    while !matches!(client.select_next_some().await, SwarmEvent::ConnectionEstablished { .. }) {}
    let client = drive(client);
    reachability.offered(server_id, true);
    reachability.observed(vec![address], &[], &[]);
    reachability.check(Duration::ZERO);
    let event = reachability.next(|| Duration::ZERO, |_| None);
    assert!(matches!(tokio::time::timeout(SOON, event).await.unwrap(), Event::Checked));
    serving.abort();
    client.abort();
    reachability.outside()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_libp2p_finds_that_an_address_leads_here() {
    let outside = checked(|own, _| own.clone()).await;
    assert_eq!((outside.reached.len(), outside.unreached.len()), (1, 0));
    // The server asks for padding, because it sees another address.
    let outside = checked(|own, me| own.clone().with_p2p(me).unwrap()).await;
    assert_eq!((outside.reached.len(), outside.unreached.len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_libp2p_finds_that_nobody_answers_at_an_address() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let outside = checked(|_, _| format!("/ip4/127.0.0.1/tcp/{closed}").parse().unwrap()).await;
    assert_eq!((outside.reached.len(), outside.unreached.len()), (0, 1));
}

/// Starts a node that checks addresses for others. Returns its address.
async fn server() -> (Node, Multiaddr, JoinHandle<()>, TempDir) {
    let directory = TempDir::new().unwrap();
    let store =
        StoreConfig { directory: directory.path().join("store"), max_bytes: 1 << 20, min_free_bytes: 0 };
    let mut config = NodeConfig::new(Keypair::generate_ed25519(), store);
    config.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
    (config.allow_loopback, config.relay) = (true, Some(Admission::everyone()));
    let (node, driver, _) = Node::start(config).await.unwrap();
    let driver = tokio::spawn(driver.run(CancellationToken::new()));
    let mut listening = node.listen_addresses();
    let at = listening.wait_for(|addresses| !addresses.is_empty()).await.unwrap()[0].clone();
    let at = at.with_p2p(node.peer_id()).unwrap();
    (node, at, driver, directory)
}

#[derive(NetworkBehaviour)]
struct Client {
    identify: identify::Behaviour,
    client: v2::client::Behaviour<ChaCha8Rng>,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_libp2p_learns_that_its_address_leads_to_it() {
    let (_node, at, driver, _directory) = server().await;
    let mut client = swarm(|key| {
        let config = v2::client::Config::default().with_probe_interval(Duration::from_millis(100));
        Client {
            identify: identify::Behaviour::new(identify::Config::new("/test".to_owned(), key.public())),
            client: v2::client::Behaviour::new(ChaCha8Rng::seed_from_u64(2), config),
        }
    });
    let own = listen(&mut client).await;
    client.dial(at).unwrap();
    let confirmed = async {
        loop {
            if let SwarmEvent::ExternalAddrConfirmed { address } = client.select_next_some().await {
                return address;
            }
        }
    };
    assert_eq!(tokio::time::timeout(SOON, confirmed).await.unwrap(), own);
    driver.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_host_is_dialled_for_a_client() {
    let (node, at, driver, _directory) = server().await;
    let mut client = swarm(|_| libp2p_stream::Behaviour::new());
    let own = listen(&mut client).await;
    let control = client.behaviour().new_control();
    client.dial(at).unwrap();
    while !matches!(client.select_next_some().await, SwarmEvent::ConnectionEstablished { .. }) {}
    let client = drive(client);
    let victim = TcpListener::bind("127.0.0.2:0").unwrap();
    victim.set_nonblocking(true).unwrap();
    let port = victim.local_addr().unwrap().port();
    let ask = |address: String| {
        let (control, address) = (control.clone(), address.parse().unwrap());
        exchange::ask(control, node.peer_id(), address, Pending::default(), 7)
    };
    for address in [
        format!("/ip4/127.0.0.2/tcp/{port}"),
        format!("/ip6/::ffff:127.0.0.2/tcp/{port}"),
        format!("/dns4/localhost/tcp/{port}"),
        "/ip4/127.0.0.1/tcp/22".to_owned(),
        "/ip4/127.0.0.1/tcp/6379".to_owned(),
        format!("{own}/p2p/{}/p2p-circuit", node.peer_id()),
    ] {
        let answer = tokio::time::timeout(SOON, ask(address.clone())).await.unwrap();
        assert!(answer.unwrap_err().to_string().contains("did not check"), "{address}");
    }
    let seen = victim.accept().unwrap_err();
    assert_eq!(seen.kind(), io::ErrorKind::WouldBlock, "the victim was dialled");
    // The same client is served when it names its own address, but it does not take the number.
    let client_address = tokio::time::timeout(SOON, ask(own.to_string())).await.unwrap();
    assert!(!client_address.unwrap());
    client.abort();
    driver.abort();
}
