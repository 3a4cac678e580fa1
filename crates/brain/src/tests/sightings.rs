use super::*;
use routing::Reach;

#[test]
fn a_peer_is_sighted_on_each_channel_on_which_it_is_heard() {
    let mut world = World::new(0.0);
    for _ in 0..3 {
        world.add();
    }
    for (node, network) in [(0, 1), (1, 1), (0, 2), (1, 2), (2, 2)] {
        world.join(node, network);
    }
    world.run(Duration::from_secs(5));
    let peer = |node: usize| Keypair::from_seed([node as u8 + 1; 32]).peer_id();
    let seen = |world: &World| {
        let sightings = world.nodes[0].brain.sightings(world.now());
        assert!(sightings.iter().all(|sighting| sighting.reach == Reach::Lan && sighting.channel == "lan"));
        let seen = sightings.into_iter().map(|sighting| (sighting.peer, sighting.address));
        seen.collect::<BTreeSet<_>>()
    };
    let expected = [(1, 1), (1, 2), (2, 2)].map(|(node, network)| (peer(node), Some(host(network, node))));
    assert_eq!(seen(&world), expected.into());
    // A peer that left a network is not heard there any more.
    world.leave(1, 1);
    world.leave(1, 2);
    world.run(Duration::from_secs(100));
    let sightings = world.nodes[0].brain.sightings(world.now());
    let gone = sightings.iter().filter(|sighting| sighting.peer == peer(1));
    assert!(gone.clone().count() == 2 && gone.clone().all(|gone| gone.age >= Duration::from_secs(95)));
    // The channel of a network that is down has no sightings.
    world.leave(0, 2);
    assert_eq!(world.nodes[0].brain.sightings(world.now()).len(), 1);
}

#[test]
fn the_other_end_of_a_lasting_link_is_sighted_with_the_dialled_address() {
    let mut world = World::new(0.0);
    world.add();
    let (channel, address) = (ChannelId(77), host(9, 9));
    let medium = Medium::Link { dialled: Some(address), is_kept: true };
    world.input(0, Input::Channel(ChannelEvent::Up { channel, medium }));
    let other = Keypair::from_seed([99; 32]).peer_id();
    let ping = routing::Message::ping(Validity::ALWAYS);
    let envelope = Envelope::new(Address::brain(other), Address::every_brain(), ping);
    world.input(
        0,
        Input::Channel(ChannelEvent::Received {
            channel,
            source: None,
            envelope,
            bytes: 0,
            reaches_all: true,
        }),
    );
    let sightings = world.nodes[0].brain.sightings(world.now());
    let expected = Sighting {
        peer: other,
        channel: format!("tcp {address}"),
        reach: Reach::Peer,
        address: Some(address),
        is_source: false,
        age: Duration::ZERO,
    };
    assert_eq!(sightings, [expected]);
}
