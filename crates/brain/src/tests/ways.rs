//! Tests of ways beyond one network: lasting links, forwarded lines, and paths.

use super::*;
use dcache::PeerId;

impl World {
    fn kept_link(&mut self, from: usize, to: usize) {
        let (here, there) = (ChannelId(self.channels), ChannelId(self.channels + 1));
        self.channels += 2;
        self.links.extend([(here, (to, there)), (there, (from, here))]);
        self.owners.extend([(here, from), (there, to)]);
        let dialled = Some(host(200, to));
        let taken = Medium::Link { dialled: None, is_kept: false };
        self.later(to, Input::Channel(ChannelEvent::Up { channel: there, medium: taken }));
        let made = Medium::Link { dialled, is_kept: true };
        self.later(from, Input::Channel(ChannelEvent::Up { channel: here, medium: made }));
    }

    fn peer(&self, node: usize) -> PeerId {
        self.nodes[node].key.peer_id()
    }

    fn route(&mut self, node: usize, routing: Routing) {
        let now = self.now_of(node);
        self.nodes[node].brain.route(routing, now);
    }

    fn hears_line(&mut self, node: usize, network: u8, from: usize, envelope: Envelope) {
        let (channel, source) = (network_channel(network), Some(host(network, from)));
        self.input(
            node,
            Input::Channel(ChannelEvent::Received {
                channel,
                source,
                envelope,
                bytes: 300,
                reaches_all: true,
            }),
        );
    }
}

fn udp(network: u8, node: usize) -> Address {
    Address::udp_line(host(network, node))
}

#[test]
fn a_link_that_lasts_is_used_by_both_sides() {
    let mut world = World::new(0.0);
    world.refuses_links = true;
    for node in 0..2 {
        world.add();
        for n in 0..300 {
            world.propose(node, &format!("before{node}/{n}"));
        }
    }
    world.kept_link(0, 1);
    world.run(Duration::from_secs(20));
    for node in 0..2 {
        assert!((0..300).all(|n| world.all_know(&format!("before{node}/{n}"))));
        world.propose(node, &format!("news{node}"));
    }
    world.run(Duration::from_millis(50));
    assert!(world.all_know("news0") && world.all_know("news1"));
    let status = world.nodes[1].brain.status(world.now());
    assert!(status.channels[0].name.starts_with("tcp from …") && status.channels[0].peers == 1, "{status:?}");
}

/// Returns nodes 0 and 2 on networks of their own, where no broadcast is heard, with node 1 between them.
fn with_a_relay() -> World {
    let mut world = World::new(0.0);
    world.refuses_links = true;
    world.deaf = [1, 2].into();
    for _ in 0..3 {
        world.add();
    }
    for (node, network) in [(0, 1), (1, 1), (1, 2), (2, 2)] {
        world.join(node, network);
    }
    world
}

#[test]
fn a_path_carries_records_both_ways_and_the_node_between_only_forwards_them() {
    let mut world = with_a_relay();
    let chain = udp(1, 1).then(&udp(2, 2)).unwrap();
    world.route(0, Routing { paths: vec![chain], ..Routing::default() });
    world.propose(0, "there");
    world.propose(2, "back");
    world.run(Duration::from_secs(60));
    assert!(world.knows(2, "there") && world.knows(0, "back"));
    assert!(!world.knows(1, "there") && world.counter_of(1, &metrics::BRAIN_LINES_FORWARDED) > 2);
    let path = |node: usize| {
        let status = world.nodes[node].brain.status(world.now());
        status.channels.into_iter().find(|channel| channel.name.starts_with("path ")).unwrap()
    };
    assert!(path(0).received_lines > 0 && path(2).received_lines > 0);
    assert!(world.nodes[0].brain.table().learned(world.elapsed).any(|route| route.peer == world.peer(2)));
}

#[test]
fn a_node_with_forwarding_off_forwards_nothing() {
    let mut world = with_a_relay();
    world.route(0, Routing { paths: vec![udp(1, 1).then(&udp(2, 2)).unwrap()], ..Routing::default() });
    world.route(1, Routing { forwards: false, ..Routing::default() });
    world.propose(0, "there");
    world.run(Duration::from_secs(60));
    assert!(!world.knows(2, "there") && world.counter_of(1, &metrics::BRAIN_LINES_FOREIGN) > 0);
}

fn ping(from: Address, to: Address) -> Envelope {
    Envelope::new(from, to, routing::Message::ping(Validity::ALWAYS))
}

/// Returns the lines that node 1 forwarded to a network.
fn passed_on(world: &World, network: u8) -> Vec<(Target, Envelope)> {
    let outputs = world.nodes[1].outputs.iter();
    let sent = outputs.filter_map(|output| match output {
        Output::Channel(ChannelCommand::Send { channel, target, line }) => {
            Some((*channel, *target, Envelope::decode(line.as_bytes()).unwrap()))
        }
        _ => None,
    });
    let to_network = sent.filter(|(channel, _, line)| *channel == network_channel(network) && line.hops > 0);
    to_network.map(|(_, target, line)| (target, line)).collect()
}

#[test]
fn an_answer_finds_its_way_back() {
    let mut world = with_a_relay();
    let (asker, asked) = (Address::brain(world.peer(0)), Address::brain(world.peer(2)));
    let to = udp(2, 2).then(&asked).unwrap();
    world.hears_line(1, 1, 0, ping(asker.clone(), to));
    let (target, line) = passed_on(&world, 2).remove(0);
    assert_eq!((target, &line.to), (Target::Host(host(2, 2)), &asked));
    assert_eq!(line.from, udp(2, 1).then(&udp(1, 0)).unwrap().then(&asker).unwrap());
    world.run(Duration::from_secs(1));
    let (target, pong) = passed_on(&world, 1).remove(0);
    assert_eq!((target, pong.to), (Target::Host(host(1, 0)), asker));
}

#[test]
fn a_rule_sends_a_line_on_its_way() {
    let mut world = with_a_relay();
    let (asker, asked) = (Address::brain(world.peer(0)), Address::brain(world.peer(2)));
    let rule = format!("{asked} => {}/$0", udp(2, 2));
    world.route(1, Routing { rules: vec![rule.parse().unwrap()], ..Routing::default() });
    let to = Address::brain(world.peer(1)).then(&asked).unwrap();
    // Unless an address names a channel or begins with this node, the node forwards only lines that were sent to it
    // alone. That holds for rules as well.
    world.hears_line(1, 1, 0, ping(asker, to));
    assert_eq!(passed_on(&world, 2)[0].1.to, asked);
}

#[test]
fn no_node_is_used_to_reach_hosts_that_are_no_robots() {
    let mut world = with_a_relay();
    let (asker, asked) = (Address::brain(world.peer(0)), Address::brain(world.peer(2)));
    for to in [
        "/ip4/10.2.0.2/udp/53/dswarm-line",
        "/ip4/127.0.0.1/udp/8000/dswarm-line",
        "/ip4/10.2.0.2/tcp/22/dswarm-line",
        "/ip4/127.0.0.1/tcp/8000/dswarm-line",
        "/ip4/224.0.0.1/udp/8000/dswarm-line",
    ] {
        let before = world.nodes[1].outputs.len();
        let to = to.parse::<Address>().unwrap().then(&asked).unwrap();
        world.hears_line(1, 1, 0, ping(asker.clone(), to));
        assert_eq!(world.nodes[1].outputs.len(), before);
    }
    assert_eq!(world.counter_of(1, &metrics::BRAIN_LINES_NOT_FORWARDED_NO_ROUTE), 5);
    // The line port of a robot is dialled.
    let to = Address::tcp_line(host(2, 2)).then(&asked).unwrap();
    world.hears_line(1, 1, 0, ping(asker, to));
    let dials = Output::Channel(ChannelCommand::Connect { address: host(2, 2) });
    assert!(world.nodes[1].outputs.contains(&dials));
}

#[test]
fn no_node_is_used_to_flood_others() {
    let mut world = with_a_relay();
    let (asker, asked) = (Address::brain(world.peer(0)), Address::brain(world.peer(2)));
    let to = udp(2, 2).then(&asked).unwrap();
    let line = ping(asker.clone(), to.clone());
    for _ in 0..5 {
        world.hears_line(1, 1, 0, line.clone());
    }
    assert_eq!(passed_on(&world, 2).len(), 1, "the same line is forwarded once");
    world.hears_line(1, 1, 0, Envelope { hops: 8, ..line });
    assert_eq!(world.counter_of(1, &metrics::BRAIN_LINES_NOT_FORWARDED_TOO_MANY_HOPS), 1);
    for n in 0..1000 {
        let line = Envelope { comment: Some(n.to_string()), ..ping(asker.clone(), to.clone()) };
        world.hears_line(1, 1, 0, line);
    }
    assert_eq!(passed_on(&world, 2).len(), 16, "a host that was not heard gets few lines at once");
    for second in 0..60 {
        world.run(Duration::from_secs(1));
        for n in 0..10 {
            let comment = Some(format!("{second} {n}"));
            let to = udp(2, 7).then(&asked).unwrap();
            world.hears_line(1, 1, 0, Envelope { comment, ..ping(asker.clone(), to) });
        }
    }
    let to_victim = passed_on(&world, 2).iter().filter(|(to, _)| *to == Target::Host(host(2, 7))).count();
    assert!((16..=18).contains(&to_victim), "{to_victim} lines within a minute");
    // A host that sends lines through this node is a robot, and gets more.
    world.hears_line(1, 2, 7, ping(asked, udp(1, 0).then(&asker).unwrap()));
    for n in 0..100 {
        let line =
            Envelope { comment: Some(n.to_string()), ..ping(asker.clone(), udp(2, 7).then(&asker).unwrap()) };
        world.hears_line(1, 1, 0, line);
    }
    let more = passed_on(&world, 2).iter().filter(|(to, _)| *to == Target::Host(host(2, 7))).count();
    assert_eq!(more - to_victim, 64);
    // A forwarded line that claims to come from another host than its source is not answered there.
    let from = udp(1, 9).then(&asker).unwrap();
    world.hears_line(1, 1, 0, Envelope { hops: 1, comment: Some("forged".to_owned()), ..ping(from, to) });
    assert!(world.counter_of(1, &metrics::BRAIN_LINES_NOT_FORWARDED_NO_RETURN) <= 1);
}
