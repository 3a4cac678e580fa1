//! Tests of persistent peers.
use tokio::time::timeout;

use super::*;

const SOON: Duration = Duration::from_secs(30);

fn address_of(node: &Running, host: &str) -> Multiaddr {
    let port = node.listen_addresses().borrow()[0].to_string();
    let port = port.rsplit('/').next().unwrap();
    format!("/{host}/tcp/{port}/p2p/{}", node.peer_id()).parse().unwrap()
}

async fn until(node: &Running, what: impl Fn(&[PersistentPeer]) -> bool) {
    let mut told = node.persistent_peers();
    if timeout(SOON, told.wait_for(|told| what(told))).await.is_err() {
        panic!("the state stayed at {:?}", node.persistent_peers().borrow());
    }
}

fn is_connected(told: &[PersistentPeer]) -> bool {
    matches!(told, [PersistentPeer { state: PersistentPeerState::Connected, .. }])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_was_restarted_is_found_again_by_its_name() {
    let directory = TempDir::new().unwrap();
    let mut config = config(&directory, MIB);
    let server = run(config.clone(), directory).await.0;
    let robot = start().await;
    let address = address_of(&server, "dns4/localhost");
    robot.keep_connected(vec![address.clone()]);
    until(&robot, is_connected).await;
    assert_eq!(robot.persistent_peers().borrow()[0].address, address);
    config.listen = server.provider().1;
    let directory = server.stop().await;
    let is_lost = |told: &[PersistentPeer]| matches!(told, [PersistentPeer { state: PersistentPeerState::Failed(message), .. }] if message.contains("127.0.0.1"));
    until(&robot, is_lost).await;
    let _server = run(config, directory).await.0;
    until(&robot, is_connected).await;
    robot.keep_connected(Vec::new());
    until(&robot, <[PersistentPeer]>::is_empty).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reason_of_a_failure_is_reported() {
    let (robot, somebody) = (start().await, start().await);
    let id = Keypair::generate_ed25519().public().to_peer_id();
    let told = async |address: String| {
        robot.keep_connected(vec![address.parse().unwrap()]);
        let is_told = |told: &[PersistentPeer]| {
            told[..].iter().any(|peer| {
                peer.address.to_string() == address
                    && matches!(peer.state, PersistentPeerState::Failed(_) | PersistentPeerState::Unfit(_))
            })
        };
        until(&robot, is_told).await;
        match robot.persistent_peers().borrow()[0].state.clone() {
            PersistentPeerState::Failed(message) | PersistentPeerState::Unfit(message) => message,
            other => panic!("{other:?}"),
        }
    };
    let refused = told(format!("/ip4/127.0.0.1/tcp/1/p2p/{id}")).await;
    assert!(refused.contains("/ip4/127.0.0.1/tcp/1") && refused.contains("refused"), "{refused}");
    let unknown = told(format!("/dns/nobody.invalid/tcp/1/p2p/{id}")).await;
    assert!(unknown.contains("nobody.invalid was not found"), "{unknown}");
    let other = address_of(&somebody, "ip4/127.0.0.1")
        .to_string()
        .replace(&somebody.peer_id().to_string(), &id.to_string());
    let other = told(other).await;
    assert!(
        other.contains("another peer answers") && other.contains(&somebody.peer_id().to_string()),
        "{other}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_persistent_connection_needs_no_free_slot_and_is_not_closed_when_idle() {
    let directory = TempDir::new().unwrap();
    let mut config = config(&directory, MIB);
    (config.idle_timeout, config.max_connections) = (Duration::from_secs(1), 1);
    let robot = run(config, directory).await.0;
    let (server, passer) = (start().await, start().await);
    let (peer, addresses) = passer.provider();
    robot.connect(peer, addresses).await.unwrap();
    robot.keep_connected(vec![address_of(&server, "ip4/127.0.0.1")]);
    until(&robot, is_connected).await;
    let mut connected = robot.connected_peers();
    timeout(SOON, connected.wait_for(|peers| !peers.contains(&peer))).await.unwrap().unwrap();
    // The persistent connection became idle a moment later. Its idle timeout of one second expires at the second next
    // housekeeping.
    let gone = timeout(Duration::from_secs(4), connected.wait_for(|peers| peers.is_empty())).await;
    assert!(gone.is_err(), "{:?}", robot.persistent_peers().borrow());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_goes_on_when_its_handle_is_dropped() {
    let (server, other) = (start().await, start().await);
    let directory = TempDir::new().unwrap();
    let (node, driver, _) = Node::start(config(&directory, MIB)).await.unwrap();
    let driver = tokio::spawn(driver.run(CancellationToken::new()));
    node.keep_connected(vec![address_of(&server, "ip4/127.0.0.1")]);
    let me = node.peer_id();
    let mut listening = node.listen_addresses();
    let addresses = listening.wait_for(|addresses| !addresses.is_empty()).await.unwrap().clone();
    drop(node);
    timeout(SOON, server.connected_peers().wait_for(|peers| peers.contains(&me))).await.unwrap().unwrap();
    other.connect(me, addresses).await.unwrap();
    assert!(!driver.is_finished());
    driver.abort();
}
