use super::*;
use crate::catalog::format::CatalogEntry;
use crate::catalog::format::tests::{numbered, uploaded};
use crate::catalog::known::{CatalogVersion, Catalogs, Precedence};
use crate::catalog::stated::{StatedCatalog, tests::state};
use crate::index::index_of;
use crate::index::tests::{NOW, cid, description, peer, say};
use crate::receipts::Receipt;
use crate::receipts::tests::receipt;
use dcache::{Item, Keypair, Kind, Policy, buckets};
use proptest::prelude::*;
use std::num::NonZeroU8;

fn moment(time: Time) -> Moment {
    Moment::certain(time)
}

fn is_present(set: &mut Set, seed: u8, seconds: u64) {
    say(set, seed, Kind::Propose, Item { bucket: buckets::PEER.path(), data: peer(seed).into() }, seconds);
}

fn keeps(set: &mut Set, seed: u8) {
    say(set, seed, Kind::Propose, Station::Safe.item(&cid()), LIFETIME);
}

/// Returns a set in which peer 1 shared a file, and it and the peers of `holders` keep it and are present.
fn held(holders: &[u8]) -> Set {
    let mut set = Set::default();
    let data = description(1, "a.bag").to_data().unwrap();
    say(&mut set, 1, Kind::Propose, Item { bucket: crate::buckets::info(&cid()), data }, LIFETIME);
    for seed in holders.iter().chain([&1]) {
        keeps(&mut set, *seed);
        is_present(&mut set, *seed, 600);
    }
    set
}

fn safe(set: &Set, copies: usize, now: Moment) -> Option<Elsewhere> {
    safe_with(set, &Catalogs::default(), copies, now)
}

fn safe_with(set: &Set, catalogs: &Catalogs, copies: usize, now: Moment) -> Option<Elsewhere> {
    let files = index_of(set, [&cid()], now.time);
    let counting = Counting::new(set, catalogs, None, now.time);
    let terms = Terms { me: peer(1), copies, believes_strangers: true };
    safe_elsewhere(&counting, (&cid(), files.get(&cid()), 7), terms, now)
}

#[test]
fn in_the_open_swarm_the_copies_of_others_count_only_if_the_user_says_so() {
    let (later, set) = (moment(NOW.plus(PAUSE)), held(&[2, 3]));
    let files = index_of(&set, [&cid()], NOW);
    let catalogs = Catalogs::default();
    let counting = Counting::new(&set, &catalogs, None, later.time);
    let safe = |believes_strangers| {
        let terms = Terms { me: peer(1), copies: 3, believes_strangers };
        safe_elsewhere(&counting, (&cid(), files.get(&cid()), 7), terms, later)
    };
    assert!(safe(false).is_none() && safe(true).is_some());
}

#[test]
fn a_receipt_that_is_none_or_is_for_fewer_bytes_frees_nothing() {
    let root = Keypair::from_seed([9; 32]).peer_id();
    let mut set = Set::new(Policy::new([root].into(), Vec::new(), NonZeroU8::MIN), dcache::Limits::default());
    let short = Receipt { bytes: 6, ..receipt(1, 1) }.item(&cid()).unwrap();
    for data in [dcache::Data::new("x").unwrap(), short.data] {
        say(&mut set, 9, Kind::Propose, Item { bucket: short.bucket.clone(), data }, LIFETIME);
    }
    assert_eq!(safe(&set, 3, moment(NOW.plus(1))), None);
    say(&mut set, 9, Kind::Propose, receipt(1, 1).item(&cid()).unwrap(), LIFETIME);
    assert!(safe(&set, 3, moment(NOW.plus(1))).is_some());
}

#[test]
fn a_file_is_safe_elsewhere_when_enough_present_robots_keep_it() {
    let later = moment(NOW.plus(PAUSE));
    let set = held(&[2, 3]);
    assert_eq!(safe(&set, 3, later), Some(Elsewhere { holders: 2, is_uploaded: false }));
    assert_eq!(safe(&set, 4, later), None, "one more robot has to keep it");
    assert_eq!(safe(&held(&[2]), 1, later).map(|found| found.holders), Some(1), "one other copy is needed");
    assert_eq!(safe(&set, 0, later), None, "the usual number counts if every robot keeps every file");
    assert_eq!(safe(&held(&[2, 3, 4]), 0, later).map(|found| found.holders), Some(3));
    assert_eq!(safe(&held(&[]), 1, later), None, "the own copy does not count");
    assert_eq!(safe(&set, 2, moment(NOW.plus(PAUSE - 1))), None, "another robot may rely on this copy");
    assert_eq!(safe(&set, 2, moment(NOW.plus(601))), None, "the others are not heard any more");
    let uncertain = Moment { is_certain: false, ..later };
    assert_eq!(safe(&set, 2, uncertain), None, "the time is not known");
    let wrong = Moment { neighbours: later.time.plus(CLOSE + 1), ..later };
    assert_eq!(safe(&set, 2, wrong), None, "the clock is wrong");
}

#[test]
fn a_discarded_file_and_one_whose_holders_leave_stay() {
    let later = moment(NOW.plus(PAUSE));
    let mut set = held(&[2, 3]);
    let retracted = crate::removal::retract(&set, &cid(), peer(3), NOW.plus(10));
    crate::index::tests::publish(&mut set, 3, retracted, NOW.plus(10));
    assert_eq!(safe(&set, 3, later), None);
    let mut set = held(&[2, 3]);
    say(&mut set, 1, Kind::Propose, Station::Discard.item(&cid()), LIFETIME);
    assert_eq!(safe(&set, 3, later), None);
}

#[test]
fn an_uploaded_file_is_safe_only_by_the_word_of_a_role() {
    let root = Keypair::from_seed([9; 32]).peer_id();
    let policy = || Policy::new([root].into(), Vec::new(), NonZeroU8::MIN);
    for (signer, is_safe) in [(9, true), (2, false)] {
        let mut set = Set::new(policy(), dcache::Limits::default());
        let data = description(1, "a.bag").to_data().unwrap();
        say(&mut set, 1, Kind::Propose, Item { bucket: crate::buckets::info(&cid()), data }, LIFETIME);
        keeps(&mut set, 9);
        say(&mut set, signer, Kind::Propose, receipt(1, 1).item(&cid()).unwrap(), LIFETIME);
        let found = safe(&set, 3, moment(NOW.plus(1)));
        assert_eq!(found.map(|found| found.is_uploaded), is_safe.then_some(true), "{signer}");
    }
}

#[test]
fn a_file_without_records_is_safe_when_the_catalogue_of_a_role_has_its_receipt() {
    let root = Keypair::from_seed([9; 32]).peer_id();
    let policy = Policy::new([root].into(), Vec::new(), NonZeroU8::MIN);
    let mut set = Set::new(policy, dcache::Limits::default());
    let stated = StatedCatalog { root: numbered(1), files: 1, bytes: 9 };
    state(&mut set, 9, Some(stated), NOW);
    let version = CatalogVersion { root: numbered(1), sequence: 1 };
    let with = |entry| {
        Catalogs::default().with(peer(9), version, Precedence::Member, [(cid(), entry)].into()).unwrap()
    };
    let later = moment(NOW.plus(1));
    let found = safe_with(&set, &with(uploaded(1, false)), 3, later);
    assert_eq!(found, Some(Elsewhere { holders: 0, is_uploaded: true }));
    let kept = CatalogEntry { receipt: None, ..uploaded(1, true) };
    assert_eq!(safe_with(&set, &with(kept), 1, later), None, "a copy in a catalogue does not count");
    say(&mut set, 9, Kind::Propose, Station::Discard.item(&cid()), LIFETIME);
    assert_eq!(safe_with(&set, &with(uploaded(1, false)), 3, later), None, "it is discarded");
}

fn file(number: u8, bytes: u64, changed: u64, disk: u64) -> Freeable {
    let mut cid = cid().to_bytes();
    *cid.last_mut().unwrap() = number;
    let cid = Cid::try_from(cid.as_slice()).unwrap();
    Freeable { cid, bytes, changed: Time(changed), disk }
}

#[test]
fn the_oldest_files_go_until_enough_is_free() {
    let files = || vec![file(1, 10, 300, 1), file(2, 10, 100, 1), file(3, 10, 200, 1), file(4, 10, 50, 2)];
    let bytes = |rule: FreeRule, now| {
        choose_freed(files(), &rule, Time(now)).iter().map(|file| file.changed.0).collect::<Vec<_>>()
    };
    assert_eq!(bytes(FreeRule::default(), 1000), [50, 100, 200, 300]);
    assert_eq!(bytes(FreeRule { older_than: 800, until_free: None }, 1000), [50, 100, 200]);
    let until = |free, wanted| Some(BTreeMap::from([(1, (free, wanted))]));
    assert_eq!(bytes(FreeRule { older_than: 0, until_free: until(5, 20) }, 1000), [100, 200]);
    assert_eq!(bytes(FreeRule { older_than: 0, until_free: until(20, 20) }, 1000), [0; 0]);
    assert_eq!(bytes(FreeRule { older_than: 0, until_free: until(0, 99) }, 1000), [100, 200, 300]);
}

proptest! {
    #[test]
    fn no_more_is_freed_than_needed_and_never_a_young_file(
        files in prop::collection::vec((1u64..50, 0u64..100, 0u64..3), 0..30),
        (older_than, free, wanted) in (0u64..100, 0u64..200, 0u64..400),
    ) {
        let now = Time(100);
        let all: Vec<Freeable> = files
            .iter()
            .enumerate()
            .map(|(number, (bytes, changed, disk))| file(number as u8, *bytes, *changed, *disk))
            .collect();
        let disks = BTreeMap::from([(0, (free, wanted)), (1, (free, wanted))]);
        let rule = FreeRule { older_than, until_free: Some(disks) };
        let chosen = choose_freed(all.clone(), &rule, now);
        for file in &chosen {
            prop_assert!(file.disk < 2 && file.changed.plus(older_than) <= now);
        }
        for disk in 0..2 {
            let of_disk: Vec<_> = chosen.iter().filter(|file| file.disk == disk).collect();
            let freed: u64 = of_disk.iter().map(|file| file.bytes).sum();
            // Without the last file, there would be too little.
            let last = of_disk.last().map_or(0, |file| file.bytes);
            prop_assert!(of_disk.is_empty() || free + freed - last < wanted);
            let is_left = |file: &&Freeable| file.disk == disk && !chosen.contains(file);
            let left: Vec<_> = all.iter().filter(is_left).filter(|f| f.changed.plus(older_than) <= now).collect();
            prop_assert!(left.is_empty() || free + freed >= wanted);
            let oldest_left = left.iter().map(|file| (file.changed, file.cid)).min();
            prop_assert!(oldest_left.is_none_or(|left| of_disk.iter().all(|f| (f.changed, f.cid) < left)));
        }
    }

    #[test]
    fn the_last_copy_never_goes(holders in prop::collection::btree_set(2u8..7, 0..5),
        absent in prop::collection::btree_set(2u8..7, 0..5), copies in 0usize..4, after in 0u64..1000) {
        prop_assume!(after != 600);
        let mut set = held(&[]);
        for seed in &holders {
            keeps(&mut set, *seed);
            if !absent.contains(seed) {
                is_present(&mut set, *seed, 600);
            }
        }
        let heard = if after < 600 { holders.difference(&absent).count() } else { 0 };
        let needed = if copies == 0 { USUAL_COPIES } else { (copies - 1).max(1) };
        let found = safe(&set, copies, moment(NOW.plus(after)));
        prop_assert_eq!(found.is_some(), heard >= needed && after >= PAUSE);
        prop_assert!(found.is_none_or(|found| found.holders > 0));
    }
}
