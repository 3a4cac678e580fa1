//! Newcomers are greeted: each node sends its own presence again, although no comparison has begun.

use super::*;
use dcache::buckets::PEER;

/// Publishes the presence of a node.
fn present(world: &mut World, node: usize) {
    let key = Keypair::from_seed([node as u8 + 1; 32]);
    let me = key.peer_id();
    let item = Item { bucket: PEER.path(), data: Data::new(&me.to_string()).unwrap() };
    let validity = Validity::starting(world.now().moment.time, 600);
    let statement = Statement::new(Kind::Propose, item, validity).unwrap();
    world.nodes[node].sequence += 1;
    let record = dcache::Record::sign(statement, &key, world.nodes[node].sequence, End::default());
    world.input(node, Input::Local(record));
}

/// Returns a class whose nodes have been present for a while.
fn present_class(size: usize) -> World {
    let mut world = class(size, 0.0);
    for node in 0..size {
        present(&mut world, node);
    }
    world.run(Duration::from_secs(30));
    world
}

fn present_at(world: &World, node: usize) -> usize {
    world.nodes[node].brain.set().bucket(&PEER.path(), world.now().moment.time).count()
}

#[test]
fn a_newcomer_lists_all_nodes_after_a_moment_and_without_a_comparison() {
    let mut world = present_class(6);
    let before = world.counter_of(0, &metrics::BRAIN_GREETINGS_SENT);
    let newcomer = world.add();
    world.refuses_links = true;
    world.join(newcomer, 1);
    present(&mut world, newcomer);
    world.run(Duration::from_millis(60));
    assert_eq!(present_at(&world, newcomer), 7);
    assert_eq!(world.counter_of(newcomer, &metrics::BRAIN_COMPARISONS_STARTED), 0);
    assert_eq!(world.counter_of(0, &metrics::BRAIN_GREETINGS_SENT), before + 1);
}

#[test]
fn a_renewed_presence_and_a_presence_from_afar_are_no_reason_to_greet() {
    let mut world = present_class(3);
    let before = world.counter_of(0, &metrics::BRAIN_GREETINGS_SENT);
    present(&mut world, 1);
    // Node 1 forwards the presence of a peer that is not on this network.
    let far = Keypair::from_seed([77; 32]);
    let item = Item { bucket: PEER.path(), data: Data::new(&far.peer_id().to_string()).unwrap() };
    let validity = Validity::starting(world.now().moment.time, 600);
    let record =
        dcache::Record::sign(Statement::new(Kind::Propose, item, validity).unwrap(), &far, 1, End::default());
    let from = Address::brain(world.nodes[1].key.peer_id());
    inject(&mut world, Envelope::record(from, Address::every_brain(), &record));
    world.run(Duration::from_secs(5));
    assert_eq!(present_at(&world, 0), 4);
    assert_eq!(world.counter_of(0, &metrics::BRAIN_GREETINGS_SENT), before);
}

#[test]
fn a_host_that_makes_up_peers_causes_few_greetings() {
    let mut world = present_class(2);
    let before = world.counter_of(0, &metrics::BRAIN_GREETINGS_SENT);
    for number in 50..250_u8 {
        let stranger = Keypair::from_seed([number; 32]);
        let item = Item { bucket: PEER.path(), data: Data::new(&stranger.peer_id().to_string()).unwrap() };
        let validity = Validity::starting(world.now().moment.time, 600);
        let statement = Statement::new(Kind::Propose, item, validity).unwrap();
        let record = dcache::Record::sign(statement, &stranger, 1, End::default());
        inject(
            &mut world,
            Envelope::record(Address::brain(stranger.peer_id()), Address::every_brain(), &record),
        );
        world.run(Duration::from_millis(100));
    }
    let greetings = world.counter_of(0, &metrics::BRAIN_GREETINGS_SENT) - before;
    assert!((8..=20).contains(&greetings), "{greetings}");
}
