//! Helia fetches files from our node over Bitswap.

use ipfs::Keypair;
use ipfs::node::{Node, NodeConfig};
use ipfs::store::StoreConfig;
use ipfs::unixfs::Format;
use lab::peers::{helia_available, helia_fetch};
use lab::{Error, Result, or_skip};
use rand::{Rng as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Answer { what: "our node".to_owned(), answer: error.to_string() }
}

fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    rand_chacha::ChaCha8Rng::seed_from_u64(length as u64).fill_bytes(&mut bytes);
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn helia_fetches_from_us() -> Result {
    let Some(()) = or_skip("Helia fetching from us", helia_available()) else {
        return Ok(());
    };
    let folder = tempfile::tempdir().map_err(failed)?;
    let store = StoreConfig { directory: folder.path().join("store"), max_bytes: 1 << 30, min_free_bytes: 0 };
    let mut config = NodeConfig::new(Keypair::generate_ed25519(), store);
    config.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().map_err(failed)?];
    let (node, driver, _) = Node::start(config).await.map_err(failed)?;
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(driver.run(shutdown.clone()));
    let address = node.listen_addresses().wait_for(|all| !all.is_empty()).await.map_err(failed)?[0].clone();
    for (length, format) in [(0, Format::V1), (5, Format::V1), (50 << 20, Format::V1), (3 << 20, Format::V0)]
    {
        let (content, path) = (noise(length), folder.path().join("input"));
        std::fs::write(&path, &content).map_err(failed)?;
        let added = node
            .add_file(ipfs::unixfs::Content::File(path), format, watch::Sender::default())
            .await
            .map_err(failed)?;
        let (at, cid) = (format!("{address}/p2p/{}", node.peer_id()), added.root.to_string());
        let got = tokio::task::spawn_blocking(move || helia_fetch(&at, &cid)).await.map_err(failed)??;
        println!("{length} bytes as {format:?} by Helia: {got}");
        let sum: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            (got["bytes"].as_u64(), got["sha256"].as_str()),
            (Some(length as u64), Some(sum.as_str()))
        );
    }
    shutdown.cancel();
    running.await.map_err(failed)
}
