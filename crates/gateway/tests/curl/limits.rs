//! Limits for clients: sizes of requests, numbers of connections, and slow readers.

use std::time::Duration;

use ipfs::unixfs::Format;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{SEND_TIMEOUT, curl, noise, serve};

const SOON: Duration = Duration::from_secs(20);
/// Maximum number of connections that one host may have.
const OF_ONE_HOST: usize = 32;

/// Reads everything until the server closes or resets the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = timeout(SOON, stream.read_to_end(&mut bytes)).await.unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sizes_of_heads_and_paths_are_limited() {
    let Some(()) = curl() else { return };
    let served = serve(SOON).await;
    let long = format!("/ipfs/bafkqaaa{}", "/abcdefgh".repeat(1000));
    assert_eq!(served.get(&long, &[]).await.status, 414);
    let huge = format!("X: {}", "a".repeat(20_000));
    assert_eq!(served.get("/ipfs/bafkqaaa", &["--header", &huge]).await.status, 431);
    let many: Vec<String> =
        (0..100).flat_map(|number| ["--header".to_owned(), format!("X-{number}: y")]).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(served.get("/ipfs/bafkqaaa", &many).await.status, 431);
    let mut rubbish = TcpStream::connect(served.address).await.unwrap();
    rubbish.write_all(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n").await.unwrap();
    assert!(rest(&mut rubbish).await.starts_with("HTTP/1.1 400"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_host_cannot_take_all_connections() {
    let served = serve(SOON).await;
    let mut connections = Vec::new();
    for _ in 0..OF_ONE_HOST {
        connections.push(TcpStream::connect(served.address).await.unwrap());
    }
    // The last of them is served, so all have been accepted.
    let last = connections.last_mut().unwrap();
    last.write_all(b"HEAD /ipfs/bafkqaaa HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    timeout(SOON, last.readable()).await.unwrap().unwrap();
    let mut refused = TcpStream::connect(served.address).await.unwrap();
    assert!(rest(&mut refused).await.starts_with("HTTP/1.1 429"));
    drop(connections);
    let again = async {
        loop {
            let mut stream = TcpStream::connect(served.address).await.unwrap();
            let _ = stream.write_all(b"GET /ipfs/bafkqaaa HTTP/1.0\r\nHost: localhost\r\n\r\n").await;
            if rest(&mut stream).await.starts_with("HTTP/1.0 200") {
                return;
            }
        }
    };
    timeout(SOON, again).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_are_not_read_ahead_for_a_client_that_does_not_read() {
    let served = serve(Duration::from_secs(1)).await;
    let content = noise(64 * 1024 * 1024);
    let cid = served.add(&content, Format::V1).await;
    let mut slow = TcpStream::connect(served.address).await.unwrap();
    let request = format!("GET /ipfs/{cid} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    slow.write_all(request.as_bytes()).await.unwrap();
    timeout(SOON, slow.readable()).await.unwrap().unwrap();
    // The client still gets the bytes in the socket buffers. Later blocks are missing on the disk from here on.
    let blocks = served.folder.path().join("store/blocks");
    std::fs::remove_dir_all(&blocks).unwrap();
    let got = content_until_the_end(&mut slow).await;
    println!("{} bytes were on their way", got.len());
    assert!(content.starts_with(&got), "wrong bytes");
    assert!(got.len() < content.len() / 2);
}

/// Reads the body of the answer until the server closes or resets the connection.
async fn content_until_the_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut got = Vec::new();
    let _ = timeout(SOON, stream.read_to_end(&mut got)).await.unwrap();
    let begin = got.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    got.split_off(begin)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_for_too_long_is_disconnected() {
    let served = serve(SOON).await;
    let content = noise(64 * 1024 * 1024);
    let cid = served.add(&content, Format::V1).await;
    let mut idle = TcpStream::connect(served.address).await.unwrap();
    let request = format!("GET /ipfs/{cid} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    idle.write_all(request.as_bytes()).await.unwrap();
    // A fixed wait is needed: the client cannot see the end of the connection without reading.
    tokio::time::sleep(SEND_TIMEOUT * 3).await;
    let got = content_until_the_end(&mut idle).await;
    assert!(content.starts_with(&got) && got.len() < content.len() / 2, "{} bytes", got.len());
}
