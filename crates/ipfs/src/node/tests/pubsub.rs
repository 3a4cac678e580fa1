//! Topics between honest and malicious nodes.
use futures::{AsyncWriteExt, StreamExt};
use libp2p::gossipsub::{self, IdentTopic, MessageAuthenticity};
use libp2p::swarm::{NetworkBehaviour, StreamProtocol};
use tokio::time::timeout;

use super::*;

const TOPIC: &str = "duckiebots";
const SOON: Duration = Duration::from_secs(20);

async fn start_with_topic() -> Running {
    let directory = TempDir::new().unwrap();
    let mut config = config(&directory, MIB);
    config.topics = vec![TOPIC.to_owned()];
    run(config, directory).await.0
}

async fn connect(one: &Running, other: &Running) {
    let (peer, addresses) = other.provider();
    one.connect(peer, addresses).await.unwrap();
}

async fn peers(topic: &mut Topic, count: usize) {
    timeout(SOON, topic.peers.wait_for(|peers| *peers == count)).await.unwrap().unwrap();
}

async fn next(topic: &mut Topic) -> Bytes {
    timeout(SOON, topic.messages.recv()).await.unwrap().unwrap()
}

/// Starts `count` nodes in a line, each connected to the next, all subscribed.
async fn line(count: usize) -> Vec<(Running, Topic)> {
    let mut nodes: Vec<(Running, Topic)> = Vec::new();
    for index in 0..count {
        let node = start_with_topic().await;
        let topic = node.subscribe(TOPIC).await.unwrap();
        if let Some((before, _)) = nodes.last() {
            connect(&node, before).await;
        }
        nodes.push((node, topic));
        if index > 0 {
            peers(&mut nodes[index].1, 1).await;
            peers(&mut nodes[index - 1].1, if index > 1 { 2 } else { 1 }).await;
        }
    }
    nodes
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_go_both_ways_through_a_third_and_each_arrives_once() {
    let mut nodes = line(3).await;
    for count in 0..30u8 {
        nodes[0].1.publish.send(Bytes::from(vec![1, count])).await.unwrap();
        nodes[2].1.publish.send(Bytes::from(vec![2, count])).await.unwrap();
    }
    for (node, from) in [(0, 2), (2, 1)] {
        let mut seen = BTreeSet::new();
        for _ in 0..30 {
            assert!(seen.insert(next(&mut nodes[node].1).await));
        }
        let all: BTreeSet<_> = (0..30).map(|count| Bytes::from(vec![from, count])).collect();
        assert_eq!(seen, all);
        assert!(nodes[node].1.messages.try_recv().is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_peer_is_not_counted_and_a_stopped_node_ends_its_topics() {
    let mut nodes = line(2).await;
    let (second, mut topic) = nodes.pop().unwrap();
    drop(second.stop().await);
    peers(&mut nodes[0].1, 0).await;
    assert_eq!(timeout(SOON, topic.messages.recv()).await.unwrap(), None);
    assert!(topic.peers.changed().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_subscribed_to_once_and_again_after_a_drop() {
    let (first, second) = (start_with_topic().await, start_with_topic().await);
    connect(&first, &second).await;
    let unknown = first.subscribe("other").await.unwrap_err();
    assert_eq!(unknown, SubscribeError::UnknownTopic("other".to_owned()));
    let mut there = first.subscribe(TOPIC).await.unwrap();
    let twice = first.subscribe(TOPIC).await.unwrap_err();
    assert_eq!(twice, SubscribeError::AlreadySubscribed(TOPIC.to_owned()));
    // The connection was made before both subscriptions.
    let mut here = second.subscribe(TOPIC).await.unwrap();
    peers(&mut here, 1).await;
    peers(&mut there, 1).await;
    drop(there);
    peers(&mut here, 0).await;
    let mut there = first.subscribe(TOPIC).await.unwrap();
    peers(&mut there, 1).await;
    peers(&mut here, 1).await;
    there.publish.send(Bytes::from_static(b"again")).await.unwrap();
    assert_eq!(next(&mut here).await, "again");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_up_to_64_kib_arrive_and_larger_ones_are_lost() {
    let mut nodes = line(2).await;
    for size in [MAX_MESSAGE_BYTES + 1, MAX_MESSAGE_BYTES, 1] {
        nodes[0].1.publish.send(Bytes::from(vec![7; size])).await.unwrap();
    }
    let sizes = [next(&mut nodes[1].1).await.len(), next(&mut nodes[1].1).await.len()];
    assert_eq!(BTreeSet::from(sizes), BTreeSet::from([MAX_MESSAGE_BYTES, 1]));
}

/// Starts another libp2p peer with this behaviour, connected to the victim.
async fn stranger<B: NetworkBehaviour>(
    victim: &Running,
    behaviour: impl FnOnce(&Keypair) -> B,
) -> libp2p::Swarm<B> {
    let mut swarm = libp2p::SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(Default::default(), libp2p::noise::Config::new, libp2p::yamux::Config::default)
        .unwrap()
        .with_behaviour(behaviour)
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(SOON))
        .build();
    let (peer, addresses) = victim.provider();
    swarm.dial(addresses[0].clone()).unwrap();
    while !swarm.is_connected(&peer) {
        swarm.select_next_some().await;
    }
    swarm
}

async fn is_rid_of(victim: &Running, peer: PeerId) {
    let mut connected = victim.connected_peers();
    timeout(SOON, connected.wait_for(|peers| !peers.contains(&peer))).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_floods_a_topic_is_cut_off_and_the_others_exchange_messages() {
    let mut nodes = line(2).await;
    let config = gossipsub::ConfigBuilder::default().flood_publish(true).build().unwrap();
    let mut flooder = stranger(&nodes[1].0, |key: &Keypair| {
        gossipsub::Behaviour::<gossipsub::IdentityTransform>::new(
            MessageAuthenticity::Signed(key.clone()),
            config,
        )
        .unwrap()
    })
    .await;
    let (topic, me, victim) = (IdentTopic::new(TOPIC), *flooder.local_peer_id(), nodes[1].0.peer_id());
    flooder.behaviour_mut().subscribe(&topic).unwrap();
    let flood = async {
        while flooder.is_connected(&victim) {
            for _ in 0..100 {
                // Fails while there is no subscriber, and when the queue is full.
                let _ = flooder.behaviour_mut().publish(topic.clone(), vec![0; 200]);
            }
            // Takes the next event, if one is ready.
            let _ = timeout(Duration::from_millis(1), flooder.select_next_some()).await;
        }
    };
    timeout(SOON, flood).await.expect("the flooder is cut off");
    is_rid_of(&nodes[1].0, me).await;
    // The peer may not connect again for five minutes.
    let (_, addresses) = nodes[1].0.provider();
    flooder.dial(addresses[0].clone()).unwrap();
    let ends = async {
        loop {
            if matches!(flooder.select_next_some().await, libp2p::swarm::SwarmEvent::ConnectionClosed { .. })
            {
                return;
            }
        }
    };
    timeout(SOON, ends).await.expect("the flooder cannot connect again");
    while nodes[1].1.messages.try_recv().is_ok() {}
    nodes[0].1.publish.send(Bytes::from_static(b"still here")).await.unwrap();
    while next(&mut nodes[1].1).await != "still here" {}
}

/// Prefixes bytes with their length, an unsigned varint.
fn delimited(bytes: &[u8]) -> Vec<u8> {
    let (low, high) = (u8::try_from(bytes.len() % 128).unwrap(), u8::try_from(bytes.len() / 128).unwrap());
    let length = if high == 0 { vec![low] } else { vec![low | 0x80, high] };
    [length, bytes.to_vec()].concat()
}

/// Encodes a field of a protobuf message.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [vec![number << 3 | 2], delimited(bytes)].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_forges_signatures_is_cut_off() {
    let mut nodes = line(1).await;
    let (protocol, streams) = (StreamProtocol::new("/meshsub/1.1.0"), libp2p_stream::Behaviour::new());
    let mut control = streams.new_control();
    // The victim listens only to peers that speak the protocol, too.
    let _incoming = control.accept(protocol.clone()).unwrap();
    let mut forger = stranger(&nodes[0].0, |_: &Keypair| streams).await;
    let (me, victim) = (*forger.local_peer_id(), nodes[0].0.peer_id());
    let driver = tokio::spawn(async move {
        loop {
            forger.select_next_some().await;
        }
    });
    let mut stream = control.open_stream(victim, protocol).await.unwrap();
    let message = [
        field(1, &me.to_bytes()),
        field(2, b"forged"),
        field(3, &[0, 0, 0, 0, 0, 0, 0, 1]),
        field(4, TOPIC.as_bytes()),
        field(5, &[0; 64]),
    ]
    .concat();
    let transmission = delimited(&field(2, &message));
    for _ in 0..20 {
        // The peer may be cut off already.
        let _ = stream.write_all(&transmission).await;
        let _ = stream.flush().await;
    }
    is_rid_of(&nodes[0].0, me).await;
    assert!(nodes[0].1.messages.try_recv().is_err());
    driver.abort();
}
