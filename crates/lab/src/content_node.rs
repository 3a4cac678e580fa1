//! One of our IPFS nodes alone, controlled by commands on its standard input. Measurements compare it with other
//! content engines that are driven in the same way.

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use ipfs::node::{FetchLimits, Node, NodeConfig, Provider};
use ipfs::store::StoreConfig;
use ipfs::unixfs::{Content, Format};
use ipfs::{Cid, Keypair, Multiaddr, PeerId};
use tokio::io::{AsyncBufReadExt as _, BufReader, stdin};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const LIMITS: FetchLimits = FetchLimits {
    max_bytes: 1 << 40,
    max_blocks: 1 << 24,
    stall_timeout: Duration::from_secs(120),
    priority: 0,
};

/// Maximum number of attempts to connect with a peer.
const ATTEMPTS: u32 = 3;

type Outcome = Result<String, Box<dyn Error>>;

/// Options of the content node.
#[derive(Args)]
pub(crate) struct ContentNode {
    /// Address on which to accept IPFS connections, such as /ip4/10.77.0.2/tcp/6002
    #[arg(long)]
    listen: Multiaddr,
    /// Folder for the blocks of the node
    #[arg(long)]
    store: PathBuf,
}

/// Runs commands from standard input until it ends: `meet ADDRESS...`, `add FILE`, `get CID`, `stats`.
///
/// The first line of output is `READY ADDRESS`. Each command is answered by one line that begins with OK or ERROR.
/// After OK, `get` also prints PINNED when the blocks are durable.
pub(crate) fn content_node(options: ContentNode) -> Result<(), Box<dyn Error>> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let store = StoreConfig { directory: options.store, max_bytes: 1 << 40, min_free_bytes: 0 };
        let listen = vec![options.listen];
        let config = NodeConfig {
            listen,
            allow_loopback: true,
            ..NodeConfig::new(Keypair::generate_ed25519(), store)
        };
        let (node, driver, _) = Node::start(config).await?;
        let stop = CancellationToken::new();
        let running = tokio::spawn(driver.run(stop.clone()));
        let address = node.listen_addresses().wait_for(|all| !all.is_empty()).await?[0].clone();
        println!("READY {address}/p2p/{}", node.peer_id());
        obey(&node).await?;
        stop.cancel();
        Ok(running.await?)
    })
}

async fn obey(node: &Node) -> std::io::Result<()> {
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let words: Vec<&str> = line.split(' ').collect();
        if let ["get", cid] = words.as_slice() {
            match get(node, cid).await {
                Ok(()) => println!("PINNED"),
                Err(error) => println!("ERROR {error}"),
            }
            continue;
        }
        match command(node, &words).await {
            Ok(answer) => println!("OK {answer}"),
            Err(error) => println!("ERROR {error}"),
        }
    }
    Ok(())
}

async fn command(node: &Node, words: &[&str]) -> Outcome {
    match words {
        ["meet", addresses @ ..] => meet(node, addresses).await,
        ["add", path] => {
            let added = node
                .add_file(Content::File(PathBuf::from(path)), Format::V1, watch::Sender::default())
                .await?;
            node.pin(added.root).await?;
            Ok(added.root.to_string())
        }
        ["stats"] => {
            let seen = *node.statistics().borrow();
            Ok(format!(
                "{{\"bytes_received\":{},\"bytes_sent\":{},\"unwanted_bytes\":{},\"timeouts\":{}}}",
                seen.bytes_received, seen.bytes_sent, seen.unwanted_bytes, seen.timeouts
            ))
        }
        _ => Err("unknown command, or the wrong number of arguments".into()),
    }
}

/// Connects with these peers now. They are also kept as neighbours for later fetches.
async fn meet(node: &Node, addresses: &[&str]) -> Outcome {
    let peers: Vec<Provider> = addresses.iter().map(|address| provider(address)).collect::<Result<_, _>>()?;
    node.tell_neighbours(peers.clone());
    for (peer, addresses) in peers {
        connect(node, peer, addresses).await?;
    }
    Ok("met".to_owned())
}

/// Connects with a peer. On a network that loses packets the first attempts may fail.
async fn connect(node: &Node, peer: PeerId, addresses: Vec<Multiaddr>) -> Result<(), Box<dyn Error>> {
    for _ in 1..ATTEMPTS {
        if node.connect(peer, addresses.clone()).await.is_ok() {
            return Ok(());
        }
    }
    Ok(node.connect(peer, addresses).await?)
}

fn provider(text: &str) -> Result<Provider, Box<dyn Error>> {
    let (address, peer) = text.rsplit_once("/p2p/").ok_or("the address names no peer")?;
    Ok((peer.parse::<PeerId>()?, vec![address.parse()?]))
}

/// Fetches a DAG, reports it on standard output, and then makes it durable.
async fn get(node: &Node, cid: &str) -> Result<(), Box<dyn Error>> {
    let cid: Cid = cid.parse()?;
    let begun = Instant::now();
    let fetched = node.fetch(cid, Vec::new(), LIMITS, watch::Sender::default()).await?;
    let seconds = begun.elapsed().as_secs_f64();
    println!("OK {} {seconds:.3}", fetched.summary.bytes);
    node.pin(cid).await?;
    Ok(())
}
