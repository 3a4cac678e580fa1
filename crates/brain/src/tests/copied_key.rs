//! Two hosts with one key, as after an SD card was copied.

use super::*;
use dcache::PeerId;

/// Returns two nodes with the same key on one network.
fn with_one_key() -> (World, PeerId) {
    let mut world = World::new(0.0);
    for node in 0..2 {
        world.add();
        world.nodes[node].key = Keypair::from_seed([1; 32]);
        let me = world.nodes[node].key.peer_id();
        world.nodes[node].brain = Brain::new(me, Set::default(), Settings::default(), "test", node as u64);
        world.join(node, 1);
    }
    let me = world.nodes[0].key.peer_id();
    (world, me)
}

#[test]
fn each_host_takes_the_records_that_the_other_signs() {
    let (mut world, _) = with_one_key();
    world.run(Duration::from_secs(1));
    world.propose(0, "said by one");
    world.propose(1, "said by the other");
    world.run(Duration::from_secs(1));
    assert!(world.all_know("said by one") && world.all_know("said by the other"));
    let told = world.nodes[0].outputs.iter().filter(|output| matches!(output, Output::Admitted { .. }));
    assert_eq!(told.count(), 2, "its own record, heard again, is not new");
}

#[test]
fn no_other_record_is_taken_from_a_line_in_the_own_name() {
    let (mut world, me) = with_one_key();
    world.run(Duration::from_secs(1));
    let stranger = Keypair::from_seed([99; 32]);
    let validity = Validity::starting(world.now().moment.time, 3600);
    let statement = Statement::new(Kind::Propose, item("of a stranger"), validity).unwrap();
    let record = dcache::Record::sign(statement, &stranger, 1, End::default());
    inject(&mut world, Envelope::record(Address::brain(me), Address::every_brain(), &record));
    assert!(!world.knows(0, "of a stranger"));
    inject(&mut world, Envelope::record(Address::brain(stranger.peer_id()), Address::every_brain(), &record));
    assert!(world.knows(0, "of a stranger"));
}
