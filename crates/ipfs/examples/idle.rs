//! Measures how many bytes two idle, connected nodes exchange, including headers.
//!
//! Needs a network namespace in which no other program uses loopback:
//! `unshare --net sh -c 'ip link set lo up; target/debug/examples/idle MINUTES [TOPIC]'`.
use std::error::Error;
use std::time::Duration;

use ipfs::Keypair;
use ipfs::node::{Node, NodeConfig, Topic};
use ipfs::store::StoreConfig;
use tokio_util::sync::CancellationToken;

type Outcome<T> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let minutes = std::env::args().nth(1).ok_or("give a number of minutes")?.parse()?;
    let topic = std::env::args().nth(2);
    let folder = tempfile::tempdir()?;
    let (first, _here) = start(folder.path().join("first"), topic.as_deref()).await?;
    let (second, _there) = start(folder.path().join("second"), topic.as_deref()).await?;
    let addresses = first.listen_addresses().wait_for(|all| !all.is_empty()).await?.clone();
    let before = bytes()?;
    second.connect(first.peer_id(), addresses).await?;
    for minute in 0..minutes {
        let start = bytes()?;
        tokio::time::sleep(Duration::from_secs(60)).await;
        println!("minute {minute}: {} bytes; {} since the start", bytes()? - start, bytes()? - before);
    }
    Ok(())
}

async fn start(directory: std::path::PathBuf, topic: Option<&str>) -> Outcome<(Node, Option<Topic>)> {
    let store = StoreConfig { directory, max_bytes: 1 << 20, min_free_bytes: 0 };
    let mut config = NodeConfig::new(Keypair::generate_ed25519(), store);
    config.listen = vec!["/ip4/127.0.0.1/tcp/0".parse()?];
    config.allow_loopback = true;
    config.topics = topic.into_iter().map(str::to_owned).collect();
    let (node, driver, _) = Node::start(config).await?;
    tokio::spawn(driver.run(CancellationToken::new()));
    let topic = match topic {
        Some(topic) => Some(node.subscribe(topic).await?),
        None => None,
    };
    Ok((node, topic))
}

/// Returns the number of bytes that loopback received, which counts both directions.
fn bytes() -> Outcome<u64> {
    let table = std::fs::read_to_string("/proc/net/dev")?;
    let line = table.lines().find_map(|line| line.trim().strip_prefix("lo:")).ok_or("no loopback")?;
    Ok(line.split_whitespace().next().ok_or("no counter")?.parse()?)
}
