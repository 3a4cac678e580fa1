//! What the recorded store has to do: a bit of everything that a robot's does.

use super::recording::{Recorder, Recording};
use crate::Batch;
use dcache::{Data, Item, Key, Keypair, Kind, Record, Statement, Time, Validity};
use std::ops::Range;

/// So large that the file of an empty store has to grow for it.
const LARGE_BYTES: usize = 500_000;
/// So many that the tree of the records gets inner pages.
const MANY: Range<u64> = 100..130;

fn proposal(data: u64, number: u64) -> Record {
    let item =
        Item { bucket: "share/files".parse().unwrap(), data: Data::new(&format!("cid{data}")).unwrap() };
    let statement = Statement::new(Kind::Propose, item, Validity::starting(Time(number), 60)).unwrap();
    Record::sign(statement.into(), &Keypair::from_seed([1; 32]), number)
}

/// Puts the records about these, with sequence numbers of their own. Every third is kept for ever.
pub(crate) fn put(data: Range<u64>, first_number: u64) -> Batch {
    let forget = |number: u64| (!number.is_multiple_of(3)).then_some(Time(number + 60));
    let numbered = data.zip(first_number..);
    Batch {
        put: numbered.map(|(data, number)| (proposal(data, number), forget(number))).collect(),
        ..Batch::default()
    }
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
