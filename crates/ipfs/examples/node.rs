//! A node that is controlled by standard input, for manual experiments and for tests against other implementations.
//!
//! Start it with `cargo run --example node -- FOLDER`. Commands: `connect ADDRESS`, `add PATH v0|v1`, `get CID PATH`,
//! `pin CID`, `peers`, `stats`, `quit`. The address must end in `/p2p/PEER`.
use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use ipfs::node::{FetchLimits, Node, NodeConfig};
use ipfs::store::StoreConfig;
use ipfs::unixfs::Format;
use ipfs::{Cid, Keypair, Multiaddr, PeerId};
use libp2p::multiaddr::Protocol;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio_util::sync::CancellationToken;

type Outcome = Result<String, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter("ipfs=debug").init();
    let directory = std::env::args().nth(1).ok_or("give a folder for the blocks")?.into();
    let store = StoreConfig { directory, max_bytes: 10 << 30, min_free_bytes: 1 << 30 };
    let mut config = NodeConfig::new(Keypair::generate_ed25519(), store);
    config.listen = vec!["/ip4/127.0.0.1/tcp/0".parse()?, "/ip4/127.0.0.1/udp/0/quic-v1".parse()?];
    config.allow_loopback = true;
    let (node, driver, _) = Node::start(config).await?;
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(driver.run(shutdown.clone()));
    for address in node.listen_addresses().wait_for(|all| all.len() == 2).await?.iter() {
        println!("READY {address}/p2p/{}", node.peer_id());
    }
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words == ["quit"] {
            break;
        }
        let start = Instant::now();
        match command(&node, &words).await {
            Ok(answer) => println!("OK {answer} {:.3} s", start.elapsed().as_secs_f64()),
            Err(error) => println!("ERROR {error}"),
        }
    }
    shutdown.cancel();
    Ok(running.await?)
}

async fn command(node: &Node, words: &[&str]) -> Outcome {
    match words {
        ["connect", address] => connect(node, address.parse()?).await,
        ["add", path, format] => add(node, path, format).await,
        ["get", cid, path] => get(node, cid.parse()?, path).await,
        ["pin", cid] => Ok(format!("{} bytes", node.pin(cid.parse()?).await?.bytes)),
        ["peers"] => Ok(format!("{:?}", node.connected_peers().borrow())),
        ["stats"] => Ok(format!("{:?} {:?}", node.usage(), node.statistics().borrow())),
        _ => Err("not understood".into()),
    }
}

async fn connect(node: &Node, mut address: Multiaddr) -> Outcome {
    let Some(Protocol::P2p(peer)) = address.pop() else {
        return Err("the address names no peer".into());
    };
    let peer: PeerId = peer;
    node.connect(peer, vec![address]).await?;
    Ok("connected".to_owned())
}

async fn add(node: &Node, path: &str, format: &str) -> Outcome {
    let format = if format == "v0" { Format::V0 } else { Format::V1 };
    let added = node.add_file(ipfs::unixfs::Content::File(path.into()), format, Default::default()).await?;
    node.pin(added.root).await?;
    Ok(format!("{} {}", added.root, added.total_size))
}

async fn get(node: &Node, cid: Cid, path: &str) -> Outcome {
    let limits = FetchLimits {
        max_bytes: 1 << 40,
        max_blocks: 1 << 24,
        stall_timeout: Duration::from_secs(30),
        priority: 0,
    };
    let start = Instant::now();
    let fetched = node.fetch(cid, Vec::new(), limits, Default::default()).await?;
    let seconds = start.elapsed().as_secs_f64();
    let bytes = node.export(cid, Path::new(path), 1 << 40).await?;
    Ok(format!("{bytes} bytes, {:?} in {seconds:.3} s, exported", fetched.summary))
}
