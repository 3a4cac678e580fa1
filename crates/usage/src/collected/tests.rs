use super::*;
use crate::payload::tests::{NOW, any_report, report};
use crate::week::WEEK;
use dcache::Keypair;
use proptest::prelude::*;

/// A collector with its disk.
#[derive(Default)]
struct Collector {
    collected: Collected,
    disk: BTreeMap<String, u32>,
}

impl Collector {
    fn is_known(&self, payload: &Payload) -> bool {
        self.disk.contains_key(&CollectedKey::Id(payload.week(), payload.id()).to_text())
    }

    fn count(&mut self, payload: &Payload, now: Time) -> Result<(), RefusalCode> {
        if self.is_known(payload) {
            return Ok(());
        }
        let changes = self.collected.count(payload, Moment::certain(now))?;
        self.write(&changes);
        Ok(())
    }

    fn forget(&mut self, payload: &Payload, secret: &Hex32) -> Result<(), RefusalCode> {
        let changes = self.collected.forget(payload, secret, self.is_known(payload))?;
        self.write(&changes);
        Ok(())
    }

    fn write(&mut self, changes: &[RowChange]) {
        for (key, value) in changes {
            match value {
                Some(value) => drop(self.disk.insert(key.to_text(), *value)),
                None => drop(self.disk.remove(&key.to_text())),
            }
        }
        self.collected.apply(changes);
    }

    fn read_back(&self, now: Time) -> (Collected, Vec<RowChange>) {
        let rows = self.disk.iter().map(|(key, value)| (CollectedKey::from_text(key).unwrap(), *value));
        Collected::new(rows, now)
    }
}

#[test]
fn a_report_is_counted_once() {
    let (mut collector, next) = (Collector::default(), NOW.plus(WEEK));
    let sent = report(1, Week::of(NOW));
    collector.count(&sent, next).unwrap();
    let disk = collector.disk.clone();
    collector.count(&sent, next).unwrap();
    assert_eq!(collector.disk, disk, "a repeated message changes nothing");
    assert!(disk.values().all(|count| *count == 1));
    assert_eq!(disk.len(), FIELDS.len() + 2);
    collector.count(&report(2, Week::of(NOW)), next).unwrap();
    let (number, field) = field("robot_type").unwrap();
    assert_eq!(collector.collected.values(Week::of(NOW), number, field), [("duckiebot", 2)]);
}

#[test]
fn the_disk_names_no_report_and_no_peer() {
    let mut collector = Collector::default();
    collector.count(&report(1, Week::of(NOW)), NOW.plus(WEEK)).unwrap();
    for key in collector.disk.keys() {
        let words: Vec<&str> = key.split(' ').collect();
        assert_eq!(words[0], "2026-W49");
        assert!(matches!(words[1], "reports" | "value" | "id"), "{key}");
        assert_eq!(CollectedKey::from_text(key).unwrap().to_text(), *key);
    }
    for wrong in ["", "2026-W49", "2026-W49 x", "2026-W49 value robot_type megabot", "2026-W49 id 12"] {
        assert_eq!(CollectedKey::from_text(wrong), None, "{wrong}");
    }
}

#[test]
fn reports_about_other_weeks_or_without_a_clock_are_refused() {
    let mut collector = Collector::default();
    let sent = report(1, Week::of(NOW));
    assert_eq!(collector.count(&sent, NOW), Err(RefusalCode::WrongWeek), "the week is not over");
    assert_eq!(collector.count(&sent, NOW.plus(5 * WEEK)), Err(RefusalCode::WrongWeek));
    let doubtful = Moment { is_certain: false, ..Moment::certain(NOW.plus(WEEK)) };
    assert_eq!(collector.collected.count(&sent, doubtful), Err(RefusalCode::Later));
    collector.count(&sent, NOW.plus(4 * WEEK)).unwrap();
}

#[test]
fn only_the_secret_deletes_a_report() {
    let mut collector = Collector::default();
    let sent = report(1, Week::of(NOW));
    collector.count(&sent, NOW.plus(WEEK)).unwrap();
    assert_eq!(collector.forget(&sent, &Hex32([2; 32])), Err(RefusalCode::WrongSecret));
    collector.forget(&sent, &Hex32([1; 32])).unwrap();
    assert!(collector.disk.is_empty(), "{:?}", collector.disk);
    assert_eq!(collector.collected, Collected::default());
    collector.forget(&sent, &Hex32([1; 32])).unwrap();
}

#[test]
fn the_number_of_reports_and_of_weeks_is_bounded() {
    let mut collector = Collector::default();
    let sent = report(1, Week::of(NOW));
    collector.count(&sent, NOW.plus(WEEK)).unwrap();
    let full = vec![(CollectedKey::Reports(Week::of(NOW)), Some(MAX_REPORTS))];
    collector.write(&full);
    assert_eq!(collector.count(&report(2, Week::of(NOW)), NOW.plus(WEEK)), Err(RefusalCode::Full));
    let (after, old) = collector.read_back(NOW.plus(60 * WEEK));
    assert_eq!((after.weeks().count(), old.len()), (0, collector.disk.len()));
    let (after, old) = collector.read_back(NOW.plus(WEEK));
    assert_eq!((after, old), (collector.collected, Vec::new()));
}

#[test]
fn a_peer_reports_once_about_a_week_and_its_messages_are_limited() {
    let mut limits = SenderLimits::default();
    let (peer, week) = (Keypair::from_seed([1; 32]).peer_id(), Week::of(NOW));
    limits.may_report(week, peer).unwrap();
    limits.reported(week, peer);
    let again = |limits: &SenderLimits, week| limits.may_report(week, peer);
    assert_eq!(again(&limits, week), Err(RefusalCode::TooMany));
    assert_eq!(again(&limits, week.before(1)), Ok(()));
    for _ in 0..MAX_MESSAGES {
        limits.message(peer, NOW).unwrap();
    }
    assert_eq!(limits.message(peer, NOW), Err(RefusalCode::TooMany));
    limits.message(peer, NOW.plus(HOUR)).unwrap();
    assert_eq!(again(&limits, week), Err(RefusalCode::TooMany));
    limits.message(peer, NOW.plus(6 * WEEK)).unwrap();
    assert_eq!(again(&limits, week), Ok(()), "reports about this week are refused anyway");
    limits.reported(week, peer);
    limits.forgotten(week, peer);
    assert_eq!(again(&limits, week), Ok(()));
}

#[test]
fn many_keys_are_limited_together() {
    let mut limits = SenderLimits::default();
    let key = |number: usize| {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        PeerId::from_public_key(bytes)
    };
    let taken = (0..9_999).filter(|number| limits.message(key(*number), NOW).is_ok()).count();
    assert_eq!((taken, limits.messages.len()), (5_000, 5_000));
    for number in 0..MAX_REPORTED {
        limits.reported(Week::of(NOW), key(number));
    }
    assert_eq!(limits.may_report(Week::of(NOW), key(MAX_REPORTED)), Err(RefusalCode::Full));
}

proptest! {
    #[test]
    fn after_all_reports_are_forgotten_nothing_is_left(
        reports in proptest::collection::vec(any_report(), 1..12), kept in 0usize..3,
    ) {
        let mut collector = Collector::default();
        for (report, _) in &reports {
            let _ = collector.count(report, report.week().end());
        }
        for (report, secret) in reports.iter().skip(kept) {
            collector.forget(report, secret).unwrap();
        }
        let mut only = Collector::default();
        for (report, _) in reports.iter().take(kept) {
            let _ = only.count(report, report.week().end());
        }
        prop_assert_eq!(collector.disk, only.disk);
        prop_assert_eq!(collector.collected, only.collected);
    }
}
