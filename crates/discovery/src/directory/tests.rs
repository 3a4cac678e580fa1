use super::*;
use crate::Profile;
use crate::protocol::Source;
use dcache::buckets::{ADDRESSES, HOSTNAME, PEER, ROBOT, VERSION};
use dcache::{BucketPath, Data, End, Item, Keypair, Kind, Record, Statement, Validity};
use proptest::prelude::*;
use routing::Address;

const NOW: Time = Time(1_800_000_000);
const MINUTE: u64 = 60;
const DAY: u64 = 86_400;

fn key(number: u32) -> Keypair {
    let mut seed = [7; 32];
    seed[..4].copy_from_slice(&number.to_be_bytes());
    Keypair::from_seed(seed)
}

fn peer(number: u32) -> PeerId {
    key(number).peer_id()
}

/// A set, and the sequence number of its last record.
#[derive(Default)]
struct World {
    set: Set,
    sequence: u64,
}

impl World {
    fn say(&mut self, number: u32, kind: Kind, item: Item, validity: Validity) {
        self.sequence += 1;
        let statement = Statement::new(kind, item, validity).unwrap();
        let record = Record::sign(statement, &key(number), self.sequence, End::default());
        let at = validity.from().unwrap();
        self.set.admit_verified(record, at).unwrap();
    }

    /// States an item at `age` seconds before [`NOW`], as a service does.
    fn state(&mut self, number: u32, bucket: BucketPath, lifetime: u64, data: &str, age: u64) {
        let item = Item { bucket, data: Data::new(data).unwrap() };
        self.say(number, Kind::Propose, item, Validity::stated(Time(NOW.0 - age), lifetime));
    }

    fn is_present(&mut self, number: u32, age: u64) {
        self.state(number, PEER.path(), PEER.lifetime(), &peer(number).to_string(), age);
    }

    fn withdraws(&mut self, number: u32, age: u64) {
        let item = crate::claims::presence(peer(number));
        self.say(number, Kind::Dismiss, item, Validity::stated(Time(NOW.0 - age), PEER.lifetime()));
    }

    fn is_called(&mut self, number: u32, name: &str, age: u64) {
        self.state(number, HOSTNAME.of(peer(number)), HOSTNAME.lifetime(), name, age);
    }

    fn listens(&mut self, number: u32, address: &str) {
        let address =
            Address::tcp_line(address.parse().unwrap()).then(&Address::brain(peer(number))).unwrap();
        self.state(number, ADDRESSES.of(peer(number)), ADDRESSES.lifetime(), address.as_str(), 0);
    }

    /// States an address `stated` seconds before [`NOW`], and withdraws it `left` seconds before [`NOW`].
    fn listened(&mut self, number: u32, address: &str, stated: u64, left: u64) {
        let (bucket, lifetime) = (ADDRESSES.of(peer(number)), ADDRESSES.lifetime());
        let line = Address::tcp_line(address.parse().unwrap()).then(&Address::brain(peer(number))).unwrap();
        self.state(number, bucket.clone(), lifetime, line.as_str(), stated);
        let item = Item { bucket, data: Data::new(line.as_str()).unwrap() };
        let rest = lifetime - (stated - left);
        self.say(number, Kind::Dismiss, item, Validity::stated(Time(NOW.0 - left), rest));
    }

    fn has_profile(&mut self, number: u32, profile: &Profile, age: u64) {
        let data = profile.to_data().unwrap();
        self.state(number, ROBOT.of(peer(number)), ROBOT.lifetime(), data.as_str(), age);
    }

    fn rows(&self, sightings: Vec<Sighting>, foreign: Vec<ForeignRobot>) -> Vec<Robot> {
        rows(&self.set, NOW, &Surroundings { me: peer(0), is_copied: false, sightings, foreign })
    }

    fn row(&self, number: u32, sightings: Vec<Sighting>) -> Option<Robot> {
        row_of(self.rows(sightings, Vec::new()), number)
    }

    fn place(&self, number: u32, sightings: Vec<Sighting>) -> Option<Place> {
        self.row(number, sightings).map(|row| row.place)
    }
}

fn row_of(rows: Vec<Robot>, number: u32) -> Option<Robot> {
    rows.into_iter().find(|row| row.peer == Some(peer(number)))
}

fn seen(number: u32, age: u64, is_on_network: bool) -> Sighting {
    let channel = if is_on_network { "eth0" } else { "irc" };
    let address = is_on_network.then(|| format!("10.0.0.{number}:1240").parse().unwrap());
    let age = Duration::from_secs(age);
    Sighting { peer: peer(number), channel: channel.to_owned(), is_on_network, address, age }
}

fn foreign(name: &str, address: Option<&str>, age: u64, is_by_ping: bool) -> ForeignRobot {
    ForeignRobot {
        name: name.to_owned(),
        robot_type: Some("duckiebot".to_owned()),
        status: (!is_by_ping).then(|| "Ready".to_owned()),
        address: address.map(|address| address.parse().unwrap()),
        is_by_ping,
        age: Duration::from_secs(age),
        ..ForeignRobot::default()
    }
}

fn value(fact: &Option<crate::protocol::Fact>) -> Option<&str> {
    fact.as_ref().map(|fact| fact.value.as_str())
}

#[test]
fn a_row_shows_what_a_robot_states_with_ages_that_count_from_the_signing() {
    let mut world = World::default();
    let profile = |boot: &str| Profile {
        boot: Some(boot.to_owned()),
        configuration: Some("DB21J".to_owned()),
        ..Profile::default()
    };
    world.is_present(1, 120);
    world.is_called(1, "duckie1", DAY);
    world.state(1, VERSION.of(peer(1)), VERSION.lifetime(), "1.2", 7);
    world.has_profile(1, &profile("new"), 10);
    world.has_profile(1, &profile("old"), DAY);
    world.listens(1, "10.0.0.1:8000");
    let row = world.row(1, vec![seen(1, 3, false), seen(1, 2, true)]).unwrap();
    assert_eq!((value(&row.name), row.name.as_ref().unwrap().age_seconds), (Some("duckie1"), DAY));
    assert_eq!((value(&row.version), row.version.as_ref().unwrap().age_seconds), (Some("1.2"), 7));
    assert_eq!((value(&row.boot), value(&row.configuration)), (Some("new"), Some("DB21J")));
    let address = row.addresses[0].value.as_str();
    assert!(address.starts_with("/ip4/10.0.0.1/tcp/8000/dswarm-line"), "{address}");
    let heard: Vec<(&str, u64)> =
        row.heard.iter().map(|heard| (heard.channel.as_str(), heard.age_seconds)).collect();
    assert_eq!(heard, [("eth0", 2), ("irc", 3)], "the latest first");
    assert_eq!(row.place, Place::Here);
    assert!(!row.is_copied && !row.is_me && !row.shares_name);
}

#[test]
fn this_robot_is_always_in_the_table_and_comes_first() {
    let mut world = World::default();
    world.is_called(1, "a", 0);
    world.is_present(1, 0);
    let rows = world.rows(vec![seen(1, 0, true)], Vec::new());
    assert_eq!(rows.len(), 2);
    assert!(rows[0].is_me && rows[0].place == Place::Here && rows[0].peer == Some(peer(0)));
}

#[test]
fn a_present_robot_is_here_only_if_it_was_heard_on_a_network() {
    let mut world = World::default();
    world.is_present(1, 100);
    assert_eq!(world.place(1, vec![]), Some(Place::Elsewhere));
    assert_eq!(world.place(1, vec![seen(1, 5, false)]), Some(Place::Elsewhere));
    assert_eq!(world.place(1, vec![seen(1, 5 * MINUTE, true)]), Some(Place::Here));
    assert_eq!(world.place(1, vec![seen(1, 7 * MINUTE, true)]), Some(Place::Elsewhere), "it has moved");
}

#[test]
fn a_robot_whose_presence_is_over_is_away_unless_it_was_heard_since() {
    let mut world = World::default();
    world.is_called(1, "duckie1", 3 * DAY);
    world.is_present(1, 11 * MINUTE);
    assert_eq!(world.place(1, vec![]), Some(Place::Away));
    assert_eq!(world.place(1, vec![seen(1, 2 * MINUTE, true)]), Some(Place::Away), "heard before the end");
    assert_eq!(world.place(1, vec![seen(1, 30, true)]), Some(Place::Here));
    assert_eq!(world.place(1, vec![seen(1, 30, false)]), Some(Place::Elsewhere));
    // A robot without a record of its presence, because its clock is wrong.
    assert_eq!(world.place(2, vec![seen(2, 3 * MINUTE, true)]), Some(Place::Here));
    assert_eq!(world.place(2, vec![seen(2, 5 * MINUTE, true)]), Some(Place::Away));
    assert_eq!(world.place(2, vec![seen(2, 6 * DAY, true)]), None, "it was not heard for days");
}

#[test]
fn a_robot_that_withdrew_its_presence_is_away_at_once_and_back_at_once() {
    let mut world = World::default();
    world.is_called(1, "duckie1", 0);
    world.is_present(1, 100);
    world.withdraws(1, 2);
    assert_eq!(world.place(1, vec![seen(1, 2, true)]), Some(Place::Away));
    world.is_present(1, 0);
    assert_eq!(world.place(1, vec![seen(1, 0, true)]), Some(Place::Here));
}

#[test]
fn robots_of_the_same_name_are_marked() {
    let mut world = World::default();
    for (number, name) in [(1, "entebot208"), (2, "ENTEbot208"), (3, "other")] {
        world.is_present(number, 0);
        world.is_called(number, name, 0);
    }
    let shares = |rows: Vec<Robot>, number| row_of(rows, number).unwrap().shares_name;
    let rows = || world.rows(vec![], vec![]);
    assert!(shares(rows(), 1) && shares(rows(), 2) && !shares(rows(), 3));
    let with_foreign = world.rows(vec![], vec![foreign("other", Some("10.0.0.99"), 1, true)]);
    assert!(shares(with_foreign, 3), "a robot without dt-swarm has the name, at another address");
}

#[test]
fn a_foreign_robot_is_merged_only_with_the_robot_of_its_name_at_its_address() {
    let mut world = World::default();
    world.is_present(1, 0);
    world.is_called(1, "duckie1", 0);
    let merged = world.rows(vec![seen(1, 9, true)], vec![foreign("Duckie1", Some("10.0.0.1"), 4, false)]);
    let row = row_of(merged.clone(), 1).unwrap();
    assert_eq!(merged.len(), 2, "this robot and the merged one");
    assert_eq!((value(&row.name), value(&row.status)), (Some("duckie1"), Some("Ready")));
    assert_eq!(row.robot_type.as_ref().unwrap().source, Source::DnsSd);
    assert_eq!(row.heard[0].channel, "dns-sd");
    assert!(!row.shares_name);
    for address in [Some("10.0.0.2"), None] {
        let apart = world.rows(vec![seen(1, 9, true)], vec![foreign("duckie1", address, 4, false)]);
        assert_eq!(apart.len(), 3);
        assert!(apart.iter().filter(|row| row.shares_name).count() == 2);
    }
    world.listens(1, "10.0.0.2:8000");
    assert_eq!(world.rows(vec![], vec![foreign("duckie1", Some("10.0.0.2"), 4, true)]).len(), 2);
}

#[test]
fn a_robot_whose_address_changes_is_one_row_that_shows_where_it_was_before() {
    let mut world = World::default();
    world.is_present(1, 0);
    world.is_called(1, "duckie1", 400);
    world.listened(1, "10.0.0.7:8000", 400, 200);
    world.listened(1, "10.0.0.8:8000", 200, 100);
    world.listens(1, "10.0.0.1:8000");
    let at = |address, age, is_by_ping| foreign("duckie1", Some(address), age, is_by_ping);
    let before = vec![at("10.0.0.7", 210, true), at("10.0.0.8", 110, true), at("10.0.0.7", 250, false)];
    let rows = world.rows(vec![seen(1, 3, true)], before);
    assert_eq!(rows.len(), 2, "this robot and the other one: {rows:#?}");
    let row = row_of(rows, 1).unwrap();
    let heard: Vec<_> = row.heard.iter().map(|heard| (heard.address.as_deref(), heard.age_seconds)).collect();
    let [first, second] = [Some("10.0.0.8"), Some("10.0.0.7")];
    assert_eq!(heard, [(Some("10.0.0.1:1240"), 3), (first, 110), (second, 210), (second, 250)]);
    assert_eq!((row.shares_name, row.addresses.len()), (false, 1));
    // Clocks differ a little, but whoever was heard there later is another robot.
    assert_eq!(world.rows(vec![], vec![at("10.0.0.7", 145, true)]).len(), 2);
    let other = world.rows(vec![], vec![at("10.0.0.7", 120, true)]);
    assert!(other.len() == 3 && other.iter().filter(|row| row.shares_name).count() == 2, "{other:#?}");
    // Another name, or an address that the robot never stated, is another robot as well.
    assert_eq!(world.rows(vec![], vec![foreign("duckie2", Some("10.0.0.7"), 210, true)]).len(), 3);
    assert_eq!(world.rows(vec![], vec![at("10.0.0.9", 210, true)]).len(), 3);
}

#[test]
fn facts_of_a_foreign_robot_by_dns_sd_and_by_ping_are_one_row() {
    let world = World::default();
    let both = vec![foreign("old", Some("10.0.0.5"), 70, false), foreign("old", Some("10.0.0.5"), 4, true)];
    let rows = world.rows(vec![], both);
    assert_eq!(rows.len(), 2);
    assert_eq!((rows[1].place, value(&rows[1].status), rows[1].heard.len()), (Place::Here, Some("Ready"), 2));
    let gone = world.rows(vec![], vec![foreign("old", None, 11 * MINUTE, false)]);
    assert_eq!(gone[1].place, Place::Away);
}

#[test]
fn one_key_on_two_devices_is_marked_as_copied() {
    let mut world = World::default();
    let profile = |device: &str, boot: &str| Profile {
        device: Some(device.to_owned()),
        boot: Some(boot.to_owned()),
        ..Profile::default()
    };
    world.is_present(1, 0);
    world.has_profile(1, &profile("00044be5a1b2", "one"), 50);
    world.has_profile(1, &profile("00044be5a1b2", "two"), 20);
    assert!(!world.row(1, vec![]).unwrap().is_copied, "a new boot is no other device");
    world.has_profile(1, &profile("00044be5ffff", "three"), 10);
    assert!(world.row(1, vec![]).unwrap().is_copied);
    let tagged = |tag: &str| Profile { host: Some(tag.to_owned()), ..Profile::default() };
    world.is_present(2, 0);
    world.has_profile(2, &tagged("5f0c6a1e9b7d2438"), 50);
    world.has_profile(2, &profile("00044be5a1b2", "one"), 20);
    assert!(!world.row(2, vec![]).unwrap().is_copied, "a robot that joined a swarm states its device ID");
    world.has_profile(2, &tagged("0000000000000000"), 10);
    assert!(world.row(2, vec![]).unwrap().is_copied, "two tags are two devices");
}

#[test]
fn a_statement_from_a_clock_that_is_hours_ahead_does_not_hide_a_robot_that_is_heard() {
    let mut world = World::default();
    let item = crate::claims::presence(peer(1));
    world.say(1, Kind::Propose, item, Validity::stated(NOW.plus(2 * 3600), PEER.lifetime()));
    assert_eq!(world.place(1, vec![seen(1, 1, true)]), Some(Place::Here));
}

/// Returns a set with robots 1 to `count`, each with all facts.
fn fleet(count: u32) -> World {
    let limits = dcache::Limits::default();
    let policy = dcache::Policy::default();
    let mut world = World { set: Set::new(policy, limits), sequence: 0 };
    for number in 1..=count {
        let profile = Profile {
            boot: Some(format!("{number:016x}")),
            configuration: Some("DB21J".to_owned()),
            device: Some(format!("{number:012x}")),
            distro: Some("ente".to_owned()),
            hardware: Some("jetson_nano".to_owned()),
            robot_type: Some("duckiebot".to_owned()),
            ..Profile::default()
        };
        world.is_present(number, u64::from(number % 300));
        world.is_called(number, &format!("duckie{number}"), 60);
        world.state(number, VERSION.of(peer(number)), VERSION.lifetime(), "1.2.3", 60);
        world.has_profile(number, &profile, 60);
        world.listens(number, &format!("10.{}.{}.1:8000", number / 250, number % 250));
    }
    world
}

#[test]
fn five_thousand_robots_have_a_row_each() {
    let world = fleet(5000);
    let sightings = (1..=200).map(|number| seen(number, 1, true)).collect();
    let rows = world.rows(sightings, vec![]);
    assert_eq!(rows.len(), 5001);
    assert_eq!(rows.iter().filter(|row| row.place == Place::Here).count(), 201);
    let peers: std::collections::BTreeSet<_> = rows.iter().filter_map(|row| row.peer).collect();
    assert_eq!(peers.len(), 5001);
    assert!(rows.is_sorted_by_key(|row| (!row.is_me, place_order(row.place))));
}

/// A fact of a random world.
#[derive(Clone, Debug)]
enum Event {
    Present { number: u32, age: u64 },
    Withdrawn { number: u32, age: u64 },
    Named { number: u32, name: u8, age: u64 },
    Listens { number: u32, host: u8 },
    Profile { number: u32, device: u8, age: u64 },
    Seen { number: u32, age: u64, is_on_network: bool },
    Foreign { name: u8, host: Option<u8>, age: u64, is_by_ping: bool },
}

fn event() -> impl Strategy<Value = Event> {
    let (number, age, name) = (0..6u32, 0..1500u64, 0..4u8);
    prop_oneof![
        (number.clone(), age.clone()).prop_map(|(number, age)| Event::Present { number, age }),
        (number.clone(), 0..600u64).prop_map(|(number, age)| Event::Withdrawn { number, age }),
        (number.clone(), name.clone(), age.clone()).prop_map(|(number, name, age)| Event::Named {
            number,
            name,
            age
        }),
        (number.clone(), 0..6u8).prop_map(|(number, host)| Event::Listens { number, host }),
        (number.clone(), 0..3u8, age.clone()).prop_map(|(number, device, age)| Event::Profile {
            number,
            device,
            age
        }),
        (number, age.clone(), any::<bool>()).prop_map(|(number, age, is_on_network)| Event::Seen {
            number,
            age,
            is_on_network
        }),
        (name, proptest::option::of(0..6u8), age, any::<bool>())
            .prop_map(|(name, host, age, is_by_ping)| Event::Foreign { name, host, age, is_by_ping }),
    ]
}

/// Returns the table of a random world whose facts come in this order.
fn table(events: &[Event]) -> (World, Vec<Sighting>, Vec<Robot>) {
    let (mut world, mut sightings, mut others) = (World::default(), Vec::new(), Vec::new());
    for event in events {
        match event.clone() {
            Event::Present { number, age } => world.is_present(number, age),
            Event::Withdrawn { number, age } => world.withdraws(number, age),
            Event::Named { number, name, age } => world.is_called(number, &format!("duckie{name}"), age),
            Event::Listens { number, host } => world.listens(number, &format!("10.0.0.{host}:8000")),
            Event::Profile { number, device, age } => {
                let device = Some(format!("{device:012}"));
                world.has_profile(number, &Profile { device, ..Profile::default() }, age);
            }
            Event::Seen { number, age, is_on_network } => sightings.push(seen(number, age, is_on_network)),
            Event::Foreign { name, host, age, is_by_ping } => {
                let host = host.map(|host| format!("10.0.0.{host}"));
                others.push(foreign(&format!("duckie{name}"), host.as_deref(), age, is_by_ping));
            }
        }
    }
    // Expired records are dropped, as in the daemon.
    world.set.advance(dcache::Moment::certain(NOW));
    let rows = world.rows(sightings.clone(), others);
    (world, sightings, rows)
}

proptest! {
    #[test]
    fn the_table_does_not_depend_on_the_order_of_sightings_and_foreign_robots(
        events in proptest::collection::vec(event(), 0..40),
    ) {
        let is_around = |event: &Event| matches!(event, Event::Seen { .. } | Event::Foreign { .. });
        let (around, records): (Vec<Event>, Vec<Event>) = events.into_iter().partition(is_around);
        let forward: Vec<Event> = records.iter().chain(&around).cloned().collect();
        let backward: Vec<Event> = records.iter().chain(around.iter().rev()).cloned().collect();
        prop_assert_eq!(table(&forward).2, table(&backward).2);
    }

    #[test]
    fn every_present_peer_is_in_the_table_once_and_no_other_peer_is_shown_as_present(
        events in proptest::collection::vec(event(), 0..40),
    ) {
        let (world, sightings, rows) = table(&events);
        for number in 0..6 {
            let row: Vec<&Robot> = rows.iter().filter(|row| row.peer == Some(peer(number))).collect();
            prop_assert!(row.len() <= 1);
            let is_present = world.set.item(&crate::claims::presence(peer(number)), NOW).is_some();
            prop_assert!(row.len() == 1 || !is_present && number != 0);
            let Some(row) = row.first().filter(|row| !row.is_me) else { continue };
            if is_present {
                prop_assert!(row.place != Place::Away);
            } else if row.place != Place::Away {
                let heard = |seen: &Sighting| seen.peer == peer(number) && seen.age <= HEARD_LATELY;
                let is_merged = row.heard.iter().any(|heard| heard.age_seconds <= HEARD_LATELY.as_secs());
                prop_assert!(sightings.iter().any(heard) || is_merged);
            }
        }
        prop_assert_eq!(rows.iter().filter(|row| row.is_me).count(), 1);
    }
}
