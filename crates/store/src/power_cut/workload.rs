//! What the recorded store has to do: a bit of everything that a robot's does.

use super::recording::{Recorder, Recording};
use crate::Batch;
use dcache::{Data, End, Item, Key, Keypair, Kind, Record, Statement, Time, Validity};
use std::ops::Range;

/// So large that the file of an empty store has to grow for it.
const LARGE_BYTES: usize = 500_000;
/// So many that the tree of the records gets inner pages.
const MANY: Range<u64> = 100..130;

/// Records are kept as long as they are valid, longer, or for ever, by turns.
pub(crate) fn proposal(data: u64, number: u64) -> Record {
    let item =
        Item { bucket: "share/files".parse().unwrap(), data: Data::new(&format!("cid{data}")).unwrap() };
    let statement = Statement::new(Kind::Propose, item, Validity::starting(Time(number), 60)).unwrap();
    let keep = [End::default(), End::at(Time(number + 100)), End::NEVER][(number % 3) as usize];
    Record::sign(statement, &Keypair::from_seed([1; 32]), number, keep)
}

/// Puts the records about these, with sequence numbers of their own, the first of which is also the time.
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

/// A byte of its own for each sector, so that a torn value shows.
fn large(seed: u8) -> Vec<u8> {
    (0..LARGE_BYTES).map(|at| (at / 512) as u8 ^ seed).collect()
}

/// All of it, from the first opening to the last closing.
pub(crate) fn all() -> Recording {
    record(|recorder| {
        small(recorder);
        growing(recorder);
        recorder.close_and_open();
        shrinking(recorder);
    })
}

/// Only the beginning.
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
    // Replaced, removed and new in one commit.
    recorder.write(&Batch { sequence: Some(21), ..Batch { remove: remove(2..4).remove, ..put(4..6, 20) } });
    recorder.service_write("logs", &[("cursor", Some(b"18")), ("offset", None)]);
}

fn growing(recorder: &mut Recorder<'_>) {
    recorder.write(&Batch { sequence: Some(MANY.end), ..put(MANY, MANY.start) });
    recorder.service_write("updates", &[("image", Some(&large(1)))]);
    // Pages of earlier commits are free by now and used again.
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
