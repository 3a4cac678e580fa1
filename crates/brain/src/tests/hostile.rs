//! Tests that liars, broken links, wrong clocks and unfavourable timing do no harm.

use super::*;
use dcache::{Fingerprint, PeerId};
use routing::{Beacon, MAX_SYMBOLS, Message, Repair, Sketch, Want};
use sketch::Encoder;

mod work;

pub(super) const LINK: ChannelId = ChannelId(77);

fn liar() -> PeerId {
    Keypair::from_seed([99; 32]).peer_id()
}

fn liars_host() -> SocketAddr {
    SocketAddr::from(([10, 1, 0, 99], 8000))
}

/// Returns an empty line of a peer at a host.
pub(super) fn line_from(peer: PeerId, host: SocketAddr) -> Envelope {
    let from = Address::tcp_line(host).then(&Address::brain(peer)).unwrap();
    Envelope::new(from, Address::every_brain(), Message::pong(Validity::ALWAYS))
}

pub(super) fn hears(world: &mut World, channel: ChannelId, host: Option<SocketAddr>, envelope: Envelope) {
    let event = ChannelEvent::Received { channel, source: host, envelope, bytes: 0, reaches_all: true };
    world.input(0, Input::Channel(event));
}

fn hears_step(world: &mut World, channel: ChannelId, host: Option<SocketAddr>, step: Repair) {
    let envelope = Envelope { repair: Some(step), ..line_from(liar(), host.unwrap_or(liars_host())) };
    hears(world, channel, host, envelope);
}

/// Returns a bound as nodes name it.
fn bound(world: &World) -> Time {
    Time(world.now().moment.time.plus(60).0.next_multiple_of(dcache::BOUND_GRID))
}

/// Makes the liar show a node that it holds `count` records.
fn shows(world: &mut World, count: u64) {
    let bound = bound(world);
    let beacon = Some(Beacon { bound, fingerprint: Fingerprint { count, sum: 7 } });
    hears(
        world,
        network_channel(1),
        Some(liars_host()),
        Envelope { beacon, ..line_from(liar(), liars_host()) },
    );
}

/// Returns all lines that node 0 sent on a channel.
fn sent(world: &World, on: ChannelId) -> Vec<Envelope> {
    let outputs = world.nodes[0].outputs.iter();
    let lines = outputs.filter_map(|output| match output {
        Output::Channel(ChannelCommand::Send { channel, line, .. }) if *channel == on => Some(line),
        _ => None,
    });
    lines.map(|line| Envelope::decode(line.as_bytes()).unwrap()).collect()
}

fn last_salt(world: &World, on: ChannelId) -> Option<u64> {
    sent(world, on).iter().rev().find_map(|envelope| match &envelope.repair {
        Some(Repair::Sketch(sketch)) => Some(sketch.salt),
        _ => None,
    })
}

pub(super) fn comes_up(world: &mut World, dialled: Option<SocketAddr>) {
    let medium = Medium::Link { dialled, is_kept: false };
    world.input(0, Input::Channel(ChannelEvent::Up { channel: LINK, medium }));
}

/// Makes node 0 ask for a link with the liar, and gives it that link.
fn linked_with_the_liar(world: &mut World, count: u64) {
    shows(world, count);
    let asks = Output::Channel(ChannelCommand::Connect { address: liars_host() });
    // The node that holds more waits for the other, for up to 13 round trips and the time that the other may take to
    // ask.
    for _ in 0..80 {
        world.elapsed += Duration::from_millis(50);
        world.input(0, Input::Tick);
        if world.nodes[0].outputs.contains(&asks) {
            return comes_up(world, Some(liars_host()));
        }
    }
    panic!("node 0 asked for no link");
}

#[test]
fn a_peer_that_claims_to_hold_everything_is_not_sent_endless_symbols() {
    for count in [u64::MAX, 1 << 30] {
        let mut world = class(1, 0.0);
        linked_with_the_liar(&mut world, count);
        assert!(sent(&world, LINK).len() < 300, "{}", sent(&world, LINK).len());
    }
}

#[test]
fn where_no_node_takes_links_missing_records_come_over_the_network() {
    let mut world = World::new(0.0);
    world.refuses_links = true;
    for node in 0..2 {
        world.add();
        for n in 0..100 {
            world.propose(node, &format!("file{node}/{n}"));
        }
    }
    world.join(0, 1);
    world.join(1, 1);
    world.run(Duration::from_secs(60));
    for n in 0..100 {
        assert!(world.all_know(&format!("file0/{n}")) && world.all_know(&format!("file1/{n}")), "{n}");
    }
}

#[test]
fn a_difference_of_many_lines_of_symbols_is_found() {
    let mut world = class(1, 0.0);
    comes_up(&mut world, None);
    let (bound, mut first) = (world.now().moment.time.plus(60), 0);
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let mut encoder = Encoder::new((0..45_000).map(|_| random.random()));
    while first < 45_000 * 3 / 2 {
        let symbols = encoder.symbols(MAX_SYMBOLS);
        let step = Sketch { bound, count: 45_000, salt: 1, first, symbols };
        hears_step(&mut world, LINK, None, Repair::Sketch(step));
        first += MAX_SYMBOLS as u32;
    }
    assert_eq!(world.counter_of(0, &metrics::BRAIN_SKETCHES_IGNORED), 0);
    assert_eq!(world.counter_of(0, &metrics::BRAIN_COMPARISONS_SERVED), 1);
}

#[test]
fn one_host_that_floods_sketches_does_not_keep_others_from_being_served() {
    let mut world = class(1, 0.0);
    let bound = world.now().moment.time.plus(60);
    let step = |salt| {
        let symbols = Encoder::new([]).symbols(12);
        Repair::Sketch(Sketch { bound, count: 0, salt, first: 0, symbols })
    };
    for salt in 0..500 {
        hears_step(&mut world, network_channel(1), Some(liars_host()), step(salt));
    }
    let before = world.counter_of(0, &metrics::BRAIN_COMPARISONS_SERVED);
    hears_step(&mut world, network_channel(1), Some(host(1, 5)), step(1000));
    assert_eq!(world.counter_of(0, &metrics::BRAIN_COMPARISONS_SERVED), before + 1);
}

#[test]
fn no_peer_keeps_a_comparison_going_for_ever() {
    let mut world = class(1, 0.0);
    shows(&mut world, 1);
    for _ in 0..600 {
        world.elapsed += Duration::from_millis(100);
        world.input(0, Input::Tick);
        if let Some(salt) = last_salt(&world, network_channel(1)) {
            let want = Repair::Want(Want { salt, ids: vec![1, 2, 3] });
            hears_step(&mut world, network_channel(1), Some(liars_host()), want);
        }
    }
    let ended = [&metrics::BRAIN_COMPARISONS_COMPLETED, &metrics::BRAIN_COMPARISONS_FAILED];
    assert!(ended.iter().any(|metric| world.counter_of(0, metric) > 0));
}

#[test]
fn clocks_two_minutes_apart_hide_no_records() {
    for maker in 0..2 {
        let mut world = class(2, 0.0);
        world.nodes[1].ahead = 120;
        world.run(Duration::from_secs(700));
        world.networks.get_mut(&1).unwrap().remove(&1);
        world.propose(maker, "meanwhile");
        world.run(Duration::from_secs(5));
        world.networks.get_mut(&1).unwrap().insert(1);
        world.run(Duration::from_secs(30));
        // The record of the node whose clock is ahead is valid from that node's own time on.
        let time = world.now().moment.time.plus(200);
        let knows = |node: &Node| node.brain.set().item(&item("meanwhile"), time).is_some();
        assert!(world.nodes.iter().all(knows), "made by {maker}");
    }
}

#[test]
fn endless_news_does_not_postpone_repair_for_ever() {
    let mut world = class(3, 0.0);
    world.networks.get_mut(&1).unwrap().remove(&1);
    for n in 0..10 {
        world.propose(0, &format!("meanwhile{n}"));
    }
    world.run(Duration::from_secs(5));
    world.networks.get_mut(&1).unwrap().insert(1);
    for n in 0..300 {
        world.propose(2, &format!("news{n}"));
        world.run(Duration::from_millis(50));
    }
    assert!((0..10).all(|n| world.knows(1, &format!("meanwhile{n}"))));
}

#[test]
fn records_wanted_in_several_lines_are_all_given() {
    let mut world = class(1, 0.0);
    for n in 0..2500 {
        world.propose(0, &format!("file{n}"));
    }
    world.run(Duration::from_secs(30));
    linked_with_the_liar(&mut world, 100);
    let salt = last_salt(&world, LINK).unwrap();
    let ids: Vec<u64> =
        world.nodes[0].brain.set().records().map(|record| sketch::salted(salt, &record.id().0)).collect();
    for ids in ids.chunks(1024) {
        let want = Repair::Want(Want { salt, ids: ids.to_vec() });
        hears_step(&mut world, LINK, None, want);
    }
    for _ in 0..40 {
        world.input(0, Input::Channel(ChannelEvent::Drained { channel: LINK }));
    }
    let given: usize = sent(&world, LINK).iter().map(|envelope| envelope.records.len()).sum();
    assert_eq!(given, 2500);
}

#[test]
fn once_the_time_is_known_no_peer_is_avoided_for_earlier_refusals() {
    let mut world = World::new(0.0);
    for _ in 0..2 {
        world.add();
    }
    // Node 1 starts with its clock at the time of its build, and does not know the time.
    let unknown = |elapsed| Now {
        moment: Moment { is_certain: false, ..Moment::certain(Time(1_780_000_000)) },
        elapsed,
    };
    world.nodes[1].fixed = Some(unknown);
    world.propose(0, "file");
    world.join(0, 1);
    world.join(1, 1);
    world.run(Duration::from_secs(900));
    assert!(world.nodes[1].brain.set().is_empty(), "the record ends too far ahead");
    world.nodes[1].fixed = None;
    world.run(Duration::from_secs(20));
    assert!(world.knows(1, "file"));
}

#[test]
fn a_comparison_is_sent_on_a_slow_channel_full_of_news() {
    let mut world = World::new(0.0);
    world.add();
    let capacity = Capacity::IRC;
    let medium = Medium::Broadcast { name: "irc".to_owned(), at: None, line: None, capacity };
    world.input(0, Input::Channel(ChannelEvent::Up { channel: network_channel(1), medium }));
    for n in 0..500 {
        world.propose(0, &format!("file{n}"));
    }
    shows(&mut world, 2);
    world.run(Duration::from_secs(400));
    assert!(world.nodes[0].brain.is_behind(network_channel(1)));
    assert!(last_salt(&world, network_channel(1)).is_some(), "a sketch was sent");
}

#[test]
fn large_differences_are_found_on_a_network_that_loses_lines() {
    for (ours, theirs, loss) in [(1000, 0, 0.0), (300, 300, 0.2)] {
        let mut world = World::new(loss);
        world.refuses_links = true;
        for (node, count) in [(0, ours), (1, theirs)] {
            world.add();
            for n in 0..count {
                world.propose(node, &format!("file{node}/{n}"));
            }
            world.join(node, 1);
        }
        world.run(Duration::from_secs(60));
        let held = world.nodes.iter().map(|node| node.brain.set().len());
        assert_eq!(held.collect::<Vec<_>>(), [ours + theirs; 2]);
    }
}
