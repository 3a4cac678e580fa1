use super::*;
use crate::allowance::{BURST, PER_SECONDS};
use crate::health::rules::by_code;
use dcache::{Keypair, Record};
use proptest::prelude::*;

const NOW: Time = Time(1_800_000_000);

fn key() -> Keypair {
    Keypair::from_seed([1; 32])
}

/// A report with one finding, or none for the level OK.
fn report(level: Level, label: &str, value: f64) -> Report {
    let rule = by_code("temperature.high").unwrap();
    let findings = (level != Level::Ok).then(|| rule.finding(level, label, value));
    Report { level, findings: findings.into_iter().collect() }
}

/// A host with its set of records.
struct Host {
    announcer: HealthAnnouncer,
    set: Set,
    /// Number of statements.
    all: usize,
}

impl Host {
    fn new() -> Self {
        Self { announcer: HealthAnnouncer::new(key().peer_id()), set: Set::default(), all: 0 }
    }

    /// Decides and publishes, as the daemon does. Returns the time of the next decision.
    fn decide(&mut self, now: Moment) -> Option<Time> {
        let me = key().peer_id();
        let mut decision = self.announcer.decide(&self.set, now);
        decision.statements.keep_worthwhile(&self.set, me, now);
        for statement in decision.statements.into_signable().unwrap() {
            let former = self.set.get(&Key { item: statement.item().clone(), signer: me }).map(Record::keep);
            let sequence = self.set.latest_sequence(me) + 1;
            let record = Record::sign(statement, &key(), sequence, former.unwrap_or_default());
            self.all += 1;
            self.set.admit_verified(record, now.time).unwrap();
        }
        decision.wake
    }

    fn at(&mut self, now: Time) -> Option<Time> {
        self.decide(Moment::certain(now))
    }

    /// Returns what others read at a time.
    fn read(&self, now: Time) -> Vec<(Level, Vec<String>)> {
        let views = self.set.bucket(&HEALTH.of(key().peer_id()), now);
        let read = views.map(|view| StatedHealth::from_data(&view.item.data).unwrap());
        read.map(|read| (read.level, read.findings.into_iter().map(|found| found.label).collect())).collect()
    }

    fn levels(&self, now: Time) -> Vec<Level> {
        self.read(now).into_iter().map(|(level, _)| level).collect()
    }
}

#[test]
fn a_health_is_stated_when_it_is_known_and_renewed_at_half_of_its_lifetime() {
    let mut host = Host::new();
    assert_eq!(host.at(NOW), None, "nothing is known");
    assert!(host.announcer.set_health(&Report::default()));
    assert_eq!(host.at(NOW), Some(NOW.plus(300)));
    assert_eq!((host.levels(NOW), host.all), (vec![Level::Ok], 1));
    host.at(NOW.plus(299));
    assert_eq!(host.all, 1);
    assert_eq!(host.at(NOW.plus(300)), Some(NOW.plus(600)));
    assert_eq!((host.levels(NOW.plus(899)), host.all), (vec![Level::Ok], 2));
}

#[test]
fn a_new_level_replaces_the_former_one_at_once() {
    let mut host = Host::new();
    for (level, later) in [(Level::Ok, 0), (Level::Error, 1), (Level::Warn, 2), (Level::Ok, 3)] {
        let now = NOW.plus(later);
        assert!(host.announcer.set_health(&report(level, "cpu", 91.0)));
        host.at(now);
        assert_eq!(host.levels(now), [level]);
    }
}

#[test]
fn a_value_that_changes_alone_is_not_stated() {
    let mut host = Host::new();
    assert!(host.announcer.set_health(&report(Level::Error, "cpu", 91.0)));
    host.at(NOW);
    assert!(!host.announcer.set_health(&report(Level::Error, "cpu", 95.0)));
    host.at(NOW.plus(1));
    assert_eq!(host.all, 1);
}

#[test]
fn another_finding_of_the_same_level_is_stated_after_a_pause() {
    let mut host = Host::new();
    host.announcer.set_health(&report(Level::Warn, "cpu", 81.0));
    host.at(NOW);
    host.announcer.set_health(&report(Level::Warn, "gpu", 81.0));
    assert_eq!(host.at(NOW.plus(1)), Some(NOW.plus(DETAIL_PAUSE)));
    assert_eq!(host.read(NOW.plus(1)), [(Level::Warn, vec!["cpu".to_owned()])]);
    host.at(NOW.plus(DETAIL_PAUSE));
    assert_eq!(host.read(NOW.plus(DETAIL_PAUSE)), [(Level::Warn, vec!["gpu".to_owned()])]);
}

#[test]
fn after_a_restart_the_same_health_is_not_stated_again() {
    let mut host = Host::new();
    host.announcer.set_health(&report(Level::Warn, "cpu", 81.0));
    host.at(NOW);
    host.announcer = HealthAnnouncer::new(key().peer_id());
    assert_eq!(host.at(NOW.plus(1)), None, "until the health is known, the former one stays");
    host.announcer.set_health(&report(Level::Warn, "cpu", 85.0));
    assert_eq!((host.at(NOW.plus(2)), host.all), (Some(NOW.plus(300)), 1));
    host.announcer.set_health(&Report::default());
    host.at(NOW.plus(3));
    assert_eq!(host.levels(NOW.plus(3)), [Level::Ok], "the statement of the former run is withdrawn");
}

#[test]
fn a_node_that_stops_withdraws_its_health() {
    let mut host = Host::new();
    host.announcer.set_health(&Report::default());
    host.at(NOW);
    host.announcer.leave();
    assert_eq!(host.at(NOW.plus(9)), None);
    assert!(host.levels(NOW.plus(9)).is_empty());
    let before = host.all;
    host.at(NOW.plus(10));
    assert_eq!(host.all, before, "it is withdrawn once");
}

#[test]
fn a_host_whose_key_was_copied_does_not_withdraw_the_health_of_the_other_host() {
    let (mut one, mut other) = (Host::new(), Host::new());
    one.announcer.set_health(&report(Level::Error, "cpu", 91.0));
    other.announcer.set_health(&Report::default());
    one.at(NOW);
    other.set = one.set.clone();
    other.announcer.set_copied(true);
    other.at(NOW);
    assert_eq!(other.levels(NOW), [Level::Error, Level::Ok]);
    other.announcer.set_health(&report(Level::Warn, "cpu", 81.0));
    other.at(NOW.plus(1));
    assert_eq!(
        other.levels(NOW.plus(1)),
        [Level::Error, Level::Warn],
        "the own former statement is withdrawn"
    );
}

#[test]
fn a_health_holds_by_the_clocks_of_neighbours_that_are_ahead_or_behind() {
    for neighbours in [NOW.plus(7200), Time(NOW.0 - 7200)] {
        let moment = Moment { neighbours, ..Moment::certain(NOW) };
        let mut host = Host::new();
        host.announcer.set_health(&Report::default());
        assert_eq!(host.decide(moment), Some(NOW.plus(300)));
        assert_eq!((host.levels(neighbours), host.levels(NOW)), (vec![Level::Ok], vec![Level::Ok]));
        host.decide(moment);
        assert_eq!(host.all, 1, "a second statement is not needed");
    }
}

/// Generates changes of the health, with the seconds before each.
fn any_changes() -> impl Strategy<Value = Vec<(u64, Level, u8)>> {
    let level = prop_oneof![Just(Level::Ok), Just(Level::Warn), Just(Level::Error)];
    proptest::collection::vec((0..40_u64, level, 0..3_u8), 1..60)
}

/// Decides at every wake until a time.
fn run(host: &mut Host, wake: &mut Option<Time>, until: Time) -> Result<(), TestCaseError> {
    while let Some(time) = wake.filter(|wake| *wake <= until) {
        let next = host.at(time);
        prop_assert!(next.is_none_or(|next| next > time), "each decision asks for a later one");
        *wake = next;
    }
    Ok(())
}

proptest! {
    #[test]
    fn the_last_health_is_stated_soon_and_the_number_of_statements_is_bounded(changes in any_changes()) {
        let (mut host, mut now, mut wake) = (Host::new(), NOW, None);
        for (later, level, label) in &changes {
            now = now.plus(*later);
            run(&mut host, &mut wake, now)?;
            if host.announcer.set_health(&report(*level, &label.to_string(), 91.0)) {
                wake = host.at(now);
            }
            prop_assert!(host.levels(now).len() <= 1, "no former health stays");
        }
        let soon = now.plus(DETAIL_PAUSE.max(PER_SECONDS));
        run(&mut host, &mut wake, soon)?;
        let (_, level, label) = changes[changes.len() - 1];
        let labels = if level == Level::Ok { Vec::new() } else { vec![label.to_string()] };
        prop_assert_eq!(host.read(soon), [(level, labels)]);
        let seconds = soon.since(NOW);
        // Each new health withdraws the former one.
        let most = 2 * (BURST + seconds / PER_SECONDS + 1) + 2 * (seconds / 300 + 1);
        prop_assert!(host.all as u64 <= most, "{} statements in {seconds} s", host.all);
    }

    #[test]
    fn a_clock_that_is_set_does_not_silence_a_robot(jump in -100_000_i64..100_000, level in 0..2_u8) {
        let mut host = Host::new();
        for number in 0..6 {
            let level = if number % 2 == 0 { Level::Warn } else { Level::Error };
            host.announcer.set_health(&report(level, "cpu", 91.0));
            host.at(NOW);
        }
        let now = Time(NOW.0.saturating_add_signed(jump));
        let level = if level == 0 { Level::Ok } else { Level::Error };
        host.announcer.set_health(&report(level, "gpu", 91.0));
        let mut wake = host.at(now);
        run(&mut host, &mut wake, now.plus(60))?;
        prop_assert!(host.levels(now.plus(60)).contains(&level));
    }
}
