//! Content that only other nodes have, or no node.

use std::time::{Duration, Instant};

use cid::multihash::Multihash;
use ipfs::Cid;
use ipfs::unixfs::Format;

use crate::support::{Served, curl, noise, serve};

const MISSING: &str = "/ipfs/bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
const ONLY_IF_CACHED: [&str; 2] = ["--header", "Cache-Control: only-if-cached"];

async fn connect(from: &Served, to: &Served) {
    let addresses = to.node.listen_addresses().borrow().clone();
    from.node.connect(to.node.peer_id(), addresses).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn content_of_other_nodes_is_fetched_from_them() {
    let Some(()) = curl() else { return };
    let (served, other) = (serve(Duration::from_secs(20)).await, serve(Duration::from_secs(20)).await);
    connect(&served, &other).await;
    let content = noise(50 * 1024 * 1024 + 17);
    let cid = other.add(&content, Format::V1).await;
    let path = format!("/ipfs/{cid}");
    assert_eq!(served.get(&path, &ONLY_IF_CACHED).await.status, 412);
    let middle = served.get(&path, &["--range", "20000000-20000999"]).await;
    assert_eq!(middle.status, 206);
    assert!(middle.body == content[20_000_000..20_001_000]);
    // Only the blocks of the range are fetched.
    let blocks = served.node.usage().blocks;
    assert!(blocks <= 5, "{blocks} blocks were fetched");
    assert_eq!(served.get(&path, &ONLY_IF_CACHED).await.status, 412);
    let begun = Instant::now();
    let whole = served.get(&path, &[]).await;
    println!("50 MiB through the gateway from a peer: {:.2} s", begun.elapsed().as_secs_f64());
    assert!(whole.body == content);
    assert_eq!(served.get(&path, &ONLY_IF_CACHED).await.body.len(), content.len());
    assert_eq!(served.head(&path, &ONLY_IF_CACHED).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_blocks_are_fetched_from_holders_and_neighbours() {
    let Some(()) = curl() else { return };
    let served = serve(Duration::from_secs(20)).await;
    let (holder, neighbour) = (serve(Duration::from_secs(1)).await, serve(Duration::from_secs(1)).await);
    let at = |other: &Served| (other.node.peer_id(), other.node.listen_addresses().borrow().clone());
    served.holders.send_replace(vec![at(&holder)]);
    let held = holder.add(b"held", Format::V1).await;
    assert_eq!(served.get(&format!("/ipfs/{held}"), &[]).await.text(), "held");
    served.holders.send_replace(Vec::new());
    served.node.tell_neighbours(vec![at(&neighbour)]);
    let near = neighbour.add(b"near", Format::V1).await;
    assert_eq!(served.get(&format!("/ipfs/{near}"), &[]).await.text(), "near");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_content_that_no_node_has_times_out() {
    let Some(()) = curl() else { return };
    let served = serve(Duration::from_secs(1)).await;
    let begun = Instant::now();
    let answer = served.get(MISSING, &[]).await;
    assert_eq!((answer.status, answer.header("retry-after")), (504, "10"));
    assert!(answer.text().contains("did not come within 1 s"), "{}", answer.text());
    assert!(begun.elapsed() >= Duration::from_secs(1));
    for format in ["raw", "car"] {
        assert_eq!(served.get(&format!("{MISSING}?format={format}"), &[]).await.status, 504, "{format}");
        let cached = served.head(&format!("{MISSING}?format={format}"), &ONLY_IF_CACHED).await;
        assert_eq!(cached.status, 412);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_cannot_be_verified_is_refused_at_once() {
    let Some(()) = curl() else { return };
    let served = serve(Duration::from_secs(60)).await;
    // MD5 is not one of the accepted hash functions.
    let cid = Cid::new_v1(0x55, Multihash::wrap(0xd5, &[7; 16]).unwrap());
    let begun = Instant::now();
    let answer = served.get(&format!("/ipfs/{cid}"), &[]).await;
    assert_eq!(answer.status, 501, "{}", answer.text());
    assert!(answer.text().contains("hash function 0xd5"), "{}", answer.text());
    assert!(begun.elapsed() < Duration::from_secs(30));
}

/// Stores only the root and the first leaf of a large file. Returns the root and the whole content.
async fn half(served: &Served) -> (Cid, Vec<u8>) {
    let other = serve(Duration::from_secs(1)).await;
    let content = noise(2 * 1024 * 1024);
    let root = other.add(&content, Format::V1).await;
    let block = other.node.store().get(&root).unwrap().unwrap();
    let first = ipfs::dag::links(&root, &block).unwrap()[0].cid;
    served.put(&root, &block);
    served.put(&first, &other.node.store().get(&first).unwrap().unwrap());
    (root, content)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_notices_that_an_answer_is_incomplete() {
    let Some(()) = curl() else { return };
    let served = serve(Duration::from_secs(1)).await;
    let (root, content) = half(&served).await;
    let answer = served.get(&format!("/ipfs/{root}"), &[]).await;
    // The exit status 18 of curl means that only a part of the file was transferred.
    assert_eq!((answer.status, answer.exit), (200, 18));
    assert!(content.starts_with(&answer.body) && !answer.body.is_empty());
    let car = served.get(&format!("/ipfs/{root}?format=car"), &[]).await;
    assert_eq!(car.status, 200);
    assert_ne!(car.exit, 0);
    // If not even the first byte is available, the status says so.
    assert_eq!(served.get(&format!("/ipfs/{root}"), &["--range", "1000000-"]).await.status, 504);
    let answer = served.get(&format!("/ipfs/{root}"), &ONLY_IF_CACHED).await;
    assert_eq!(answer.status, 412);
    let here = [&ONLY_IF_CACHED[..], &["--range", "0-99"]].concat();
    assert_eq!(served.get(&format!("/ipfs/{root}"), &here).await.status, 206);
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_blocks_are_never_served() {
    let Some(()) = curl() else { return };
    let served = serve(Duration::from_secs(1)).await;
    let cid = served.add(b"right", Format::V1).await;
    let digest: String = cid.hash().digest().iter().map(|byte| format!("{byte:02x}")).collect();
    let blocks = served.folder.path().join("store/blocks").join(&digest[62..]);
    let file = std::fs::read_dir(blocks).unwrap().next().unwrap().unwrap().path();
    std::fs::write(file, b"wrong").unwrap();
    let answer = served.get(&format!("/ipfs/{cid}"), &[]).await;
    assert_eq!(answer.status, 504, "{}", answer.text());
}
