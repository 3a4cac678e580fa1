//! A collector of usage statistics that is no daemon: the test itself runs an IPFS node, and reads what robots send to it.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dcache::Keypair;
use ipfs::node::{Node, NodeConfig, ServiceStream};
use ipfs::store::StoreConfig;
use lab::{Error, Host, Process, Result};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

const SEED: [u8; 32] = [42; 32];
pub(crate) const PORT: u16 = 7002;
const PROTOCOL: &str = "/dt-swarm/usage/1.0.0";

/// A line that a robot sent: its peer ID, and the bytes without the line end.
pub(crate) type Received = (String, String);

/// The collector that the test runs.
pub(crate) struct Witness {
    lines: Arc<Mutex<Vec<Received>>>,
    node: Node,
    address: Ipv4Addr,
    frames: Process,
    _runtime: Runtime,
}

/// Returns the peer ID of the collector.
pub(crate) fn peer_id() -> String {
    Keypair::from_seed(SEED).peer_id().to_string()
}

/// Writes the key of the collector as a key file, so that the CLI can sign with it.
pub(crate) fn key_file(folder: &Path) -> Result<PathBuf> {
    let path = folder.join("witness.key");
    let seed: String = SEED.iter().map(|byte| format!("{byte:02x}")).collect();
    let text = format!("version = 1\npeer = \"{}\"\nseed = \"{seed}\"\nsequence = 0\n", peer_id());
    fs::write(&path, text)
        .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o600)))
        .map_err(|source| Error::Io { what: "writing a key file".to_owned(), source })?;
    Ok(path)
}

impl Witness {
    /// Starts the collector on a host, and a capture of the frames of its port.
    pub(crate) fn start(host: &Host) -> Result<Self> {
        let mut command = host.command("tcpdump");
        command.args(["-i", "eth0", "-l", "-n", &format!("port {PORT}")]);
        let frames = host.spawn("tcpdump", command)?;
        frames.wait_for_line(|line| line.contains("listening on"), Duration::from_secs(20))?;
        let (address, store) = (host.address(), host.folder().join("witness"));
        // The threads of the runtime are in the network namespace of the thread that makes it.
        let (runtime, node) = host.within(|| start(address, store))?.map_err(|error| Error::Io {
            what: "starting the collector".to_owned(),
            source: std::io::Error::other(error.to_string()),
        })?;
        let lines = Arc::default();
        runtime.spawn(serve(node.clone(), Arc::clone(&lines)));
        Ok(Self { lines, node, address, frames, _runtime: runtime })
    }

    /// Returns the address at which robots reach it.
    pub(crate) fn address(&self) -> String {
        format!("/ip4/{}/tcp/{PORT}/p2p/{}", self.address, peer_id())
    }

    /// Returns the lines that robots sent.
    pub(crate) fn lines(&self) -> Vec<Received> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the number of frames of this host to the port, and whether it is connected.
    pub(crate) fn traffic_of(&self, host: &Host, peer: &str) -> (usize, bool) {
        let from = format!("IP {}.", host.address());
        let frames = self.frames.lines().iter().filter(|line| line.contains(&from)).count();
        let is_connected = self.node.connected_peers().borrow().iter().any(|known| known.to_string() == peer);
        (frames, is_connected)
    }
}

type Started = std::result::Result<(Runtime, Node), Box<dyn std::error::Error + Send + Sync>>;

fn start(address: Ipv4Addr, folder: PathBuf) -> Started {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let node = runtime.block_on(async {
        let store = StoreConfig { directory: folder, max_bytes: 1 << 30, min_free_bytes: 0 };
        let listen = vec![format!("/ip4/{address}/tcp/{PORT}").parse()?];
        let keypair = ipfs::Keypair::ed25519_from_bytes(SEED)?;
        let (node, driver, _) = Node::start(NodeConfig { listen, ..NodeConfig::new(keypair, store) }).await?;
        tokio::spawn(driver.run(CancellationToken::new()));
        node.listen_addresses().wait_for(|all| !all.is_empty()).await?;
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(node)
    })?;
    Ok((runtime, node))
}

async fn serve(node: Node, lines: Arc<Mutex<Vec<Received>>>) {
    let mut inbound = node.accept_streams(PROTOCOL);
    while let Some(stream) = inbound.next().await {
        tokio::spawn(answer(stream, Arc::clone(&lines)));
    }
}

/// Notes all bytes that a robot sends on a stream, and confirms them.
async fn answer(mut stream: ServiceStream, lines: Arc<Mutex<Vec<Received>>>) {
    let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
    while !all.ends_with(b"\n") {
        match stream.reader.read(&mut buffer).await {
            Ok(read @ 1..) => all.extend_from_slice(buffer.get(..read).unwrap_or_default()),
            Ok(0) | Err(_) => break,
        }
    }
    let text = String::from_utf8_lossy(&all).trim_end_matches('\n').to_owned();
    let reply = if text.starts_with("report ") { "{\"counted\":{}}\n" } else { "{\"forgotten\":{}}\n" };
    lines.lock().unwrap_or_else(PoisonError::into_inner).push((stream.peer.to_string(), text));
    let _ = stream.writer.write_all(reply.as_bytes()).await;
    let _ = stream.writer.close().await;
}
