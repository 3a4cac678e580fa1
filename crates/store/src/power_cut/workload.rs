//! The workload of the recorded store: a sample of all operations of a robot's store.

use super::recording::{Recorder, Recording};
use crate::Batch;
use dcache::{Data, End, Item, Key, Keypair, Kind, Record, Statement, Time, Validity};
use std::ops::Range;

/// Size of a large value, in bytes. The file of an empty store has to grow for it.
const LARGE_BYTES: usize = 500_000;
/// Numbers of many records. They are enough for the B-tree of the records to have inner pages.
const MANY: Range<u64> = 100..130;

/// Returns a proposal. Depending on `number`, the record is kept as long as it is valid, for longer, or without an end.
pub(crate) fn proposal(data: u64, number: u64) -> Record {
    let item =
        Item { bucket: "share/files".parse().unwrap(), data: Data::new(&format!("cid{data}")).unwrap() };
    let statement = Statement::new(Kind::Propose, item, Validity::starting(Time(number), 60)).unwrap();
    let keep = [End::default(), End::at(Time(number + 100)), End::NEVER][(number % 3) as usize];
    Record::sign(statement, &Keypair::from_seed([1; 32]), number, keep)
}

/// Returns a batch with records about these data, with sequence numbers from `first_number` on. The time of the batch
/// is also `first_number`.
pub(crate) fn put(data: Range<u64>, first_number: u64) -> Batch {
    let records = data.zip(first_number..).map(|(data, number)| proposal(data, number));
    Batch { put: records.collect(), time: Some(Time(first_number)), ..Batch::default() }
}

fn remove(data: Range<u64>) -> Batch {
    let keys =
        data.map(|data| proposal(data, 1)).map(|old| Key { item: old.item().clone(), signer: old.signer() });
    Batch { remove: keys.collect(), ..Batch::default() }
}

fn raise(sequence: u64) -> Batch {
    Batch { sequence: Some(sequence), ..Batch::default() }
}

/// Returns a large value in which neighbouring sectors have different bytes, so that a torn value is detected.
fn large(seed: u8) -> Vec<u8> {
    (0..LARGE_BYTES).map(|at| (at / 512) as u8 ^ seed).collect()
}

/// Records the whole workload, from the first opening to the last closing.
pub(crate) fn all() -> Recording {
    record(|recorder| {
        small(recorder);
        growing(recorder);
        recorder.close_and_open();
        shrinking(recorder);
    })
}

/// Records only the beginning of the workload.
pub(crate) fn few() -> Recording {
    record(small)
}

fn record(work: impl FnOnce(&mut Recorder<'_>)) -> Recording {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("records.redb");
    let mut recorder = Recorder::open(&file).unwrap();
    work(&mut recorder);
    recorder.close()
}

fn small(recorder: &mut Recorder<'_>) {
    recorder.write(&Batch { sequence: Some(1), ..put(1..2, 1) });
    recorder.write(&put(2..5, 2));
    recorder.write(&raise(9));
    recorder.service_write("logs", &[("cursor", Some(b"17")), ("offset", Some(b"0"))]);
    // Replaces, removes and adds records in one commit.
    recorder.write(&Batch { sequence: Some(21), ..Batch { remove: remove(2..4).remove, ..put(4..6, 20) } });
    recorder.service_write("logs", &[("cursor", Some(b"18")), ("offset", None)]);
}

fn growing(recorder: &mut Recorder<'_>) {
    recorder.write(&Batch { sequence: Some(MANY.end), ..put(MANY, MANY.start) });
    recorder.service_write("updates", &[("image", Some(&large(1)))]);
    // The pages of earlier commits are free now, and are reused.
    for number in 200..204 {
        recorder.write(&Batch { sequence: Some(number), ..put(1..2, number) });
    }
    recorder.service_write("updates", &[("image", Some(&large(2))), ("state", Some(b"half"))]);
}

fn shrinking(recorder: &mut Recorder<'_>) {
    recorder.write(&raise(300));
    recorder.write(&Batch { sequence: Some(311), ..Batch { remove: remove(MANY).remove, ..put(6..8, 310) } });
    recorder.service_write("updates", &[("image", None), ("state", Some(b"whole"))]);
    for number in 320..324 {
        recorder.write(&put(number..number + 1, number));
    }
    recorder.service_write("updates", &[("image", Some(&large(3)))]);
    recorder.write(&remove(1..2));
}
