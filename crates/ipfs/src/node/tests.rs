//! Real nodes over loopback.
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::*;

const MIB: u64 = 1024 * 1024;
const LIMITS: FetchLimits = FetchLimits {
    max_bytes: 1024 * MIB,
    max_blocks: 1_000_000,
    stall_timeout: Duration::from_secs(20),
};

/// A node that runs until it is dropped.
struct Running {
    node: Node,
    directory: TempDir,
    shutdown: CancellationToken,
    driver: JoinHandle<()>,
}

impl std::ops::Deref for Running {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

fn config(directory: &TempDir, max_bytes: u64) -> NodeConfig {
    let store = StoreConfig {
        directory: directory.path().join("store"),
        max_bytes,
        min_free_bytes: 0,
    };
    let mut config = NodeConfig::new(Keypair::generate_ed25519(), store);
    config.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
    config.allow_loopback = true;
    config
}

async fn run(config: NodeConfig, directory: TempDir) -> (Running, OpenReport) {
    let (node, driver, report) = Node::start(config).await.unwrap();
    let shutdown = CancellationToken::new();
    let driver = tokio::spawn(driver.run(shutdown.clone()));
    node.listen_addresses()
        .wait_for(|addresses| !addresses.is_empty())
        .await
        .unwrap();
    (
        Running {
            node,
            directory,
            shutdown,
            driver,
        },
        report,
    )
}

async fn start() -> Running {
    let directory = TempDir::new().unwrap();
    run(config(&directory, 1024 * MIB), directory).await.0
}

impl Running {
    fn provider(&self) -> Provider {
        (self.peer_id(), self.listen_addresses().borrow().clone())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Adds and pins a file with this content.
    async fn add(&self, content: &[u8], format: Format) -> Cid {
        let path = self.path("input");
        std::fs::write(&path, content).unwrap();
        let added = self
            .add_file(path, format, watch::Sender::default())
            .await
            .unwrap();
        self.pin(added.root).await.unwrap();
        added.root
    }

    async fn get(&self, root: Cid, from: &[&Running]) -> Result<Fetched, FetchError> {
        let providers = from.iter().map(|node| node.provider()).collect();
        self.fetch(root, providers, LIMITS, watch::Sender::default())
            .await
    }

    async fn exported(&self, root: Cid) -> Vec<u8> {
        let path = self.path("output");
        self.export(root, &path, LIMITS.max_bytes).await.unwrap();
        std::fs::read(path).unwrap()
    }

    async fn stop(mut self) -> TempDir {
        self.shutdown.cancel();
        (&mut self.driver).await.unwrap();
        std::mem::replace(&mut self.directory, TempDir::new().unwrap())
    }
}

/// Bytes that differ from chunk to chunk.
fn noise(length: usize) -> Vec<u8> {
    use rand::{Rng, SeedableRng};
    let mut bytes = vec![0; length];
    rand_chacha::ChaCha8Rng::seed_from_u64(length as u64).fill_bytes(&mut bytes);
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_any_size_goes_from_node_to_node() {
    let (source, sink) = (start().await, start().await);
    for length in [0, 1, 256 * 1024, 256 * 1024 + 1, 50 * 1024 * 1024] {
        for format in [Format::V1, Format::V0] {
            let content = noise(length);
            let root = source.add(&content, format).await;
            let fetched = sink.get(root, &[&source]).await.unwrap();
            assert!(fetched.summary.bytes >= length as u64);
            assert!(sink.has_complete(root).await.unwrap());
            sink.pin(root).await.unwrap();
            assert!(sink.exported(root).await == content, "{length} bytes, {format:?}");
        }
    }
}
