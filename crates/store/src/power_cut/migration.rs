//! Tests of a power cut during the migration of an old file to the present format.

use super::recording::{Promise, Recorder, Recording};
use super::{Bench, SUBSETS, assert_none, losses, times, workload};
use crate::Batch;
use crate::migrate;
use crate::store::{META, RECORDS};
use redb::ReadableTable as _;
use std::path::Path;

/// Number of records before the migration: enough for several pages.
const RECORDS_BEFORE: u64 = 40;

/// Converts a file of format 2 to format 1. No record of the file may have a time of keeping.
fn to_format_1(file: &Path) {
    let database = redb::Database::open(file).unwrap();
    let write = database.begin_write().unwrap();
    write.open_table(META).unwrap().insert(migrate::KEY, 1).unwrap();
    let mut records = write.open_table(RECORDS).unwrap();
    let rows: Vec<_> = records.iter().unwrap().map(Result::unwrap).collect();
    let rows: Vec<_> = rows.into_iter().map(|(key, row)| (key.value(), row.value().to_vec())).collect();
    for (key, mut row) in rows {
        row[0] = 1;
        row[1..9].fill(7);
        records.insert(key, row.as_slice()).unwrap();
    }
    drop(records);
    write.commit().unwrap();
}

/// Records the opening of a file of format 1.
fn migration() -> Recording {
    let bench = Bench::new();
    let mut recorder = Recorder::open(&bench.file).unwrap();
    let records = (1..=RECORDS_BEFORE).map(|number| workload::proposal(number, 3 * number));
    recorder.write(&Batch { put: records.collect(), sequence: Some(1000), ..Batch::default() });
    recorder.service_write("logs", &[("cursor", Some(b"17"))]);
    let state = recorder.close().promises.pop().unwrap().state;
    to_format_1(&bench.file);
    let mut migration = Recorder::open(&bench.file).unwrap().close();
    assert_eq!(migration.promises[0].state, state);
    // The old file has the same state, so this state must be found after every cut.
    migration.promises.insert(0, Promise { after: 0, state });
    migration
}

#[test]
fn a_power_cut_during_the_migration_loses_nothing() {
    assert_none(&losses(&migration(), 10 * SUBSETS * times()));
}
