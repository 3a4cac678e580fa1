//! The shells of proposer and keeper with a real node, store and swarm, but alone: what they say of an own file.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test says what went wrong by failing")]

use dcache::Keypair;
use ipfs::node::{Node, NodeConfig};
use ipfs::store::StoreConfig;
use logs::{KeeperSettings, Ledger, ProposerSettings, SharedFile, State, index, run_keeper, run_proposer};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use swarm::{Driver, Setup, Swarm};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const DEADLINE: Duration = Duration::from_secs(60);
const SEED: [u8; 32] = [1; 32];

/// A node without any channel, sharing `folder/shared`; everything lives in `folder` and ends with the runtime.
async fn share(folder: &Path) -> Swarm {
    let store = Arc::new(Store::open(&folder.join("records.redb")).unwrap().0);
    let ledger = Ledger::open(store.clone()).unwrap();
    let keypair = Keypair::from_seed(SEED);
    let settings = brain::Settings::default();
    let (driver, swarm) = Driver::new(Setup {
        keypair,
        store,
        routing: Default::default(),
        policy: dcache::Policy::default(),
        wall_clock: swarm::system_clock,
        built: dcache::Time(1),
        settings,
        version: "test".into(),
        seed: 1,
    });
    let (reports, events) = mpsc::channel(16);
    let switchboard = channels::Switchboard::new(reports);
    tokio::spawn(async move { driver.run(events, switchboard, CancellationToken::new()).await });
    let blocks = StoreConfig { directory: folder.join("ipfs"), max_bytes: 1 << 30, min_free_bytes: 0 };
    let key = ipfs::Keypair::ed25519_from_bytes(SEED).unwrap();
    let (node, ipfs_driver, _) = Node::start(NodeConfig::new(key, blocks)).await.unwrap();
    tokio::spawn(ipfs_driver.run(CancellationToken::new()));
    let settle = Duration::from_millis(50);
    let proposer = ProposerSettings { folder: folder.join("shared"), settle, rescan: Duration::from_secs(1) };
    let keeper = KeeperSettings { keep_others: true, max_file_bytes: 1 << 30, parallel: 2 };
    tokio::spawn(run_proposer(proposer, swarm.clone(), node.clone(), ledger.clone()));
    tokio::spawn(run_keeper(keeper, swarm.clone(), node, ledger));
    swarm
}

/// The only shared file, once `is_so`.
async fn wait_for(swarm: &Swarm, is_so: impl Fn(&SharedFile) -> bool) -> SharedFile {
    let mut changes = swarm.changes();
    let wait = async {
        loop {
            let files = swarm.read(index).await.unwrap();
            if let Some(file) = files.into_values().next().filter(&is_so) {
                return file;
            }
            changes.recv().await.unwrap();
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.expect("what is to be said in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_the_folder_is_declared_and_described() {
    let folder = tempfile::tempdir().unwrap();
    let swarm = share(folder.path()).await;
    std::fs::create_dir_all(folder.path().join("shared")).unwrap();
    std::fs::write(folder.path().join("shared/still.bag.active"), "being recorded").unwrap();
    std::fs::write(folder.path().join("shared/example.bag"), "a log").unwrap();
    let file = wait_for(&swarm, |file| file.description.is_some()).await;
    let description = file.description.unwrap();
    assert_eq!((description.filename.as_str(), description.size), ("example.bag", 5));
    assert_eq!((description.uploader, file.is_described_by_uploader), (swarm.me(), true));
    assert_eq!(file.state, State::Shared, "only others can verify it");
    assert!(file.proposers.contains_key(&swarm.me()) && file.holders.is_empty());
}
