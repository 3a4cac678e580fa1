use super::*;
use crate::batch::HistoryId;
use crate::batch::content::tests::rows as some_rows;
use crate::batch::content::{encode, paged};
use crate::batch::stated::StatedBatch;
use crate::batch::stated::tests::{cid_of, peer};
use crate::collectors::intake::take;
use crate::ring::Resolution;
use crate::ring::timeline::Anchor;
use std::ops::RangeInclusive;

const NOW: Time = Time(1_800_000_000);
const START: u64 = 1_790_000_000;

fn open() -> (tempfile::TempDir, RowStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = RowStore::open(&folder.path().join("collected.redb")).unwrap();
    (folder, store)
}

/// Stores rows of one boot, one in a minute. Returns the numbers of new rows and of rows that got a place.
fn store(store: &mut RowStore, boot: u8, numbers: RangeInclusive<u64>, is_anchored: bool) -> (usize, usize) {
    let rows = some_rows(boot, numbers.clone());
    let anchor = Anchor { stamp: rows[0].stamp, time: Time(START + numbers.start() * 60) };
    let anchors = if is_anchored { vec![anchor] } else { vec![] };
    let content = encode(&paged(Resolution::Minutes, &rows, &anchors));
    let batch = StatedBatch {
        history: HistoryId::from_bytes([1; 8]),
        after: numbers.start() - 1,
        last: *numbers.end(),
        bytes: 1,
        cid: cid_of(&content),
    };
    let taken = take(store, (peer(1), Some(&name(boot))), (&batch, 0), &content, NOW).unwrap();
    (taken.new, taken.placed)
}

/// Returns the name of the robot in a boot.
fn name(boot: u8) -> String {
    format!("duckie{boot}")
}

fn times(store: &RowStore, from: u64) -> Vec<u64> {
    store.placed(peer(1), Time(from), 1000).unwrap().iter().map(|row| row.time.0).collect()
}

#[test]
fn rows_are_stored_once_and_in_the_order_of_their_times_also_after_a_restart() {
    let (folder, mut rows) = open();
    assert_eq!(store(&mut rows, 1, 11..=20, true), (10, 10));
    assert_eq!(store(&mut rows, 1, 11..=20, true), (0, 0), "the batch comes again");
    assert_eq!(store(&mut rows, 1, 1..=12, true), (10, 10), "two rows of it are known");
    let expected: Vec<u64> = (1..=20).map(|minute| START + minute * 60).collect();
    assert_eq!((times(&rows, 0), times(&rows, START + 1100)), (expected.clone(), expected[18..].to_vec()));
    assert_eq!(rows.latest(peer(1)).unwrap().map(|row| row.time.0), expected.last().copied());
    assert_eq!(rows.latest(peer(2)).unwrap(), None);
    drop(rows);
    let rows = RowStore::open(&folder.path().join("collected.redb")).unwrap();
    assert_eq!(times(&rows, 0), expected);
    assert_eq!(rows.totals().unwrap(), Totals { robots: 1, rows: 20, unplaced: 0 });
    let stored = rows.placed(peer(1), Time(0), 1).unwrap();
    let [first] = stored.as_slice() else { panic!("{stored:?}") };
    assert_eq!(first.readings, some_rows(1, 1..=1)[0].readings);
    let state = &rows.robots().unwrap()[&peer(1)];
    assert_eq!(state.histories[0].stored(), 20);
}

#[test]
fn the_log_has_each_row_once_when_it_gets_its_place() {
    let (_folder, mut rows) = open();
    assert_eq!(store(&mut rows, 1, 1..=5, false), (5, 0));
    assert_eq!((rows.logged(0, 100).unwrap().len(), rows.totals().unwrap().unplaced), (0, 5));
    assert_eq!(store(&mut rows, 1, 6..=8, true), (3, 8), "the boot has an anchor now");
    let logged = rows.logged(0, 100).unwrap();
    let mut minutes: Vec<u64> = logged.iter().map(|row| (row.time.0 - START) / 60).collect();
    minutes.sort_unstable();
    assert_eq!((minutes, rows.totals().unwrap().unplaced), ((1..=8).collect(), 0));
    assert_eq!(logged.iter().map(|row| row.number).collect::<Vec<_>>(), (0..8).collect::<Vec<_>>());
    assert_eq!((rows.cursor("main").unwrap(), rows.waiting("main").unwrap()), (0, 8));
    rows.set_cursor("main", 6).unwrap();
    assert_eq!((rows.cursor("main").unwrap(), rows.waiting("main").unwrap()), (6, 2));
    assert_eq!((rows.logged(6, 100).unwrap().len(), rows.waiting("other").unwrap()), (2, 8));
}

#[test]
fn a_row_keeps_the_name_that_its_robot_had() {
    let (_folder, mut rows) = open();
    store(&mut rows, 1, 1..=2, true);
    store(&mut rows, 2, 3..=3, true);
    let names =
        |rows: &RowStore| rows.logged(0, 100).unwrap().into_iter().map(|row| row.name).collect::<Vec<_>>();
    let expected = [name(1), name(1), name(2)].map(Some);
    assert_eq!(names(&rows), expected);
    let long = "x".repeat(MAX_NAME_BYTES + 1);
    let content = encode(&paged(Resolution::Minutes, &some_rows(2, 4..=4), &[]));
    let stated = StatedBatch {
        history: HistoryId::from_bytes([1; 8]),
        after: 3,
        last: 4,
        bytes: 1,
        cid: cid_of(&content),
    };
    take(&mut rows, (peer(1), Some(&long)), (&stated, 0), &content, NOW).unwrap();
    assert_eq!(names(&rows).last(), Some(&None), "a name that is too long is left out");
}

#[test]
fn old_rows_are_deleted_and_do_not_come_back() {
    let (_folder, mut rows) = open();
    store(&mut rows, 1, 1..=20, true);
    assert_eq!(rows.expire(Time(START + 11 * 60), 4).unwrap(), 4, "a part at a time");
    assert_eq!(rows.expire(Time(START + 11 * 60), 100).unwrap(), 6);
    assert_eq!((times(&rows, 0).len(), rows.totals().unwrap().rows), (10, 10));
    assert_eq!(rows.logged(0, 100).unwrap().first().map(|row| row.number), Some(10));
    store(&mut rows, 1, 21..=21, true);
    assert_eq!(rows.logged(19, 100).unwrap().last().map(|row| row.number), Some(20));
}

#[test]
fn a_file_of_another_kind_is_refused_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("collected.redb");
    std::fs::write(&path, b"something else").unwrap();
    let error = RowStore::open(&path).unwrap_err().to_string();
    assert!(error.contains("collected.redb") && error.contains("move the file away"), "{error}");
}

#[test]
fn a_row_of_eighty_values_has_few_bytes() {
    let (folder, mut rows) = open();
    for part in 0..10_u64 {
        store(&mut rows, 1, part * 1000 + 1..=part * 1000 + 1000, true);
    }
    let bytes = std::fs::metadata(folder.path().join("collected.redb")).unwrap().len();
    println!("{} bytes of disk for each of 10000 rows of 3 series", bytes / 10_000);
}
