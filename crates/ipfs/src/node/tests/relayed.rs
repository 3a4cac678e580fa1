//! Nodes that are reached through a relay.
use libp2p::multiaddr::Protocol;

use super::*;

/// Maximum time for one step.
const SOON: Duration = Duration::from_secs(20);

async fn relay(admission: Admission) -> Running {
    let directory = TempDir::new().unwrap();
    let config = NodeConfig { relay: Some(admission), ..config(&directory, MIB) };
    run(config, directory).await.0
}

fn address_of(node: &Running) -> Multiaddr {
    node.listen_addresses().borrow()[0].clone().with(Protocol::P2p(node.peer_id()))
}

async fn slots(node: &Running, number: usize) -> Vec<Multiaddr> {
    let mut relayed = node.relayed_addresses();
    let changed = relayed.wait_for(|relayed| relayed.len() == number);
    tokio::time::timeout(SOON, changed).await.unwrap().unwrap().clone()
}

/// Waits until the paths from a node to a peer are like this.
async fn paths(node: &Running, peer: PeerId, are: impl Fn(&[PeerPath]) -> bool) -> Vec<PeerPath> {
    let mut table = node.paths();
    let of_peer = |table: &PathTable| table.get(&peer).cloned().unwrap_or_default();
    let changed = table.wait_for(|table| are(&of_peer(table)));
    let table = tokio::time::timeout(SOON, changed).await.unwrap().unwrap().clone();
    of_peer(&table)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_reached_through_a_relay_and_then_directly() {
    let (relay, caller, called) = (relay(Admission::everyone()).await, start().await, start().await);
    for node in [&caller, &called] {
        node.keep_connected(vec![address_of(&relay)]);
        slots(node, 1).await;
    }
    let through_relay = slots(&called, 1).await;
    let root = called.add(&noise(300_000), Format::V1).await;
    caller.connect(called.peer_id(), through_relay).await.unwrap();
    let first = paths(&caller, called.peer_id(), |paths| !paths.is_empty()).await;
    assert_eq!(first[0].via, Via::Relay(Some(relay.peer_id())), "{first:?}");
    let is_direct = |paths: &[PeerPath]| paths.len() == 1 && !paths[0].is_relayed();
    paths(&caller, called.peer_id(), is_direct).await;
    let at_called = paths(&called, caller.peer_id(), is_direct).await;
    assert_eq!(at_called[0].via, Via::Direct);
    caller.get(root, &[]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_a_service_keeps_its_relayed_connection_until_it_ends() {
    const PROTOCOL: &str = "/dt-swarm/test/1.0.0";
    let (relay, caller, called) = (relay(Admission::everyone()).await, start().await, start().await);
    for node in [&caller, &called] {
        node.keep_connected(vec![address_of(&relay)]);
        slots(node, 1).await;
    }
    let through_relay = slots(&called, 1).await;
    let mut inbound = called.accept_streams(PROTOCOL);
    let mut opened = caller.open_stream(called.peer_id(), through_relay, PROTOCOL).await.unwrap();
    opened.writer.write_all(b"1").await.unwrap();
    let mut accepted = tokio::time::timeout(SOON, inbound.next()).await.unwrap().unwrap();
    paths(&caller, called.peer_id(), |paths| paths.iter().any(|path| !path.is_relayed())).await;
    // Without the rule, the relayed connection ends within about a second.
    let end = paths(&caller, called.peer_id(), |paths| paths.len() == 1);
    assert!(tokio::time::timeout(Duration::from_secs(4), end).await.is_err());
    opened.writer.write_all(b"2").await.unwrap();
    let (mut read, mut buffer) = (Vec::new(), [0; 8]);
    while read.len() < 2 {
        let bytes = tokio::time::timeout(SOON, accepted.reader.read(&mut buffer)).await.unwrap().unwrap();
        assert_ne!(bytes, 0, "the stream ended");
        read.extend_from_slice(&buffer[..bytes]);
    }
    assert_eq!(read, b"12");
    drop((opened, accepted));
    paths(&caller, called.peer_id(), |paths| paths.len() == 1 && !paths[0].is_relayed()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_goes_through_a_relay() {
    let (relay, caller, called) = (relay(Admission::everyone()).await, start().await, start().await);
    called.keep_connected(vec![address_of(&relay)]);
    let through_relay = slots(&called, 1).await;
    let root = called.add(&noise(3_000_000), Format::V1).await;
    // The caller is not a client of the relay, and no other node told it its own address. Its peer learns no address to
    // dial, but it learns one.
    let provider = (called.peer_id(), through_relay);
    caller.fetch(root, vec![provider], LIMITS, watch::Sender::default()).await.unwrap();
    assert!(caller.exported(root).await == noise(3_000_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_slot_at_a_second_relay_stays_when_the_first_stops() {
    let relays = [relay(Admission::everyone()).await, relay(Admission::everyone()).await];
    let node = start().await;
    node.keep_connected(relays.iter().map(address_of).collect());
    assert_eq!(slots(&node, 2).await.len(), 2);
    let [first, second] = relays;
    first.stop().await;
    let left = slots(&node, 1).await;
    assert!(left[0].to_string().contains(&second.peer_id().to_string()), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_serves_only_the_peers_that_it_admits() {
    let [friend, stranger] = [start().await, start().await];
    let admitted = friend.peer_id();
    let relay = relay(Admission::new(move |peer| *peer == admitted)).await;
    for node in [&stranger, &friend] {
        node.keep_connected(vec![address_of(&relay)]);
    }
    slots(&friend, 1).await;
    let connected = stranger.connected_peers().borrow().contains(&relay.peer_id());
    assert!(connected && stranger.relayed_addresses().borrow().is_empty());
    // Nor may the stranger call others through the relay.
    let through_relay = slots(&friend, 1).await;
    let refused = stranger.connect(friend.peer_id(), through_relay).await.unwrap_err();
    assert!(matches!(refused, ConnectError::Failed(..)), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_is_connected_already_becomes_a_relay_when_its_owner_names_it() {
    let (relay, node) = (relay(Admission::everyone()).await, start().await);
    let (peer, addresses) = relay.provider();
    node.connect(peer, addresses).await.unwrap();
    assert!(node.relayed_addresses().borrow().is_empty());
    node.keep_connected(vec![address_of(&relay)]);
    slots(&node, 1).await;
}
