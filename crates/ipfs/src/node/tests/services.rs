//! Streams of services between two nodes.
use super::*;
use tokio::time::timeout;

const PROTOCOL: &str = "/dt-swarm/test/1.0.0";
const SOON: Duration = Duration::from_secs(20);

async fn read_all(reader: &mut StreamReader) -> Vec<u8> {
    let (mut all, mut buffer) = (Vec::new(), vec![0; 4096]);
    loop {
        match timeout(SOON, reader.read(&mut buffer)).await.unwrap().unwrap() {
            0 => return all,
            read => all.extend_from_slice(&buffer[..read]),
        }
    }
}

async fn open(from: &Running, to: &Running) -> Result<ServiceStream, StreamError> {
    let (peer, addresses) = to.provider();
    from.open_stream(peer, addresses, PROTOCOL).await
}

#[tokio::test]
async fn a_stream_carries_bytes_both_ways_and_names_its_peer() {
    let (one, other) = (start().await, start().await);
    let mut inbound = other.accept_streams(PROTOCOL);
    let mut opened = open(&one, &other).await.unwrap();
    opened.writer.write_all(b"question").await.unwrap();
    opened.writer.close().await.unwrap();
    let mut accepted = timeout(SOON, inbound.next()).await.unwrap().unwrap();
    assert_eq!((accepted.peer, opened.peer), (one.peer_id(), other.peer_id()));
    assert_eq!(read_all(&mut accepted.reader).await, b"question");
    let answer = vec![7; 300_000];
    let writing = async {
        accepted.writer.write_all(&answer).await.unwrap();
        accepted.writer.close().await.unwrap();
    };
    let (read, ()) = tokio::join!(read_all(&mut opened.reader), writing);
    assert_eq!(read, answer);
}

#[tokio::test]
async fn streams_that_are_opened_at_the_same_time_all_arrive() {
    let (one, other) = (start().await, start().await);
    let mut inbound = other.accept_streams(PROTOCOL);
    let opening = (0..20u8).map(|number| {
        let (one, other) = (&one, &other);
        async move {
            let mut stream = open(one, other).await.unwrap();
            stream.writer.write_all(&[number]).await.unwrap();
            stream
        }
    });
    let opened = futures::future::join_all(opening).await;
    let mut numbers = BTreeSet::new();
    for _ in &opened {
        let mut stream = timeout(SOON, inbound.next()).await.unwrap().unwrap();
        let mut number = [0];
        timeout(SOON, stream.reader.read(&mut number)).await.unwrap().unwrap();
        numbers.insert(number[0]);
    }
    assert_eq!(numbers.len(), opened.len());
}

#[tokio::test]
async fn without_a_service_no_stream_is_opened_and_a_dropped_one_is_reset() {
    let (one, other) = (start().await, start().await);
    let refused = open(&one, &other).await.unwrap_err();
    assert_eq!(refused, StreamError::Unsupported(other.peer_id(), PROTOCOL));
    // A protocol may be registered while the peer is connected.
    let mut inbound = other.accept_streams(PROTOCOL);
    let mut opened = open(&one, &other).await.unwrap();
    opened.writer.write_all(b"x").await.unwrap();
    drop(timeout(SOON, inbound.next()).await.unwrap().unwrap());
    let read = timeout(SOON, opened.reader.read(&mut [0; 8])).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}

#[tokio::test]
async fn a_connection_with_an_open_stream_stays_open() {
    let directory = TempDir::new().unwrap();
    let idle = Duration::from_secs(1);
    let one = run(NodeConfig { idle_timeout: idle, ..config(&directory, MIB) }, directory).await.0;
    let other = start().await;
    let mut inbound = other.accept_streams(PROTOCOL);
    let opened = open(&one, &other).await.unwrap();
    let (mut connected, peer) = (one.connected_peers(), other.peer_id());
    let closed = connected.wait_for(|peers| !peers.contains(&peer));
    assert!(timeout(4 * idle, closed).await.is_err(), "the connection was closed");
    drop((opened, timeout(idle, inbound.next()).await));
    timeout(SOON, connected.wait_for(|peers| !peers.contains(&peer))).await.unwrap().unwrap();
}
