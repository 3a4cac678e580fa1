//! Storages that lie, and storages behind TLS.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod support;

use bytes::Bytes;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use support::{NAME, PART, bucket};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use uploads::{Destination as _, Metadata, Object, Pace, Patience, Trouble};

fn credentials() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credentials");
    let mut file = std::fs::File::options().create_new(true).write(true).mode(0o600).open(&path).unwrap();
    let text = "[default]\naws_access_key_id = key\naws_secret_access_key = secret\n";
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    (folder, path)
}

fn patience() -> Patience {
    let second = Duration::from_secs(1);
    Patience { connect: second, stall: second, answer: second }
}

/// Starts a server that sends `answer` to each connection, again and again if it is endless, and then waits.
async fn liar(answer: Vec<u8>, is_endless: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let mut sent = stream.write_all(&answer).await;
                while is_endless && sent.is_ok() {
                    sent = stream.write_all(&[b'a'; 65536]).await;
                }
                let _ = stream.read(&mut request).await;
                tokio::time::sleep(Duration::from_secs(60)).await;
            });
        }
    });
    format!("http://{address}")
}

async fn trouble_with(answer: &[u8], is_endless: bool) -> Trouble {
    let (_folder, credentials) = credentials();
    let endpoint = liar(answer.to_vec(), is_endless).await;
    let storage = bucket(&endpoint, &credentials, Pace::default(), patience());
    let object = Object::new(&format!("logs/{NAME}"), 2 * PART, PART, Metadata::default()).unwrap();
    let begun = Instant::now();
    let trouble = storage.create(&object).await.unwrap_err();
    let swept = storage.sweep(&object).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    println!("{trouble} / {swept}");
    trouble
}

#[tokio::test]
async fn an_answer_that_never_ends_is_cut_off() {
    let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffff\r\n";
    assert!(matches!(trouble_with(head, true).await, Trouble::NotS3(_)));
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n";
    assert!(matches!(trouble_with(head, true).await, Trouble::NotS3(_)));
    assert!(matches!(trouble_with(b"HTTP/1.1 200 OK\r\nx: ", true).await, Trouble::NotS3(_)));
}

#[tokio::test]
async fn an_answer_that_stops_is_left_after_the_patience() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n<a>";
    assert!(matches!(trouble_with(head, false).await, Trouble::Silent(_)));
    assert!(matches!(trouble_with(b"HTTP/1.1 20", false).await, Trouble::Silent(_)));
}

#[tokio::test]
async fn an_answer_that_is_not_one_of_s3_is_told() {
    let answer = |body: &str| format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let html = answer("<!DOCTYPE html><html><body>Welcome to the hotel</body></html>");
    assert!(matches!(trouble_with(html.as_bytes(), false).await, Trouble::NotS3(_)));
    let bomb = answer("<!DOCTYPE a [<!ENTITY b \"bbbb\">]><a>&b;&b;</a>");
    assert!(matches!(trouble_with(bomb.as_bytes(), false).await, Trouble::NotS3(_)));
    assert!(matches!(trouble_with(b"SSH-2.0-OpenSSH_9.2\r\n", false).await, Trouble::NotS3(_)));
    let moved = b"HTTP/1.1 307 Moved\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    assert!(
        matches!(trouble_with(moved, false).await, Trouble::OtherRegion(_)),
        "a redirect is not followed"
    );
}

#[tokio::test]
async fn the_rate_limit_holds_on_the_wire() {
    let (_folder, credentials) = credentials();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let reading = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (begun, mut bytes, mut chunk) = (Instant::now(), 0, vec![0; 65536]);
        while bytes < 1_000_000 {
            bytes += stream.read(&mut chunk).await.unwrap();
        }
        begun.elapsed()
    });
    let storage = bucket(&endpoint, &credentials, Pace::new(Some(500_000)), patience());
    let object = Object::new("logs/a", 1_000_000, PART, Metadata::default()).unwrap();
    let sending = storage.put(&object, Bytes::from(vec![7; 1_000_000]));
    let took = tokio::select! {
        took = reading => took.unwrap(),
        ended = sending => panic!("{ended:?}"),
    };
    assert!((1800..3500).contains(&took.as_millis()), "{took:?}");
}
