//! Tests of private networks.
use super::*;

async fn start_with(key: Option<[u8; 32]>) -> Running {
    let directory = TempDir::new().unwrap();
    let mut config = config(&directory, 1024 * MIB);
    config.listen.push("/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap());
    config.network_key = key.map(Into::into);
    let node = run(config, directory).await.0;
    let count = if key.is_some() { 1 } else { 2 };
    node.listen_addresses().wait_for(|addresses| addresses.len() == count).await.unwrap();
    node
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_with_the_same_key_exchange_blocks() {
    let (source, sink) = (start_with(Some([7; 32])).await, start_with(Some([7; 32])).await);
    let addresses = source.listen_addresses().borrow().clone();
    assert!(addresses.iter().all(|address| address.to_string().contains("/tcp/")), "{addresses:?}");
    let root = source.add(&noise(3_000_000), Format::V1).await;
    sink.get(root, &[&source]).await.unwrap();
    assert!(sink.exported(root).await == noise(3_000_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_or_none_is_refused() {
    let (inside, outside) = (start_with(Some([7; 32])).await, start_with(None).await);
    let other = start_with(Some([8; 32])).await;
    for (one, two) in [(&inside, &outside), (&outside, &inside), (&inside, &other)] {
        let (peer, addresses) = two.provider();
        let refused = one.connect(peer, addresses).await;
        assert!(matches!(refused, Err(ConnectError::Failed(..))), "{refused:?}");
    }
    let address = format!("{}/p2p/{}", other.listen_addresses().borrow()[0], other.peer_id());
    inside.keep_connected(vec![address.parse().unwrap()]);
    let is_explained = |told: &Arc<Vec<PersistentPeer>>| matches!(&told[..], [PersistentPeer { state: PersistentPeerState::Failed(message), .. }] if message.contains("same network key"));
    let mut told = inside.persistent_peers();
    tokio::time::timeout(Duration::from_secs(60), told.wait_for(is_explained)).await.unwrap().unwrap();
    assert!([&inside, &outside, &other].iter().all(|node| node.connected_peers().borrow().is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn quic_is_not_dialled_in_a_private_network() {
    let (inside, outside) = (start_with(Some([7; 32])).await, start_with(None).await);
    let (peer, mut addresses) = outside.provider();
    addresses.retain(|address| address.to_string().contains("quic"));
    assert_eq!(inside.connect(peer, addresses).await, Err(ConnectError::NoUsableAddress(peer)));
}

#[test]
fn the_key_is_never_shown() {
    assert_eq!(format!("{:?}", NetworkKey::from([0xab; 32])), "NetworkKey");
}
