//! Malicious peers: their effects are bounded, they are banned, and other peers are served as usual.
use std::time::Instant;

use bitswap::message::{self, Block, Entry, Message, Presence, WantType};
use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::swarm::SwarmEvent;
use libp2p::{Stream, SwarmBuilder, noise, tcp, yamux};
use libp2p_stream::Control;
use multihash_codetable::{Code, MultihashDigest as _};

use super::*;
use crate::node::streams::PROTOCOL;

const SIZE: usize = 8 * 1024 * 1024;
const IN_TIME: Duration = Duration::from_secs(60);

/// A peer whose Bitswap messages the test writes itself.
struct Stranger {
    control: Control,
    victim: PeerId,
    running: JoinHandle<()>,
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Stranger {
    /// Connects to a node.
    async fn meet(node: &Node) -> Self {
        let builder = SwarmBuilder::with_new_identity().with_tokio();
        let builder =
            builder.with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default).unwrap();
        let mut swarm = builder
            .with_behaviour(|_| libp2p_stream::Behaviour::new())
            .unwrap()
            .with_swarm_config(|config| config.with_idle_connection_timeout(IN_TIME))
            .build();
        let control = swarm.behaviour().new_control();
        let (address, victim) = (node.listen_addresses().borrow()[0].clone(), node.peer_id());
        swarm.dial(address).unwrap();
        let (told, connected) = oneshot::channel();
        let running = tokio::spawn(async move {
            let mut told = Some(told);
            while let Some(event) = swarm.next().await {
                if let SwarmEvent::ConnectionEstablished { .. } = event
                    && let Some(told) = told.take()
                {
                    let _ = told.send(());
                }
            }
        });
        connected.await.unwrap();
        Self { control, victim, running }
    }

    async fn stream(&mut self) -> Option<Stream> {
        self.control.open_stream(self.victim, PROTOCOL).await.ok()
    }

    /// Answers HAVE to all wants of the node. When the node then asks for blocks, `answer` gets a stream to it.
    fn boast<F>(&mut self, answer: fn(Stream) -> F) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut incoming = self.control.accept(PROTOCOL).unwrap();
        let (mut control, victim) = (self.control.clone(), self.victim);
        tokio::spawn(async move {
            while let Some((_, mut stream)) = incoming.next().await {
                while let Some(message) = read(&mut stream).await {
                    let wants = message.wantlist.iter().filter(|entry| !entry.cancel);
                    let presences =
                        wants.clone().map(|entry| Presence { cid: entry.cid, have: true }).collect();
                    let is_asked = wants.clone().any(|entry| entry.want_type == WantType::Block);
                    let Ok(mut out) = control.open_stream(victim, PROTOCOL).await else { return };
                    let _ = out
                        .write_all(&message::encode_delimited(&Message { presences, ..Message::default() }))
                        .await;
                    if is_asked {
                        tokio::spawn(answer(out));
                    }
                }
            }
        })
    }
}

async fn read(stream: &mut Stream) -> Option<Message> {
    let (mut length, mut shift) = (0usize, 0);
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte).await.ok()?;
        length |= usize::from(byte[0] & 0x7f) << shift;
        shift += 7;
        if byte[0] < 0x80 {
            break;
        }
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await.ok()?;
    message::decode(&bytes).ok()
}

fn content() -> Vec<u8> {
    (0..SIZE as u32 / 4).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

/// Fetches content from an honest source while a malicious peer is connected to the fetcher. `meet` connects that peer
/// before, and its result is returned so that it stays alive.
async fn fetch_beside<F, M>(meet: F) -> (Running, FetchSummary, Duration, M)
where
    F: AsyncFnOnce(&Running) -> M,
{
    let (source, fetcher) = (start().await, start().await);
    let root = source.add(&content(), Format::V1).await;
    let harm = meet(&fetcher).await;
    let begun = Instant::now();
    let fetch = fetcher.fetch(root, vec![source.provider()], LIMITS, watch::Sender::default());
    let fetched = tokio::time::timeout(IN_TIME, fetch).await.unwrap().unwrap();
    assert_eq!(fetcher.cat(root, String::new(), SIZE as u64).await.unwrap(), content());
    (fetcher, fetched.summary, begun.elapsed(), harm)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_wants_are_bounded() {
    let (fetcher, _, _, _harm) = fetch_beside(async |fetcher| {
        let mut stranger = Stranger::meet(fetcher).await;
        let incoming = stranger.control.accept(PROTOCOL).unwrap();
        let listening =
            tokio::spawn(incoming.for_each_concurrent(
                None,
                async |(_, mut stream)| {
                    while read(&mut stream).await.is_some() {}
                },
            ));
        let mut stream = stranger.stream().await.unwrap();
        for round in 0..64u32 {
            let cid = |n: u32| Cid::new_v1(0x55, Code::Sha2_256.digest(&(round * 16_000 + n).to_le_bytes()));
            let wantlist = (0..16_000).map(|n| Entry::want(cid(n), WantType::Have)).collect();
            let message = Message { wantlist, ..Message::default() };
            stream.write_all(&message::encode_delimited(&message)).await.unwrap();
        }
        stream.flush().await.unwrap();
        (stranger, stream, listening)
    })
    .await;
    // Wants that are not refused are remembered.
    let mut statistics = fetcher.statistics();
    let refused = statistics.wait_for(|seen| seen.refused_wants >= 64 * 16_000 - 16_384);
    let told = tokio::time::timeout(IN_TIME, refused).await.map(|told| told.is_ok());
    assert_eq!(told, Ok(true), "{:?}", fetcher.statistics().borrow());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_says_have_and_sends_nothing_delays_no_fetch() {
    let (fetcher, summary, took, _harm) = fetch_beside(async |fetcher| {
        let mut stranger = Stranger::meet(fetcher).await;
        let boasting = stranger.boast(keep_silent);
        (stranger, boasting)
    })
    .await;
    assert!(summary.fetched_blocks > 30);
    assert!(fetcher.statistics().borrow().timeouts <= 3, "the silent peer is asked too often");
    println!("took {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_sends_unrequested_blocks_is_banned() {
    let (fetcher, _, _, _harm) = fetch_beside(async |fetcher| {
        let mut stranger = Stranger::meet(fetcher).await;
        let mut stream = stranger.stream().await.unwrap();
        for number in 0..80u32 {
            let data: Bytes = number.to_le_bytes().repeat(64 * 1024).into();
            let cid = Cid::new_v1(0x55, Code::Sha2_256.digest(&data));
            let message = Message { blocks: vec![Block { cid, data }], ..Message::default() };
            if stream.write_all(&message::encode_delimited(&message)).await.is_err() {
                break;
            }
        }
        (stranger, stream)
    })
    .await;
    let mut statistics = fetcher.statistics();
    let left = statistics.wait_for(|seen| seen.left_aside > 0);
    tokio::time::timeout(IN_TIME, left).await.unwrap().unwrap();
}

async fn keep_silent(stream: Stream) {
    std::future::pending::<()>().await;
    drop(stream);
}

/// Begins to send a block, and continues with one byte per second.
async fn drip(mut stream: Stream) {
    // A message length of 256 KiB. Very few of these bytes follow.
    let _ = stream.write_all(&[0x80, 0x80, 0x10]).await;
    while stream.write_all(&[0]).await.is_ok() && stream.flush().await.is_ok() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_sends_one_byte_per_second_delays_no_fetch() {
    let (fetcher, _, took, _harm) = fetch_beside(async |fetcher| {
        let mut stranger = Stranger::meet(fetcher).await;
        let boasting = stranger.boast(drip);
        (stranger, boasting)
    })
    .await;
    assert!(fetcher.statistics().borrow().timeouts <= 3);
    println!("took {took:?}");
}
