//! Tests of records that are carried from one network to another, or not because that is needless.

use super::hostile::{LINK, comes_up, hears, line_from};
use super::*;
use routing::Reach;

/// Capacity of network 2, a mesh.
const MESH: Capacity = Capacity { reach: Reach::World, ..Capacity::LAN };

/// Three nodes on network 1 that are also on network 2, and that know each other on both.
fn world_of_two_networks() -> World {
    let mut world = World::new(0.0);
    for _ in 0..3 {
        let node = world.add();
        world.join(node, 1);
        world.join_as(node, 2, MESH);
    }
    for node in 0..3 {
        world.propose(node, &format!("here is {node}"));
        world.run(Duration::from_secs(3));
    }
    world
}

fn sent_on(world: &World, node: usize, network: u8) -> u64 {
    let status = world.nodes[node].brain.status(world.now());
    let channel = status.channels.into_iter().nth(usize::from(network) - 1).unwrap();
    channel.sent_lines
}

/// Makes 20 records at `maker`, and returns the number of lines that nodes 1 and 2 send on network 2 meanwhile.
fn carried(world: &mut World, maker: usize) -> u64 {
    let of_both = |world: &World| sent_on(world, 1, 2) + sent_on(world, 2, 2);
    let before = of_both(world);
    for number in 0..20 {
        world.propose(maker, &format!("news {number}"));
        world.run(Duration::from_millis(500));
    }
    of_both(world) - before
}

#[test]
fn a_record_is_not_carried_to_a_network_whose_nodes_all_hear_it() {
    let mut world = world_of_two_networks();
    let maker = world.add();
    world.join(maker, 1);
    world.run(Duration::from_secs(3));
    let lines = carried(&mut world, maker);
    assert!(lines <= 10, "{lines} lines are more than the beacons");
    assert!(world.all_know("news 19"));
}

#[test]
fn few_of_many_nodes_carry_a_record_to_a_mesh_that_they_hear_late() {
    let mut world = World::new(0.0);
    let hidden = world.add();
    world.join_as(hidden, 2, MESH);
    for _ in 0..20 {
        let node = world.add();
        world.join(node, 1);
        world.join_as(node, 2, MESH);
        world.propose(node, &format!("here is {node}"));
    }
    world.run(Duration::from_secs(20));
    // Nodes do not hear what others send on the mesh for a moment after each record.
    let maker = world.add();
    world.join(maker, 1);
    world.run(Duration::from_secs(3));
    let of_all = |world: &World| (1..=20).map(|node| sent_on(world, node, 2)).sum::<u64>();
    let before = of_all(&world);
    for number in 0..20 {
        world.propose(maker, &format!("news {number}"));
        world.deaf.insert(2);
        world.run(Duration::from_millis(300));
        world.deaf.remove(&2);
        world.run(Duration::from_secs(5));
    }
    let lines = of_all(&world) - before;
    assert!(world.all_know("news 19"));
    assert!(lines < 400, "{lines} lines for 20 records");
}

#[test]
fn a_record_from_a_link_is_not_carried_to_a_network_whose_nodes_all_hear_a_local_network() {
    let mut world = world_of_two_networks();
    let stranger = Keypair::from_seed([77; 32]);
    comes_up(&mut world, None);
    let before = (sent_on(&world, 0, 1), sent_on(&world, 0, 2));
    for sequence in 1..=20 {
        let item = item(&format!("news {sequence}"));
        let validity = Validity::starting(world.now().moment.time, 3600);
        let statement = Statement::new(Kind::Propose, item, validity).unwrap();
        let record = dcache::Record::sign(statement, &stranger, sequence, End::default());
        let from = line_from(stranger.peer_id(), host(1, 5)).from;
        hears(&mut world, LINK, None, Envelope::record(from, Address::every_brain(), &record));
        world.run(Duration::from_millis(500));
    }
    let (local, mesh) = (sent_on(&world, 0, 1) - before.0, sent_on(&world, 0, 2) - before.1);
    assert!(local >= 20, "{local}");
    assert!(mesh <= 10, "{mesh} lines are more than the beacons");
    assert!(world.all_know("news 20"));
}

#[test]
fn a_record_is_not_carried_to_a_network_to_which_its_signer_sends_it() {
    let mut world = world_of_two_networks();
    let far = world.add();
    world.join_as(far, 2, MESH);
    world.propose(far, "here is the far node");
    world.run(Duration::from_secs(3));
    // Network 2 is so slow that nobody hears the copies of node 0 in time.
    world.deaf.insert(2);
    let lines = carried(&mut world, 0);
    assert!(lines <= 10, "{lines} lines are more than the beacons");
}

#[test]
fn a_record_is_carried_to_a_node_that_hears_only_the_other_network() {
    let mut world = world_of_two_networks();
    let far = world.add();
    world.join_as(far, 2, MESH);
    // Node 0 leaves network 2, so only nodes 1 and 2 can carry its records there.
    world.leave(0, 2);
    world.run(Duration::from_secs(700));
    world.propose(far, "here is the far node");
    world.run(Duration::from_secs(3));
    world.propose(0, "news");
    world.run(Duration::from_secs(1));
    assert!(world.all_know("news"));
}
