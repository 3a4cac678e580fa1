//! Kubo and our node on one pubsub topic, and in one private network.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap fails the test")]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use ipfs::node::{FetchLimits, Node, NodeConfig, Topic};
use ipfs::store::StoreConfig;
use ipfs::unixfs::Format;
use ipfs::{Keypair, Multiaddr};
use lab::peers::{Kubo, kubo_available};
use lab::{Result, or_skip};
use tempfile::TempDir;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const TOPIC: &str = "duckiebots";
/// Time limit of steps that take a second on an idle machine.
const SOON: Duration = Duration::from_secs(60);

/// Our node, connected only with a Kubo.
struct Ours {
    node: Node,
    folder: TempDir,
}

impl Ours {
    async fn start(key: Option<[u8; 32]>) -> Self {
        let folder = TempDir::new().unwrap();
        let store =
            StoreConfig { directory: folder.path().join("store"), max_bytes: 1 << 30, min_free_bytes: 0 };
        let mut config = NodeConfig::new(Keypair::generate_ed25519(), store);
        config.allow_loopback = true;
        config.topics = vec![TOPIC.to_owned()];
        config.network_key = key.map(Into::into);
        let (node, driver, _) = Node::start(config).await.unwrap();
        tokio::spawn(driver.run(CancellationToken::new()));
        Self { node, folder }
    }

    /// Starts a node that is subscribed to the topic, and waits until it and Kubo know each other's subscription.
    async fn beside(kubo: &mut Kubo) -> (Self, Topic) {
        let ours = Self::start(None).await;
        let mut topic = ours.node.subscribe(TOPIC).await.unwrap();
        ours.connect(kubo).await.unwrap();
        timeout(SOON, topic.peers.wait_for(|peers| *peers == 1)).await.unwrap().unwrap();
        kubo.wait_for_subscriber(TOPIC, &ours.node.peer_id().to_string(), SOON).unwrap();
        (ours, topic)
    }

    async fn connect(&self, kubo: &Kubo) -> Result<(), ipfs::node::ConnectError> {
        let mut address: Multiaddr = kubo.address().parse().unwrap();
        address.pop();
        self.node.connect(kubo.peer_id().parse().unwrap(), vec![address]).await
    }
}

async fn next(topic: &mut Topic) -> Bytes {
    timeout(SOON, topic.messages.recv()).await.unwrap().unwrap()
}

/// Publishes until the other side receives a message. Kubo passes messages on only to members of its mesh, and does not
/// report new members. Messages from before are not repeated to a new member.
async fn meet(speaker: &Topic, listener: &mut Topic) {
    let again = async {
        for count in 0.. {
            speaker.publish.send(message("meeting", count)).await.unwrap();
            if timeout(Duration::from_secs(1), listener.messages.recv()).await.is_ok() {
                return;
            }
        }
    };
    timeout(SOON, again).await.expect("no message came through Kubo");
}

/// Returns the next message that is not one of [`meet`].
async fn next_after_meeting(topic: &mut Topic) -> Bytes {
    loop {
        let message = next(topic).await;
        if !message.starts_with(b"{\"from\":\"meeting\"") {
            return message;
        }
    }
}

fn message(from: &str, count: usize) -> Bytes {
    Bytes::from(format!("{{\"from\":\"{from}\",\"count\":{count}}}"))
}

fn kubo_in(folder: &Path, test: &str) -> Option<Kubo> {
    or_skip(test, kubo_available())?;
    Some(Kubo::on_loopback(folder).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn kubo_and_our_node_hear_each_other() -> Result {
    let folder = TempDir::new().unwrap();
    let Some(mut kubo) = kubo_in(folder.path(), "pubsub with Kubo") else {
        return Ok(());
    };
    kubo.subscribe(TOPIC)?;
    let (_ours, mut topic) = Ours::beside(&mut kubo).await;
    // The largest message that still fits, in base64, into a line of the driver.
    let large = Bytes::from(vec![b'x'; 48_000]);
    let said = [message("ours", 0), message("ours", 1), large];
    for message in &said {
        topic.publish.send(message.clone()).await.unwrap();
    }
    let mut heard = BTreeSet::new();
    for _ in &said {
        heard.insert(Bytes::from(kubo.next_message(TOPIC, SOON)?));
    }
    assert!(heard == said.into());
    for count in 0..20 {
        kubo.publish(TOPIC, &message("kubo", count))?;
        assert_eq!(next(&mut topic).await, message("kubo", count));
    }
    assert!(topic.messages.try_recv().is_err());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn kubo_in_the_middle_carries_messages_both_ways() -> Result {
    let folder = TempDir::new().unwrap();
    let Some(mut kubo) = kubo_in(folder.path(), "pubsub through Kubo") else {
        return Ok(());
    };
    kubo.subscribe(TOPIC)?;
    let (first, mut here) = Ours::beside(&mut kubo).await;
    let (second, mut there) = Ours::beside(&mut kubo).await;
    meet(&here, &mut there).await;
    meet(&there, &mut here).await;
    for count in 0..20 {
        here.publish.send(message("first", count)).await.unwrap();
        assert_eq!(next_after_meeting(&mut there).await, message("first", count));
        there.publish.send(message("second", count)).await.unwrap();
        assert_eq!(next_after_meeting(&mut here).await, message("second", count));
    }
    assert!(!first.node.connected_peers().borrow().contains(&second.node.peer_id()));
    assert!(here.messages.try_recv().is_err() && there.messages.try_recv().is_err());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn kubo_with_the_same_network_key_takes_part_and_others_do_not() -> Result {
    let Some(()) = or_skip("a private network with Kubo", kubo_available()) else {
        return Ok(());
    };
    let (folder, key) = (TempDir::new().unwrap(), [0xd7; 32]);
    let mut kubo = Kubo::in_private_network(folder.path(), &key)?;
    for outsider in [None, Some([0xd8; 32])] {
        let refused = Ours::start(outsider).await.connect(&kubo).await;
        assert!(refused.is_err(), "{outsider:?}");
    }
    let ours = Ours::start(Some(key)).await;
    ours.connect(&kubo).await.unwrap();
    let content: Vec<u8> = (0..1_000_000u32).flat_map(u32::to_le_bytes).collect();
    let (input, output) = (ours.folder.path().join("input"), folder.path().join("output"));
    std::fs::write(&input, &content).unwrap();
    let added = ours
        .node
        .add_file(ipfs::unixfs::Content::File(input.clone()), Format::V1, Default::default())
        .await
        .unwrap();
    ours.node.pin(added.root).await.unwrap();
    kubo.get(&added.root.to_string(), &output, SOON)?;
    assert!(std::fs::read(&output).unwrap() == content);
    std::fs::write(&input, &content[1..]).unwrap();
    let root = kubo.add(&input)?.parse().unwrap();
    let limits = FetchLimits { max_bytes: 1 << 30, max_blocks: 1 << 20, stall_timeout: SOON, priority: 0 };
    let fetched = ours.node.fetch(root, Vec::new(), limits, Default::default()).await.unwrap();
    assert!(fetched.summary.bytes >= 3_999_999, "{:?}", fetched.summary);
    Ok(())
}
