//! Tests of how a node uses the clocks of its neighbours.

use super::*;
use routing::Message;

fn unknown(elapsed: Duration) -> Now {
    Now { moment: Moment { is_certain: false, ..Moment::certain(Time(1_780_000_000)) }, elapsed }
}

/// Makes node 0 hear the time that the clock of a peer at a host shows.
fn hears_clock(world: &mut World, peer: u8, host: u8, time: Time) {
    let host = SocketAddr::from(([10, 1, 0, host], 8000));
    let from =
        Address::tcp_line(host).then(&Address::brain(Keypair::from_seed([peer; 32]).peer_id())).unwrap();
    let payload = Message::pong(Validity::starting(time, 60));
    let envelope = Envelope::new(from, Address::every_brain(), payload);
    let (channel, source) = (network_channel(1), Some(host));
    world.input(
        0,
        Input::Channel(ChannelEvent::Received { channel, source, envelope, bytes: 0, reaches_all: true }),
    );
}

fn codes(world: &World, now: Now) -> Vec<String> {
    let status = world.nodes[0].brain.status(now);
    status.troubles.into_iter().map(|trouble| trouble.code).collect()
}

#[test]
fn a_node_that_does_not_know_the_time_asks_its_neighbours() {
    let mut world = World::new(0.0);
    for _ in 0..2 {
        world.add();
    }
    world.join(1, 1);
    // By now, the neighbour sends beacons rarely.
    world.run(Duration::from_secs(600));
    world.nodes[0].fixed = Some(unknown);
    world.join(0, 1);
    world.run(Duration::from_secs(1));
    let (elapsed, time) = (world.elapsed, world.now().moment.time);
    let heard = world.nodes[0].brain.neighbour_time(elapsed).expect("an answer");
    assert!(heard.time.0.abs_diff(time.0) <= 1 && heard.hosts == 1, "{heard:?}, not {time}");
    assert_eq!(world.nodes[1].brain.neighbour_time(elapsed), None, "node 0 names no time itself");
    world.run(Duration::from_secs(10));
    assert_eq!(codes(&world, unknown(world.elapsed)), ["clock.unset"]);
    let pings = world.nodes[0].outputs.iter().filter(|output| match output {
        Output::Channel(ChannelCommand::Send { line, .. }) => line.contains("ping"),
        _ => false,
    });
    assert_eq!(pings.count(), 1, "one ping is enough");
}

#[test]
fn a_node_that_hears_no_other_asks_ever_more_rarely_and_reports_a_fault() {
    let mut world = World::new(0.0);
    world.add();
    world.nodes[0].fixed = Some(unknown);
    world.join(0, 1);
    world.run(Duration::from_secs(600));
    let sent = world.nodes[0].outputs.iter().filter(|output| match output {
        Output::Channel(ChannelCommand::Send { line, .. }) => line.contains("ping"),
        _ => false,
    });
    let pings = sent.count();
    assert!((10..=20).contains(&pings), "{pings} in ten minutes");
    assert_eq!(codes(&world, unknown(world.elapsed)), ["clock.unknown"]);
}

#[test]
fn a_host_with_many_names_has_one_vote_on_the_time() {
    let mut world = World::new(0.0);
    world.add();
    world.join(0, 1);
    let (now, year_2099) = (world.now().moment.time, Time(4_070_908_800));
    for peer in 100..200 {
        hears_clock(&mut world, peer, 99, year_2099);
    }
    hears_clock(&mut world, 2, 2, now);
    hears_clock(&mut world, 3, 3, now.plus(1));
    let heard = world.nodes[0].brain.neighbour_time(world.elapsed).unwrap();
    assert_eq!((heard.time, heard.hosts), (now.plus(1), 3));
    world.run(Duration::from_secs(10));
    assert!(codes(&world, world.now()).is_empty());
    world.run(Duration::from_secs(1800));
    assert_eq!(world.nodes[0].brain.neighbour_time(world.elapsed), None, "the neighbours are gone");
}

#[test]
fn a_robot_with_two_addresses_has_one_vote_on_the_time() {
    let mut world = World::new(0.0);
    world.add();
    world.join(0, 1);
    let now = world.now().moment.time;
    for host in [8, 9] {
        hears_clock(&mut world, 2, host, now.plus(7200));
    }
    let heard = world.nodes[0].brain.neighbour_time(world.elapsed).unwrap();
    assert_eq!((heard.time, heard.hosts), (now.plus(7200), 1));
    assert_eq!(world.nodes[0].brain.clocks_heard(world.now(), Duration::ZERO), 1);
    world.run(Duration::from_secs(30));
    let within = |seconds| world.nodes[0].brain.clocks_heard(world.now(), Duration::from_secs(seconds));
    assert_eq!((within(10), within(40)), (0, 1), "it is silent since then");
}

#[test]
fn a_host_that_uses_the_names_of_others_does_not_take_their_votes() {
    let mut world = World::new(0.0);
    world.add();
    world.join(0, 1);
    let (now, later) = (world.now().moment.time, world.now().moment.time.plus(7200));
    for host in [2, 3, 4] {
        hears_clock(&mut world, host, host, now);
    }
    for name in [2, 3, 4] {
        hears_clock(&mut world, name, 99, later);
    }
    hears_clock(&mut world, 98, 98, later);
    let heard = world.nodes[0].brain.neighbour_time(world.elapsed).unwrap();
    assert_eq!((heard.time, heard.hosts), (now, 4));
}

#[test]
fn a_clock_far_from_those_of_the_neighbours_is_reported() {
    let mut world = World::new(0.0);
    world.add();
    world.join(0, 1);
    let now = world.now().moment.time;
    for (host, ahead) in [(2, 3600), (3, 3700), (4, 0)] {
        hears_clock(&mut world, host, host, now.plus(ahead));
    }
    world.run(Duration::from_secs(10));
    let troubles = world.nodes[0].brain.status(world.now()).troubles;
    assert_eq!((troubles[0].channel.as_str(), troubles[0].code.as_str()), ("clock", "clock.differs"));
    assert!(troubles[0].message.contains("60 min behind"), "{}", troubles[0].message);
    for host in [2, 3] {
        let now = world.now().moment.time;
        hears_clock(&mut world, host, host, now);
    }
    world.run(Duration::from_secs(10));
    assert!(codes(&world, world.now()).is_empty(), "the fault is over");
}
