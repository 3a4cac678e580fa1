//! Tests of the sightings: which peers hear each other, and hosts of other swarms.

use super::*;
use dcache::PeerId;

/// Returns the peers that node 0 heard, and whether each answered a ping within the last second.
fn heard(world: &World) -> Vec<(PeerId, bool)> {
    let hearings = world.nodes[0].brain.hearings(world.now());
    let is_new = |age: Duration| age < Duration::from_secs(1);
    hearings.iter().map(|one| (one.peer, one.answered.is_some_and(is_new))).collect()
}

#[test]
fn a_ping_shows_which_of_the_peers_that_are_heard_also_hear_this_node() {
    let mut world = World::new(0.0);
    let nodes = [world.add(), world.add(), world.add()];
    nodes.iter().for_each(|node| world.join(*node, 1));
    world.run(Duration::from_secs(10));
    assert_eq!(heard(&world).len(), 2);
    assert!(heard(&world).iter().all(|(_, answers)| !answers), "beacons are no answers");
    let ping = |world: &mut World| {
        let now = world.now();
        for output in world.nodes[0].brain.ping(now) {
            world.carry_out(0, &output);
        }
        world.run(Duration::from_millis(500));
    };
    ping(&mut world);
    assert!(heard(&world).iter().all(|(_, answers)| *answers), "{:?}", heard(&world));
    // Node 2 goes away.
    world.leave(2, 1);
    world.run(Duration::from_secs(10));
    ping(&mut world);
    let gone = world.nodes[2].key.peer_id();
    for (peer, answers) in heard(&world) {
        assert_eq!(answers, peer != gone);
    }
}

#[test]
fn hosts_of_other_swarms_are_told_with_their_age() {
    let mut world = World::new(0.0);
    world.add();
    let source = host(1, 9);
    world.input(0, Input::Channel(ChannelEvent::OtherSwarm { source }));
    world.run(Duration::from_secs(7));
    let brain = &world.nodes[0].brain;
    let age = Duration::from_secs(7);
    assert_eq!(brain.other_key(world.now()), Some(OtherSwarm { source: Some(source), age }));
    assert_eq!(brain.other_records(world.now()), None);
}
