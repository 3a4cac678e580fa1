//! Tests of the limits on the work and the records that one peer may cause.

use super::*;

/// Returns a request with as many hostile patterns as are accepted.
fn hostile_request() -> Envelope {
    let pattern = "*a".repeat(127) + "b";
    let payload = Message::req(&[pattern.as_str(); 8], Validity::ALWAYS);
    Envelope { payload, ..line_from(liar(), liars_host()) }
}

/// Number of new records of strangers that a node admits at once, and in each four seconds.
const OF_STRANGERS: u64 = 64;

/// Makes node 0 hold records of strangers in `number` buckets.
fn many_buckets(world: &mut World, number: u64) {
    for sequence in 0..number {
        let stranger = Keypair::from_seed([98 + (sequence / OF_STRANGERS) as u8; 32]);
        if sequence > 0 && sequence % OF_STRANGERS == 0 {
            world.elapsed += Duration::from_secs(4);
        }
        let bucket = format!("share/{}/{sequence}", "a".repeat(60)).parse().unwrap();
        let item = Item { bucket, data: Data::new("x").unwrap() };
        let validity = Validity::starting(world.now().moment.time, 3600);
        let statement = Statement::new(Kind::Propose, item, validity).unwrap();
        let record = dcache::Record::sign(statement, &stranger, sequence + 1, End::default());
        hears(
            world,
            network_channel(1),
            Some(host(1, 5)),
            Envelope {
                payload: record.statement().payload().into_owned(),
                signatures: vec![*record.signature()],
                ..line_from(stranger.peer_id(), host(1, 5))
            },
        );
    }
}

#[test]
fn hostile_patterns_are_matched_with_a_few_buckets_at_a_time() {
    let mut world = class(1, 0.0);
    many_buckets(&mut world, 200);
    comes_up(&mut world, None);
    hears(&mut world, LINK, None, hostile_request());
    assert!(sent(&world, LINK).is_empty(), "a pong would say that the search is complete");
    // Another input is handled between any two parts of the search.
    let (mut wakes, begun) = (0, world.elapsed);
    let mut last = begun;
    while sent(&world, LINK).is_empty() {
        world.elapsed = world.nodes[0].brain.next_wake().max(last);
        assert!(world.elapsed > last, "the search leaves time for other inputs");
        last = world.elapsed;
        world.input(0, Input::Tick);
        wakes += 1;
    }
    assert!((190..2000).contains(&wakes), "{wakes}");
    // Searches take at most a fifth of the time.
    let took = world.elapsed - begun;
    assert!(took > Duration::from_secs(5), "{took:?}");
}

/// Opens a further link of node 0, on which a program sends a request.
fn asks(world: &mut World, number: u64, is_here: bool, request: Envelope) -> ChannelId {
    let (channel, medium) = (ChannelId(100 + number), Medium::Link { dialled: None, is_kept: false });
    world.input(0, Input::Channel(ChannelEvent::Up { channel, medium }));
    if is_here {
        world.input(0, Input::Channel(ChannelEvent::Local { channel }));
    }
    hears(world, channel, None, request);
    channel
}

#[test]
fn short_requests_and_those_of_this_computer_do_not_wait_for_costly_ones() {
    let mut world = class(1, 0.0);
    many_buckets(&mut world, 200);
    let costly: Vec<_> = (0..40).map(|link| asks(&mut world, link, false, hostile_request())).collect();
    world.run(Duration::from_secs(1));
    let payload = Message::req(&["peer"], Validity::ALWAYS);
    let short = Envelope { payload, ..line_from(liar(), liars_host()) };
    let short = asks(&mut world, 50, false, short);
    let here = asks(&mut world, 51, true, hostile_request());
    world.run(Duration::from_secs(1));
    assert!(!sent(&world, short).is_empty(), "the short request is answered");
    world.run(Duration::from_secs(20));
    assert!(!sent(&world, here).is_empty(), "the request of this computer is answered");
    assert!(
        costly.iter().all(|link| sent(&world, *link).is_empty()),
        "the costly requests share their limit"
    );
}

#[test]
fn records_in_the_form_of_an_answer_that_nobody_asked_for_have_the_limit_of_news() {
    let mut world = class(1, 0.0);
    comes_up(&mut world, None);
    let before = world.nodes[0].brain.set().len();
    for sequence in 1..=400 {
        let stranger = Keypair::from_seed([50 + (sequence % 4) as u8; 32]);
        let validity = Validity::starting(world.now().moment.time, 3600);
        let statement = Statement::new(Kind::Propose, item(&sequence.to_string()), validity).unwrap();
        let record = dcache::Record::sign(statement, &stranger, sequence, End::default());
        let line = line_from(stranger.peer_id(), host(1, 5));
        hears(&mut world, LINK, None, Envelope { records: vec![routing::Carried::from(&record)], ..line });
    }
    let taken = (world.nodes[0].brain.set().len() - before) as u64;
    // Each of the four signers has a reserve of 8 records.
    assert!((OF_STRANGERS..=OF_STRANGERS + 4 * 8).contains(&taken), "{taken}");
}

#[test]
fn patterns_in_a_datagram_are_not_looked_at() {
    let mut world = class(1, 0.0);
    let payload = Message::req(&["["; 100], Validity::ALWAYS);
    let before = world.counter_of(0, &metrics::BRAIN_REQUESTS_ANSWERED);
    hears(&mut world, network_channel(1), Some(liars_host()), Envelope { payload, ..hostile_request() });
    assert_eq!(
        world.counter_of(0, &metrics::BRAIN_REQUESTS_ANSWERED),
        before + 1,
        "the whole answer is a pong"
    );
    assert_eq!(world.counter_of(0, &metrics::BRAIN_MESSAGES_REFUSED_MALFORMED), 0);
}

#[test]
fn a_new_request_on_a_link_ends_the_search_of_the_one_before() {
    let mut world = class(1, 0.0);
    many_buckets(&mut world, 50);
    comes_up(&mut world, None);
    hears(&mut world, LINK, None, hostile_request());
    let all = Envelope { payload: Message::req(&["*"], Validity::ALWAYS), ..line_from(liar(), liars_host()) };
    hears(&mut world, LINK, None, all);
    world.run(Duration::from_secs(10));
    assert_eq!(sent(&world, LINK).len(), 51, "each record is sent once, and one pong");
}

#[test]
fn beacons_on_a_link_have_a_budget_and_none_costs_a_walk_through_the_set() {
    let mut world = class(1, 0.0);
    world.propose(0, "file");
    comes_up(&mut world, None);
    let show = |world: &mut World, bound: Time| {
        let beacon = Some(Beacon { bound, fingerprint: Fingerprint { count: 5, sum: 7 } });
        hears(world, LINK, None, Envelope { beacon, ..line_from(liar(), liars_host()) });
    };
    let near = bound(&world);
    for n in 0..1000 {
        show(&mut world, Time(near.0 + 30 * n));
    }
    let refused = |world: &World, metric| world.counter_of(0, metric);
    assert!(refused(&world, &metrics::BRAIN_BEACONS_REFUSED_OVER_BUDGET) >= 900);
    world.elapsed += Duration::from_secs(60);
    show(&mut world, Time(near.0 + 31));
    assert_eq!(refused(&world, &metrics::BRAIN_BEACONS_REFUSED_ODD_BOUND), 1);
}

/// Returns a line with a record of the liar about one of ten items.
fn renewal(world: &World, sequence: u64) -> Envelope {
    let validity = Validity::starting(world.now().moment.time, 3600);
    let statement = Statement::new(Kind::Propose, item(&format!("same{}", sequence % 10)), validity).unwrap();
    let record = dcache::Record::sign(statement, &Keypair::from_seed([99; 32]), sequence, End::default());
    Envelope::record(Address::brain(liar()), Address::every_brain(), &record)
}

fn admitted(world: &World, node: usize, of: PeerId) -> usize {
    let is_of = |output: &&Output| matches!(output, Output::Admitted { record, .. } if record.signer() == of);
    world.nodes[node].outputs.iter().filter(is_of).count()
}

#[test]
fn a_key_that_floods_renewals_is_stored_and_passed_on_at_its_rate() {
    let mut world = class(3, 0.0);
    comes_up(&mut world, None);
    for sequence in 1..=23_000 {
        let line = renewal(&world, sequence);
        hears(&mut world, LINK, None, line);
        if sequence == 20_000 {
            world.propose(1, "honest");
        }
        world.run(Duration::from_millis(1));
    }
    for node in 0..3 {
        let taken = admitted(&world, node, liar());
        assert!(taken < 500, "node {node} took {taken}");
    }
    assert!(world.all_know("honest"));
    world.run(Duration::from_secs(60));
    for node in &world.nodes {
        assert_eq!(node.brain.set().latest_sequence(liar()), 23_000, "the latest record arrives");
    }
}

/// Makes forty names of one host show a node records that no node holds.
fn forty_names_show(world: &mut World, node: usize, count: u64) {
    let bound = bound(world);
    for name in 0..40 {
        let peer = Keypair::from_seed([100 + name; 32]).peer_id();
        let beacon = Some(Beacon { bound, fingerprint: Fingerprint { count, sum: u128::from(name) } });
        let envelope = Envelope { beacon, ..line_from(peer, liars_host()) };
        let (channel, source) = (network_channel(1), Some(liars_host()));
        world.input(
            node,
            Input::Channel(ChannelEvent::Received { channel, source, envelope, bytes: 0, reaches_all: true }),
        );
    }
}

#[test]
fn a_host_with_forty_names_that_gives_few_records_delays_no_other() {
    let mut world = World::new(0.0);
    world.liars.insert(liars_host());
    for _ in 0..2 {
        world.add();
    }
    for n in 0..1545 {
        world.propose(1, &format!("file{n}"));
    }
    world.join(0, 1);
    world.join(1, 1);
    // The nodes do not hear each other until both compare with the liar.
    world.deaf.insert(1);
    let mut sequence = 0;
    for step in 0..500 {
        (0..2).for_each(|node| forty_names_show(&mut world, node, 9000 + step));
        if step == 50 {
            assert!((0..2).all(|node| world.liars_links.iter().any(|(of, _)| *of == node)));
            world.deaf.clear();
        }
        // One record in eight seconds on each link keeps the comparison going.
        if step % 80 == 79 {
            for (node, channel) in world.liars_links.clone() {
                sequence += 10;
                let envelope = renewal(&world, sequence);
                let event =
                    ChannelEvent::Received { channel, source: None, envelope, bytes: 0, reaches_all: true };
                world.input(node, Input::Channel(event));
            }
        }
        world.run(Duration::from_millis(100));
    }
    assert!((0..1545).all(|n| world.knows(0, &format!("file{n}"))), "{}", world.nodes[0].brain.set().len());
}

#[test]
fn a_comparison_that_brings_few_records_is_ended_and_its_peer_avoided() {
    let mut world = class(1, 0.0);
    linked_with_the_liar(&mut world, 5000);
    let begun = world.elapsed;
    let closes = Output::Channel(ChannelCommand::Close { channel: LINK });
    let mut sequence = 0;
    while !world.nodes[0].outputs.contains(&closes) {
        assert!(world.elapsed - begun < Duration::from_secs(30), "the comparison is not ended");
        sequence += 1;
        let line = renewal(&world, sequence);
        hears(&mut world, LINK, None, line);
        world.run(Duration::from_secs(2));
    }
    let started = world.counter_of(0, &metrics::BRAIN_COMPARISONS_STARTED);
    shows(&mut world, 5000);
    world.run(Duration::from_secs(2));
    assert_eq!(
        world.counter_of(0, &metrics::BRAIN_COMPARISONS_STARTED),
        started,
        "the comparison was cut off, so the node backs off"
    );
}
