//! A peer that shares files with CIDv0. Our daemon never makes such CIDs, but must fetch, check, keep and serve files
//! that other programs added with them.
//!
//! The peer has its own IPFS node and key, and sends signed records about its files to one daemon.

use std::error::Error;
use std::future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use clap::Args;
use dcache::{PeerId, Time};
use ipfs::node::{Node, NodeConfig};
use ipfs::store::StoreConfig;
use ipfs::unixfs::{Content, DirectoryEntry, Format};
use ipfs::{Cid, Multiaddr};
use lab::TestSigner;
use logs::buckets::{self, Station};
use logs::{Description, INFO_NAME};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Seed of the peer's key. The peer exists only within one lab, so it may be the same in each.
const SEED: [u8; 32] = [7; 32];
const STORE_BYTES: u64 = 8 << 30;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// Options of the peer that shares with CIDv0.
#[derive(Args)]
pub(crate) struct ShareV0 {
    /// Files to share
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Address on which to accept IPFS connections, such as /ip4/10.77.0.2/tcp/6002
    #[arg(long)]
    listen: Multiaddr,
    /// Address of the daemon's line protocol, such as 10.77.0.1:8000
    #[arg(long)]
    daemon: SocketAddr,
    /// Folder for the blocks of the peer
    #[arg(long)]
    store: PathBuf,
}

/// Shares the files until the process is killed. For each file it prints `SHARED DIRECTORY FILE` with both CIDs, and at
/// the end `TOLD`.
pub(crate) fn share_v0(options: ShareV0) -> Result {
    tokio::runtime::Runtime::new()?.block_on(async {
        let (node, driver, _) = Node::start(config(&options)?).await?;
        tokio::select! {
            () = driver.run(CancellationToken::new()) => Err("the IPFS node ended".into()),
            problem = share(&options, &node) => problem,
        }
    })
}

fn config(options: &ShareV0) -> Result<NodeConfig> {
    let key = ipfs::Keypair::ed25519_from_bytes(SEED)?;
    let directory = options.store.clone();
    let store = StoreConfig { directory, max_bytes: STORE_BYTES, min_free_bytes: 0 };
    Ok(NodeConfig { listen: vec![options.listen.clone()], ..NodeConfig::new(key, store) })
}

async fn share(options: &ShareV0, node: &Node) -> Result {
    let mut signer = TestSigner::new(SEED);
    let address = format!("{}/p2p/{}", options.listen, node.peer_id());
    let own = dcache::buckets::IPFS_ADDRESSES.of(signer.peer_id());
    let mut records = vec![signer.propose(own.as_str(), &address)?];
    for path in &options.files {
        let description = describe(path, signer.peer_id())?;
        let (directory, file) = add(node, path, &description).await?;
        let info = buckets::info(&directory);
        records.push(signer.propose(info.as_str(), description.to_data()?.as_str())?);
        records.push(signer.propose(Station::Files.bucket().as_str(), &directory.to_string())?);
        println!("SHARED {directory} {file}");
    }
    let lines: String = records.iter().map(|record| signer.envelope(record).encode() + "\n").collect();
    let mut daemon = TcpStream::connect(options.daemon).await?;
    daemon.write_all(lines.as_bytes()).await?;
    println!("TOLD");
    // The connection stays open, and the node serves blocks.
    future::pending().await
}

fn describe(path: &Path, uploader: PeerId) -> Result<Description> {
    let metadata = path.metadata()?;
    let filename = path.file_name().ok_or("a file needs a name")?.to_string_lossy().into_owned();
    let changed = Time(metadata.modified()?.duration_since(UNIX_EPOCH)?.as_secs());
    Ok(Description { filename, path: None, size: metadata.len(), changed, uploader, recording: None })
}

/// Adds the file with its info file, and returns the CIDs of the directory and of the file in it.
async fn add(node: &Node, path: &Path, description: &Description) -> Result<(Cid, Cid)> {
    let info = Content::Bytes(description.to_yaml(None)?.into());
    let entries = vec![
        DirectoryEntry { path: description.filename.clone(), content: Content::File(path.to_owned()) },
        DirectoryEntry { path: INFO_NAME.to_owned(), content: info },
    ];
    let added = node.add_directory(entries, Format::V0, watch::Sender::default()).await?;
    node.pin(added.root).await?;
    let listed = node.list(added.root).await?;
    let file = listed.iter().find(|entry| entry.name == description.filename);
    Ok((added.root, file.ok_or("the directory lacks its file")?.cid))
}
