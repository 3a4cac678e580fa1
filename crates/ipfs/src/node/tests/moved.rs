//! Peers that have moved to another address, and dead connections.
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::*;

const SOON: Duration = Duration::from_secs(8);

/// Relays connections to a node, until it stops relaying and keeps the connections open.
struct Relay {
    address: Multiaddr,
    carrying: CancellationToken,
    _task: JoinSet<()>,
}

fn socket(node: &Running) -> SocketAddr {
    let address = node.listen_addresses().borrow()[0].to_string();
    format!("127.0.0.1:{}", address.rsplit('/').next().unwrap()).parse().unwrap()
}

impl Relay {
    /// Starts a relay on this loopback address. It begins to relay each connection after `pause`.
    async fn start(host: &str, to: SocketAddr, pause: Duration) -> Self {
        let listener = TcpListener::bind((host, 0)).await.unwrap();
        let address = format!("/ip4/{host}/tcp/{}", listener.local_addr().unwrap().port()).parse().unwrap();
        let (carrying, mut task) = (CancellationToken::new(), JoinSet::new());
        task.spawn(accept(listener, to, pause, carrying.clone()));
        Self { address, carrying, _task: task }
    }
}

async fn accept(listener: TcpListener, to: SocketAddr, pause: Duration, carrying: CancellationToken) {
    let mut running = JoinSet::new();
    loop {
        let (mut from, _) = listener.accept().await.unwrap();
        let carrying = carrying.clone();
        running.spawn(async move {
            sleep(pause).await;
            let mut to = TcpStream::connect(to).await.unwrap();
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut from, &mut to) => {}
                () = carrying.cancelled() => {
                    // The node behind notices the end; the peer that dialled does not.
                    drop(to);
                    std::future::pending().await
                }
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn content_of_a_peer_that_has_moved_is_fetched_at_once() {
    let (source, sink) = (start().await, start().await);
    let relay = Relay::start("127.0.0.2", socket(&source), Duration::ZERO).await;
    sink.connect(source.peer_id(), vec![relay.address.clone()]).await.unwrap();
    relay.carrying.cancel();
    let root = source.add(&noise(1_000_000), Format::V1).await;
    timeout(SOON, sink.get(root, &[&source])).await.expect("in time").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_connection_is_detected_when_it_is_needed() {
    let (source, sink) = (start().await, start().await);
    // The relay has the same IP address, so the move of the peer is not visible.
    let relay = Relay::start("127.0.0.1", socket(&source), Duration::ZERO).await;
    sink.connect(source.peer_id(), vec![relay.address.clone()]).await.unwrap();
    relay.carrying.cancel();
    let mut connected = sink.connected_peers();
    let need = async {
        loop {
            let _ = sink.connect(source.peer_id(), vec![relay.address.clone()]).await;
            sleep(Duration::from_millis(200)).await;
        }
    };
    let end = Duration::from_secs(20);
    tokio::select! {
        closed = timeout(end, connected.wait_for(|peers| peers.is_empty())) => drop(closed.expect("in time")),
        () = need => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_is_found_although_its_old_address_belongs_to_another_robot_now() {
    let (source, other, sink) = (start().await, start().await, start().await);
    let relay = Relay::start("127.0.0.1", socket(&source), Duration::from_millis(300)).await;
    let wrong = other.provider().1[0].clone();
    let connected = sink.connect(source.peer_id(), vec![wrong, relay.address.clone()]).await;
    assert_eq!(connected, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_address_is_dialled_while_the_old_one_does_not_answer() {
    let (source, sink) = (start().await, start().await);
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let old = format!("/ip4/127.0.0.1/tcp/{}", silent.local_addr().unwrap().port()).parse().unwrap();
    let (peer, new) = source.provider();
    let moved = async {
        let _held = silent.accept().await.unwrap();
        sink.connect(peer, new).await
    };
    let both = async { tokio::join!(sink.connect(peer, vec![old]), moved) };
    assert_eq!(timeout(SOON, both).await.expect("in time"), (Ok(()), Ok(())));
}
