//! Networks on which some hosts hear only broadcasts, and others only multicasts.

use super::*;

/// Runs a class for a minute in which all nodes hold the same records. Returns how many beacons each node sent.
fn beacons_in_a_minute(world: &mut World) -> Vec<u64> {
    let sent = |world: &World| -> Vec<u64> {
        (0..world.nodes.len()).map(|node| world.counter_of(node, &metrics::BRAIN_BEACONS_SENT)).collect()
    };
    world.run(Duration::from_secs(60));
    let before = sent(world);
    world.run(Duration::from_secs(60));
    sent(world).iter().zip(before).map(|(after, before)| after - before).collect()
}

#[test]
fn a_beacon_that_some_nodes_do_not_hear_does_not_silence_the_others() {
    let mut world = class(4, 0.0);
    let healthy: u64 = beacons_in_a_minute(&mut world).iter().sum();
    println!("beacons of all nodes in a minute where all hear each other: {healthy}");
    // Nodes 0 and 1 hear all and reach all. Node 2 hears only broadcasts and node 3 only multicasts, and they send what
    // they hear.
    let mut world = class(4, 0.0);
    world.audience = [(2, [0, 1].into()), (3, [0, 1].into())].into();
    let sent = beacons_in_a_minute(&mut world);
    println!("beacons of each node where two reach only some: {sent:?}");
    let reaching_all = sent[0] + sent[1];
    assert!(reaching_all >= 30, "nodes 2 and 3 hear a beacon every two seconds: {sent:?}");
    assert!(sent.iter().sum::<u64>() < 3 * healthy, "others are still suppressed: {sent:?}");
}
