//! Addresses that other peers named.
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpListener;

use super::*;

/// A host that is not a peer: it counts connections and closes them.
async fn victim() -> (Multiaddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("/ip4/127.0.0.1/tcp/{}", listener.local_addr().unwrap().port());
    let came = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&came);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    (address.parse().unwrap(), came)
}

#[tokio::test]
async fn a_victim_is_dialled_only_a_few_times_for_any_number_of_liars() {
    let node = start().await;
    let (address, came) = victim().await;
    let liars: Vec<PeerId> = (0..8).map(|_| PeerId::random()).collect();
    for _ in 0..20 {
        for liar in &liars {
            assert!(node.connect(*liar, vec![address.clone()]).await.is_err());
        }
    }
    let came = came.load(Ordering::Relaxed);
    assert!((1..=18).contains(&came), "{came} of 160");
}

#[tokio::test]
async fn a_robot_is_reached_although_others_keep_naming_its_address() {
    let (node, robot) = (start().await, start().await);
    let (peer, addresses) = robot.provider();
    for _ in 0..10 {
        for liar in (0..8).map(|_| PeerId::random()) {
            assert!(node.connect(liar, addresses.clone()).await.is_err());
        }
        // The robot proved its identity when it was dialled as another peer.
        node.connect(peer, addresses.clone()).await.unwrap();
    }
}
