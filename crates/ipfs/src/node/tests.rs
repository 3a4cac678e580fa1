//! Tests with real nodes over loopback.
use std::path::PathBuf;
use std::time::Duration;

use libp2p::identity::Keypair;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::*;
use crate::store::StoreConfig;

mod hostile;
mod moved;
mod named;
mod persistent;
mod private;
mod pubsub;
mod relayed;
mod services;

const MIB: u64 = 1024 * 1024;
const LIMITS: FetchLimits = FetchLimits {
    max_bytes: 1024 * MIB,
    max_blocks: 1_000_000,
    stall_timeout: Duration::from_secs(20),
    priority: 0,
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

/// Returns whether all blocks of the DAG are in the store.
fn has_complete(node: &Node, root: &Cid) -> bool {
    match unixfs::walk_complete(node.store(), root, None) {
        Ok(_) => true,
        Err(unixfs::WalkError::Missing(_)) => false,
        Err(error) => panic!("{error}"),
    }
}

fn config(directory: &TempDir, max_bytes: u64) -> NodeConfig {
    let store = StoreConfig { directory: directory.path().join("store"), max_bytes, min_free_bytes: 0 };
    let mut config = NodeConfig::new(Keypair::generate_ed25519(), store);
    config.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
    config.allow_loopback = true;
    config
}

async fn run(config: NodeConfig, directory: TempDir) -> (Running, OpenReport) {
    let (node, driver, report) = Node::start(config).await.unwrap();
    let shutdown = CancellationToken::new();
    let driver = tokio::spawn(driver.run(shutdown.clone()));
    node.listen_addresses().wait_for(|addresses| !addresses.is_empty()).await.unwrap();
    (Running { node, directory, shutdown, driver }, report)
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
        let added = self.add_file(Content::File(path), format, watch::Sender::default()).await.unwrap();
        self.pin(added.root).await.unwrap();
        added.root
    }

    async fn get(&self, root: Cid, from: &[&Running]) -> Result<Fetched, FetchError> {
        let providers = from.iter().map(|node| node.provider()).collect();
        self.fetch(root, providers, LIMITS, watch::Sender::default()).await
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
            assert!(has_complete(&sink, &root));
            sink.pin(root).await.unwrap();
            assert!(sink.exported(root).await == content, "{length} bytes, {format:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_as_large_as_the_fetch_limit_has_room_for_every_allowed_file() {
    let source = start().await;
    for length in [0, 1, 5000, 60_000] {
        let limits =
            FetchLimits { max_bytes: length as u64 + 1000, stall_timeout: Duration::from_secs(5), ..LIMITS };
        let directory = TempDir::new().unwrap();
        let (sink, _) = run(config(&directory, limits.max_bytes), directory).await;
        let root = source.add(&noise(length), Format::V1).await;
        sink.fetch(root, vec![source.provider()], limits, watch::Sender::default()).await.unwrap();
        assert!(sink.exported(root).await == noise(length), "{length} bytes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_goes_from_node_to_node() {
    let (source, sink) = (start().await, start().await);
    let payload = noise(700_000);
    std::fs::write(source.path("bag"), &payload).unwrap();
    let entries = vec![
        DirectoryEntry { path: "example.bag".to_owned(), content: Content::File(source.path("bag")) },
        DirectoryEntry { path: "info.json".to_owned(), content: Content::Bytes(Bytes::from_static(b"{}")) },
    ];
    let added = source.add_directory(entries, Format::V1, watch::Sender::default()).await.unwrap();
    sink.get(added.root, &[&source]).await.unwrap();
    assert_eq!(sink.cat(added.root, "info.json".to_owned(), 100).await.unwrap().as_ref(), b"{}");
    let names: Vec<String> =
        sink.list(added.root).await.unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["example.bag", "info.json"]);
    sink.export(added.root, &sink.path("out"), MIB).await.unwrap();
    assert!(std::fs::read(sink.path("out/example.bag")).unwrap() == payload);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_fetched_over_quic_too() {
    let directory = TempDir::new().unwrap();
    let mut config = config(&directory, 1024 * MIB);
    config.listen = vec!["/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap()];
    let (source, sink) = (run(config, directory).await.0, start().await);
    let root = source.add(&noise(1_000_000), Format::V1).await;
    sink.get(root, &[&source]).await.unwrap();
    assert!(sink.exported(root).await == noise(1_000_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connected_peer_is_asked_even_if_it_is_not_a_provider() {
    let (source, sink) = (start().await, start().await);
    let root = source.add(b"hello", Format::V1).await;
    let (peer, addresses) = source.provider();
    sink.connect(peer, addresses).await.unwrap();
    assert_eq!(*sink.connected_peers().borrow().as_ref(), BTreeSet::from([peer]));
    sink.get(root, &[]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_serves_blocks_of_a_fetch_that_is_still_running() {
    let (source, middle, end) = (start().await, start().await, start().await);
    let root = source.add(&noise(10_000_000), Format::V1).await;
    // The end knows only the middle node, which has nothing yet.
    let (from_source, from_middle) = ([&source], [&middle]);
    let (first, second) = tokio::join!(middle.get(root, &from_source), end.get(root, &from_middle));
    assert_eq!(first.unwrap().summary, second.unwrap().summary);
    assert!(!end.connected_peers().borrow().contains(&source.peer_id()));
}

/// Waits until a fetch has this many blocks in the store.
async fn until(progress: &mut watch::Receiver<FetchProgress>, blocks: usize) {
    progress.wait_for(|progress| progress.blocks >= blocks).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_fetch_is_resumed() {
    let (source, sink) = (start().await, start().await);
    let root = source.add(&noise(50_000_000), Format::V1).await;
    let sender = watch::Sender::default();
    let mut progress = sender.subscribe();
    tokio::select! {
        _ = sink.fetch(root, vec![source.provider()], LIMITS, sender) => panic!("the fetch ended too early"),
        () = until(&mut progress, 20) => {}
    }
    assert!(!has_complete(&sink, &root));
    assert!(matches!(sink.pin(root).await, Err(PinError::Walk(unixfs::WalkError::Missing(_)))));
    let FetchSummary { blocks, fetched_blocks, .. } = sink.get(root, &[&source]).await.unwrap().summary;
    assert!(fetched_blocks <= blocks - 20, "{fetched_blocks} of {blocks}");
    assert!(sink.exported(root).await == noise(50_000_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_provider_takes_over_when_one_vanishes() {
    let (first, second, sink) = (start().await, start().await, start().await);
    let content = noise(50_000_000);
    let root = first.add(&content, Format::V1).await;
    assert_eq!(second.add(&content, Format::V1).await, root);
    let sender = watch::Sender::default();
    let mut progress = sender.subscribe();
    let providers = vec![first.provider(), second.provider()];
    let vanish = async {
        until(&mut progress, 20).await;
        first.driver.abort();
    };
    let (fetched, ()) = tokio::join!(sink.fetch(root, providers, LIMITS, sender), vanish);
    fetched.unwrap();
    assert!(sink.exported(root).await == content);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_added_later_is_asked_at_once() {
    let (gone, source, sink) = (start().await, start().await, start().await);
    let root = source.add(&noise(1_000_000), Format::V1).await;
    // This listener accepts connections but sends nothing, so a dial to it hangs.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let hanging = vec![(gone.peer_id(), vec![format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap()])];
    let (named, providers) = watch::channel(hanging);
    let later = async {
        tokio::task::spawn_blocking(move || silent.accept()).await.unwrap().unwrap();
        named.send_replace(vec![source.provider()]);
    };
    let fetch = sink.fetch_from("file", root, providers, LIMITS, watch::Sender::default());
    let (fetched, ()) = tokio::join!(fetch, later);
    fetched.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_file_is_fetched_without_a_connection_to_every_holder_and_neighbour() {
    let mut sources = Vec::new();
    for _ in 0..6 {
        sources.push(start().await);
    }
    let content = noise(100_000);
    let mut root = None;
    for source in &sources[..4] {
        root = Some(source.add(&content, Format::V1).await);
    }
    let sink = start().await;
    sink.tell_neighbours(sources[4..].iter().map(|neighbour| neighbour.provider()).collect());
    sink.get(root.unwrap(), &sources[..4].iter().collect::<Vec<_>>()).await.unwrap();
    let connected = sink.connected_peers().borrow().len();
    assert!((1..=2).contains(&connected), "{connected} connections for a file of 100 kB");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_provider_is_dialled_again_until_it_is_back() {
    let directory = TempDir::new().unwrap();
    let mut config = config(&directory, 1024 * MIB);
    let source = run(config.clone(), directory).await.0;
    let root = source.add(&noise(50_000_000), Format::V1).await;
    let (sink, provider) = (start().await, source.provider());
    config.listen = provider.1.clone();
    let sender = watch::Sender::default();
    let mut progress = sender.subscribe();
    let restart = async {
        until(&mut progress, 20).await;
        let directory = source.stop().await;
        run(config, directory).await.0
    };
    let (fetched, _source) = tokio::join!(sink.fetch(root, vec![provider], LIMITS, sender), restart);
    fetched.unwrap();
    assert!(has_complete(&sink, &root));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_ends_at_its_limits() {
    let (source, sink) = (start().await, start().await);
    let root = source.add(&noise(3_000_000), Format::V1).await;
    let fetch = async |root, limits| {
        let fetched = sink.fetch(root, vec![source.provider()], limits, watch::Sender::default()).await;
        fetched.map(|fetched| fetched.summary)
    };
    let too_large = fetch(root, FetchLimits { max_bytes: 2_999_999, ..LIMITS }).await;
    assert!(matches!(too_large, Err(FetchError::TooLarge(2_999_999))), "{too_large:?}");
    let too_many = fetch(root, FetchLimits { max_blocks: 12, ..LIMITS }).await;
    assert!(matches!(too_many, Err(FetchError::TooManyBlocks(12))), "{too_many:?}");
    let nobody_has = "bafkreidogqfzz75tpkmjzjke425xqcrmpcib2p5tg44hnbirumdbpl5adu".parse().unwrap();
    let stalled =
        fetch(nobody_has, FetchLimits { stall_timeout: Duration::from_millis(500), ..LIMITS }).await;
    assert!(matches!(stalled, Err(FetchError::Stalled { blocks: 0, known_blocks: 1, .. })), "{stalled:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_does_not_fit_is_refused_and_pinned_content_stays() {
    let directory = TempDir::new().unwrap();
    let sink = run(config(&directory, 2 * MIB), directory).await.0;
    let source = start().await;
    let pinned = source.add(&noise(1_500_000), Format::V1).await;
    sink.get(pinned, &[&source]).await.unwrap();
    sink.pin(pinned).await.unwrap();
    let large = source.add(&noise(3_000_000), Format::V1).await;
    let limits = FetchLimits { stall_timeout: Duration::from_secs(2), ..LIMITS };
    let refused = sink.fetch(large, vec![source.provider()], limits, watch::Sender::default()).await;
    assert!(matches!(refused, Err(FetchError::NoRoom(Shortage::Store { .. }))), "{refused:?}");
    assert!(sink.usage().used_bytes <= 2 * MIB);
    assert!(sink.exported(pinned).await == noise(1_500_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_waits_for_room_without_useless_traffic() {
    let directory = TempDir::new().unwrap();
    let sink = run(config(&directory, 4 * MIB), directory).await.0;
    let source = start().await;
    let in_the_way = source.add(&noise(2_500_000), Format::V1).await;
    sink.get(in_the_way, &[&source]).await.unwrap();
    sink.pin(in_the_way).await.unwrap();
    let wanted = source.add(&noise(3_000_000), Format::V1).await;
    let sender = watch::Sender::default();
    let mut progress = sender.subscribe();
    let (_unchanging, providers) = watch::channel(vec![source.provider()]);
    let fetch = sink.fetch_from("wanted", wanted, providers, LIMITS, sender);
    let make_room = async {
        let is_short = |progress: &FetchProgress| matches!(progress.obstacle, Some(Obstacle::NoRoom(_)));
        let seen = progress.wait_for(is_short).await.unwrap().obstacle.unwrap().to_string();
        assert!(seen.contains("block store") && seen.contains("store_max_mib"), "{seen}");
        assert_eq!(sink.fetches()[0].name, "wanted");
        // Only the root block is fetched, because it states the size of the content.
        assert!(progress.borrow().blocks <= 1, "{:?}", progress.borrow());
        sink.unpin(in_the_way).await.unwrap();
    };
    let (fetched, ()) = tokio::join!(fetch, make_room);
    fetched.unwrap();
    assert_eq!(sink.statistics().borrow().unwanted_blocks, 0);
    assert!(sink.fetches().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_reports_its_sources_and_that_no_peer_is_connected() {
    let (source, sink) = (start().await, start().await);
    let root = source.add(&noise(3_000_000), Format::V1).await;
    sink.limit(Rates { lan_down: Some(2_000_000), ..Rates::default() });
    let (providers, known) = watch::channel(Vec::new());
    let sender = watch::Sender::default();
    let mut progress = sender.subscribe();
    let fetch = sink.fetch_from("file", root, known, LIMITS, sender);
    let look = async {
        progress.wait_for(|progress| progress.obstacle == Some(Obstacle::Alone)).await.unwrap();
        providers.send_replace(vec![source.provider()]);
        progress.wait_for(|progress| progress.blocks >= 5).await.unwrap();
        let running = sink.fetches();
        assert_eq!((running.len(), running[0].name.as_str(), running[0].root), (1, "file", root));
        assert_eq!((running[0].progress.obstacle, running[0].sources.len()), (None, 1));
        let from = running[0].sources[0];
        assert_eq!(from.peer, source.peer_id());
        assert!(from.bytes >= 500_000 && from.rate > 0, "{from:?}");
    };
    let (fetched, ()) = tokio::join!(fetch, look);
    fetched.unwrap();
    assert!(source.traffic()[0].up.0 > 3_000_000, "{:?}", source.traffic());
}

#[tokio::test(flavor = "multi_thread")]
async fn rate_limits_hold_on_the_side_that_sends_and_on_the_side_that_receives() {
    let slow = Rates { lan_up: Some(1_000_000), lan_down: Some(1_000_000), ..Rates::default() };
    let (source, sink) = (start().await, start().await);
    for (up, down) in [(slow, Rates::default()), (Rates::default(), slow)] {
        source.limit(up);
        sink.limit(down);
        // The content differs in each round.
        let content = noise(3_000_000 + usize::from(up == slow));
        let root = source.add(&content, Format::V1).await;
        let begun = std::time::Instant::now();
        sink.get(root, &[&source]).await.unwrap();
        let seconds = begun.elapsed().as_secs_f64();
        assert!((2.8..4.5).contains(&seconds), "{seconds} s for 3 MB at 1 MB/s");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_pins_and_finds_all_blocks() {
    let directory = TempDir::new().unwrap();
    let config = config(&directory, 1024 * MIB);
    let node = run(config.clone(), directory).await.0;
    let root = node.add(&noise(1_000_000), Format::V0).await;
    let (pins, usage) = (node.pins().await.unwrap(), node.usage());
    let directory = node.stop().await;
    let (node, report) = run(config, directory).await;
    assert_eq!(
        (report.bytes, report.pins_set_aside, report.incomplete_pins),
        (usage.used_bytes, None, Vec::new())
    );
    assert_eq!((node.pins().await.unwrap(), node.usage()), (pins, usage));
    assert!(node.store().is_pinned(&root).unwrap() && has_complete(&node, &root));
    assert!(node.unpin(root).await.unwrap() && !node.store().is_pinned(&root).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_reported_and_the_others_work() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address: Multiaddr =
        format!("/ip4/127.0.0.1/tcp/{}", taken.local_addr().unwrap().port()).parse().unwrap();
    let directory = TempDir::new().unwrap();
    let mut config = config(&directory, MIB);
    config.listen.push(address.clone());
    let node = run(config, directory).await.0;
    let failures = node.listen_errors().borrow().clone();
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].address, address);
    assert!(failures[0].is_port_taken(), "{}", failures[0].reason);
    assert_eq!(node.listen_addresses().borrow().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_do_not_share_a_port() {
    let one = start().await;
    let at = one.provider().1[0].clone();
    let address = super::addresses::without_peer(&at);
    let directory = TempDir::new().unwrap();
    let mut config = config(&directory, MIB);
    config.listen = vec![address.clone(), "/ip4/127.0.0.1/tcp/0".parse().unwrap()];
    let two = run(config, directory).await.0;
    let failures = two.listen_errors().borrow().clone();
    assert_eq!(failures.iter().map(|failure| &failure.address).collect::<Vec<_>>(), [&address]);
    assert_eq!(failures[0].reason.matches("in use").count(), 1, "{}", failures[0].reason);
    assert!(!two.listen_addresses().borrow().contains(&address));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reasons_why_peers_cannot_be_reached_are_distinguished() {
    let node = start().await;
    let peer = Keypair::generate_ed25519().public().to_peer_id();
    let connect = async |address: &str| node.connect(peer, vec![address.parse().unwrap()]).await;
    assert_eq!(connect("/ip4/0.0.0.0/tcp/1").await, Err(ConnectError::NoUsableAddress(peer)));
    assert_eq!(
        connect("/ip4/127.0.0.1/tcp/22").await,
        Err(ConnectError::NoUsableAddress(peer)),
        "a port below 1024 that this node does not use"
    );
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let answer = connect(&format!("/ip4/127.0.0.1/tcp/{}", free.port())).await;
    assert!(matches!(answer, Err(ConnectError::Failed(..))), "{answer:?}");
    // Another peer answers at this address.
    let other = start().await;
    let answer = node.connect(peer, other.provider().1).await;
    assert!(matches!(answer, Err(ConnectError::Failed(..))), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_on_a_stopped_node_report_it() {
    let node = start().await;
    let handle = node.node.clone();
    drop(node.stop().await);
    let cid = "bafkreidogqfzz75tpkmjzjke425xqcrmpcib2p5tg44hnbirumdbpl5adu".parse().unwrap();
    let fetched = handle.fetch(cid, Vec::new(), LIMITS, watch::Sender::default()).await;
    assert!(matches!(fetched, Err(FetchError::Stopped)), "{fetched:?}");
    assert_eq!(handle.connect(handle.peer_id(), Vec::new()).await, Err(ConnectError::Stopped));
}

/// Runs a libp2p peer that opens Bitswap streams and writes arbitrary bytes to them.
async fn babble(victim: &Running, streams: usize, bytes: &[u8]) {
    use futures::{AsyncWriteExt, StreamExt};
    let behaviour = |_: &Keypair| libp2p_stream::Behaviour::new();
    let mut swarm = libp2p::SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(Default::default(), libp2p::noise::Config::new, libp2p::yamux::Config::default)
        .unwrap()
        .with_behaviour(behaviour)
        .unwrap()
        .build();
    let (peer, addresses) = victim.provider();
    swarm.dial(addresses[0].clone()).unwrap();
    while !swarm.is_connected(&peer) {
        swarm.select_next_some().await;
    }
    let mut control = swarm.behaviour().new_control();
    let driver = tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
    let mut open = Vec::new();
    for _ in 0..streams {
        let Ok(mut stream) = control.open_stream(peer, streams::PROTOCOL).await else {
            break;
        };
        // The victim may close the stream during the write.
        let _ = stream.write_all(bytes).await;
        let _ = stream.flush().await;
        open.push(stream);
    }
    driver.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_that_send_garbage_do_not_disturb_others() {
    let (source, sink) = (start().await, start().await);
    let root = source.add(&noise(3_000_000), Format::V1).await;
    // In turn: a length prefix that does not end, a message that is too long, a message that is not protobuf, and half
    // a message.
    let babbles: [&[u8]; 4] =
        [&[0xff; 64], &[0x81, 0x80, 0x80, 0x02], &[4, 0xff, 0xff, 0xff, 0xff], &[100, 0x0a]];
    for bytes in babbles {
        tokio::time::timeout(Duration::from_secs(20), babble(&source, 100, bytes)).await.unwrap();
    }
    sink.get(root, &[&source]).await.unwrap();
}
