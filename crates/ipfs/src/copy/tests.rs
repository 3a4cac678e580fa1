//! Copies from real nodes over loopback.

use libp2p::identity::Keypair;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::node::{Node, NodeConfig};
use crate::store::StoreConfig;
use crate::unixfs::{Content, DirectoryEntry, Format};

const PATIENCE: Duration = Duration::from_secs(20);

/// A node that runs until it is dropped.
struct Holder {
    node: Node,
    _driver: AbortOnDropHandle<()>,
    folder: TempDir,
}

impl Holder {
    async fn start(network_key: Option<[u8; 32]>) -> Self {
        let folder = TempDir::new().unwrap();
        let directory = folder.path().join("store");
        let store = StoreConfig { directory, max_bytes: 1 << 30, min_free_bytes: 0 };
        let config = NodeConfig {
            listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
            allow_loopback: true,
            network_key: network_key.map(Into::into),
            ..NodeConfig::new(Keypair::generate_ed25519(), store)
        };
        let (node, driver, _) = Node::start(config).await.unwrap();
        let driver = AbortOnDropHandle::new(tokio::spawn(driver.run(CancellationToken::new())));
        node.listen_addresses().wait_for(|addresses| !addresses.is_empty()).await.unwrap();
        Self { node, _driver: driver, folder }
    }

    /// Adds a directory with this content as its file `a`.
    async fn add(&self, content: &[u8]) -> Cid {
        let path = self.folder.path().join("input");
        std::fs::write(&path, content).unwrap();
        let entry = |path: &str, content| DirectoryEntry { path: path.to_owned(), content };
        let info = Content::Bytes(Bytes::from_static(b"{}"));
        let entries = vec![entry("a", Content::File(path)), entry("info", info)];
        let added = self.node.add_directory(entries, Format::V1, watch::Sender::default()).await.unwrap();
        self.node.pin(added.root).await.unwrap();
        added.root
    }

    async fn source(&self, network_key: Option<[u8; 32]>) -> Result<Source, ConnectError> {
        let addresses = self.node.listen_addresses().borrow().clone();
        Source::connect(self.node.peer_id(), addresses, network_key, PATIENCE).await
    }
}

/// Bytes that differ from chunk to chunk.
fn noise(length: usize) -> Vec<u8> {
    (0..=length / 4).flat_map(|n| (n as u32).wrapping_mul(2_654_435_761).to_le_bytes()).take(length).collect()
}

async fn copied(source: &mut Source, root: Cid, size: usize) -> Result<Vec<u8>, CopyError> {
    let (sender, mut pieces) = mpsc::channel::<Bytes>(4);
    let gather = async {
        let mut content = Vec::new();
        while let Some(piece) = pieces.recv().await {
            content.extend_from_slice(&piece);
        }
        content
    };
    let copy = async {
        let sender = sender;
        source.copy_file(root, "a", size as u64, &sender).await
    };
    let (result, content) = tokio::join!(copy, gather);
    result.map(|()| content)
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_any_size_are_copied_over_one_connection() {
    for network_key in [None, Some([7; 32])] {
        let holder = Holder::start(network_key).await;
        let mut source = holder.source(network_key).await.unwrap();
        for length in [0, 1, 256 * 1024, 256 * 1024 + 1, 50_000_000] {
            let content = noise(length);
            let root = holder.add(&content).await;
            assert!(copied(&mut source, root, length).await.unwrap() == content, "{length} bytes");
        }
        // One block that occurs two hundred times.
        let root = holder.add(&vec![0; 200 * 256 * 1024]).await;
        assert_eq!(copied(&mut source, root, 200 * 256 * 1024).await.unwrap().len(), 200 * 256 * 1024);
        assert!(source.here.is_empty() && source.asked.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_content_and_content_of_another_size_are_refused() {
    let holder = Holder::start(None).await;
    let root = holder.add(&noise(600_000)).await;
    let mut source = holder.source(None).await.unwrap();
    let size = copied(&mut source, root, 600_001).await.unwrap_err();
    assert!(matches!(size, CopyError::OtherSize { found: 600_000, expected: 600_001 }), "{size}");
    let (sender, _pieces) = mpsc::channel(4);
    let name = source.copy_file(root, "b", 1, &sender).await.unwrap_err();
    assert!(matches!(name, CopyError::NoSuchEntry(_)), "{name}");
    let nowhere: Cid = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi".parse().unwrap();
    let absent = source.copy_file(nowhere, "a", 1, &sender).await.unwrap_err();
    assert!(matches!(absent, CopyError::NotHeld(cid) if cid == nowhere), "{absent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_with_another_identity_or_network_is_refused() {
    let (holder, other) = (Holder::start(None).await, Holder::start(None).await);
    let addresses = other.node.listen_addresses().borrow().clone();
    let wrong = Source::connect(holder.node.peer_id(), addresses, None, PATIENCE).await;
    let told = wrong.err().unwrap().to_string();
    assert!(told.contains(&other.node.peer_id().to_string()), "{told}");
    let private = Source::connect(
        holder.node.peer_id(),
        holder.node.listen_addresses().borrow().clone(),
        Some([7; 32]),
        Duration::from_secs(3),
    );
    assert!(private.await.is_err());
    let quic = vec!["/ip4/127.0.0.1/udp/1/quic-v1".parse().unwrap()];
    let none = Source::connect(holder.node.peer_id(), quic, None, PATIENCE).await;
    assert!(matches!(none, Err(ConnectError::NoAddress)));
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_reader_ends_the_copy() {
    let holder = Holder::start(None).await;
    let root = holder.add(&noise(50_000_000)).await;
    let mut source = holder.source(None).await.unwrap();
    let (sender, mut pieces) = mpsc::channel(1);
    let one = async move { pieces.recv().await };
    let (result, _) = tokio::join!(source.copy_file(root, "a", 50_000_000, &sender), one);
    assert!(matches!(result, Err(CopyError::NotTaken)));
}
