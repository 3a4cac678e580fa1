//! Tests that no peer makes a node contact other hosts by naming their addresses.

use super::*;
use dcache::{Fingerprint, PeerId, buckets};
use routing::{Beacon, Message, Repair, Sketch};
use sketch::Encoder;

const LINK: ChannelId = ChannelId(77);
const CHAT: ChannelId = ChannelId(78);

fn stranger(n: u8) -> Keypair {
    Keypair::from_seed([100 + n; 32])
}

fn pong(from: Address) -> Envelope {
    Envelope::new(from, Address::every_brain(), Message::pong(Validity::ALWAYS))
}

fn beacon(world: &World, count: u64) -> Option<Beacon> {
    let bound = world.now().moment.time.plus(60);
    Some(Beacon { bound, fingerprint: Fingerprint { count, sum: 7 } })
}

fn hears(world: &mut World, channel: ChannelId, source: Option<SocketAddr>, envelope: Envelope) {
    let event = ChannelEvent::Received { channel, source, envelope, bytes: 300, reaches_all: true };
    world.input(0, Input::Channel(event));
}

/// Returns the addresses that node 0 dialled.
fn dialled(world: &World) -> Vec<SocketAddr> {
    let outputs = world.nodes[0].outputs.iter();
    let dials = outputs.filter_map(|output| match output {
        Output::Channel(ChannelCommand::Connect { address }) => Some(*address),
        _ => None,
    });
    dials.collect()
}

/// Returns the number of bytes that node 0 sent to a host alone.
fn sent_to(world: &World, host: SocketAddr) -> usize {
    let outputs = world.nodes[0].outputs.iter();
    let lines = outputs.filter_map(|output| match output {
        Output::Channel(ChannelCommand::Send { target, line, .. }) if *target == Target::Host(host) => {
            Some(line.len())
        }
        _ => None,
    });
    lines.sum()
}

fn chain(hops: &[&str], peer: PeerId) -> Address {
    let text = hops.iter().map(|hop| format!("{hop}/dswarm-line")).collect::<String>();
    text.parse::<Address>().unwrap().then(&Address::brain(peer)).unwrap()
}

#[test]
fn lines_of_a_stranger_open_no_path_to_a_victim() {
    let mut world = class(1, 0.0);
    let medium = Medium::Link { dialled: None, is_kept: false };
    world.input(0, Input::Channel(ChannelEvent::Up { channel: LINK, medium }));
    let own = "/ip4/10.1.0.99/udp/8000";
    for second in 0..60u8 {
        for (n, first) in ["/ip4/127.0.0.1/tcp/9999", "/ip4/10.1.0.66/udp/8000"].iter().enumerate() {
            let peer = stranger(n as u8).peer_id();
            let beacon = beacon(&world, 50 + u64::from(second));
            let by_link = Envelope { hops: 1, beacon, ..pong(chain(&[first, own], peer)) };
            hears(&mut world, LINK, None, by_link);
            let by_network = Envelope { hops: 1, beacon, ..pong(chain(&[own, first], peer)) };
            let is_fit = *first != "/ip4/127.0.0.1/tcp/9999";
            if !is_fit {
                hears(&mut world, network_channel(1), "10.1.0.99:8000".parse().ok(), by_network);
            }
        }
        world.run(Duration::from_secs(1));
    }
    assert_eq!(world.nodes[0].brain.paths().count(), 0);
    assert_eq!(dialled(&world), []);
    assert_eq!(sent_to(&world, "10.1.0.66:8000".parse().unwrap()), 0);
}

#[test]
fn a_forged_sender_does_not_make_a_path_flood_the_host_that_it_names() {
    let mut world = class(1, 0.0);
    for n in 0..2000 {
        world.propose(0, &format!("file{n}"));
    }
    let victim: SocketAddr = "10.1.0.66:8000".parse().unwrap();
    let forged = chain(&["/ip4/10.1.0.66/udp/8000", "/ip4/10.2.0.9/udp/8000"], stranger(0).peer_id());
    let before = sent_to(&world, victim);
    for tick in 0..120u64 {
        let bound = world.now().moment.time.plus(60);
        let symbols = Encoder::new([]).symbols(12);
        let sketch = Repair::Sketch(Sketch { bound, count: 0, salt: tick, first: 0, symbols });
        let asks = Envelope { hops: 1, repair: Some(sketch), ..pong(forged.clone()) };
        hears(&mut world, network_channel(1), Some(victim), asks);
        let shows = Envelope { hops: 1, beacon: beacon(&world, tick), ..pong(forged.clone()) };
        hears(&mut world, network_channel(1), Some(victim), shows);
        world.run(Duration::from_millis(500));
    }
    assert_eq!(world.nodes[0].brain.paths().count(), 1);
    let sent = sent_to(&world, victim) - before;
    assert!((1..170_000).contains(&sent), "{sent} bytes within a minute");
}

#[test]
fn addresses_signed_on_a_chat_make_a_node_dial_a_victim_only_rarely() {
    let mut world = class(1, 0.0);
    let medium = Medium::Broadcast { name: "chat".to_owned(), at: None, line: None, capacity: Capacity::IRC };
    world.input(0, Input::Channel(ChannelEvent::Up { channel: CHAT, medium }));
    let start = world.now().moment.time;
    for n in 0..40 {
        let key = stranger(n);
        for victim in ["127.0.0.1:9999", "169.254.169.254:8000", "10.9.9.9:22", "10.9.9.9:8000"] {
            let data = Data::new(Address::tcp_line(victim.parse().unwrap()).as_str()).unwrap();
            let item = Item { bucket: buckets::ADDRESSES.of(key.peer_id()), data };
            let statement = Statement::new(Kind::Propose, item, Validity::starting(start, 3600)).unwrap();
            let record = dcache::Record::sign(statement, &key, u64::from(n) * 10 + 1, End::default());
            let said = Envelope::record(Address::brain(key.peer_id()), Address::every_brain(), &record);
            hears(&mut world, CHAT, None, said);
        }
    }
    for second in 0..90u64 {
        for n in 0..40 {
            let shows = beacon(&world, 5000 + second);
            let shows = Envelope { beacon: shows, ..pong(Address::brain(stranger(n).peer_id())) };
            hears(&mut world, CHAT, None, shows);
        }
        world.run(Duration::from_secs(1));
    }
    let dialled = dialled(&world);
    let victim = "10.9.9.9:8000".parse().unwrap();
    assert!(dialled.iter().all(|address| *address == victim), "{dialled:?}");
    assert!((1..=19).contains(&dialled.len()), "{} dials within 90 s", dialled.len());
}
