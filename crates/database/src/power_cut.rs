//! A disk in memory that loses power.
//!
//! Not modelled: a disk that damages what it had already synced, or that lies about having synced.

use crate::Operation;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Bytes that a disk writes all or none of. A larger write can tear.
const SECTOR_BYTES: usize = 512;

/// Which of the changes that were not synced survive a loss of power.
#[derive(Clone, Copy, Debug)]
pub enum Survives {
    /// All of them.
    Everything,
    /// None of them.
    Nothing,
    /// A subset, drawn with this seed. The disk keeps no order.
    Some(u64),
}

/// The disk under one file and its name.
#[derive(Clone, Debug)]
pub struct SimulatedDisk {
    durable: Vec<u8>,
    is_name_durable: bool,
    /// Operations since the last sync.
    pending: Vec<Operation>,
}

/// Draws which changes survive.
struct Draw {
    random: ChaCha8Rng,
    /// Whether a write tears into sectors. Otherwise it survives whole or not at all.
    tears: bool,
    odds: f64,
}

impl SimulatedDisk {
    /// Returns a disk that holds this file durably, or no file.
    pub fn new(file: Option<Vec<u8>>) -> Self {
        Self { is_name_durable: file.is_some(), durable: file.unwrap_or_default(), pending: Vec::new() }
    }

    /// Does one operation.
    pub fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::SyncFolder => self.is_name_durable = true,
            Operation::Sync => {
                self.durable = self.all();
                self.pending.clear();
            }
            change => self.pending.push(change.clone()),
        }
    }

    /// Returns the content of the file when the power is lost now; `None` when no file has its name.
    pub fn after_power_cut(&self, survives: Survives) -> Option<Vec<u8>> {
        match survives {
            Survives::Everything => Some(self.all()),
            Survives::Nothing => self.is_name_durable.then(|| self.durable.clone()),
            Survives::Some(seed) => {
                let mut draw = Draw::new(seed);
                (self.is_name_durable || draw.survives()).then(|| self.some(&mut draw))
            }
        }
    }

    fn all(&self) -> Vec<u8> {
        let mut file = self.durable.clone();
        for operation in &self.pending {
            match operation {
                Operation::Write { offset, bytes } => write(&mut file, *offset, bytes),
                Operation::SetLength(length) => set_length(&mut file, *length),
                Operation::Sync | Operation::SyncFolder => {}
            }
        }
        file
    }

    fn some(&self, draw: &mut Draw) -> Vec<u8> {
        let mut file = self.durable.clone();
        for operation in &self.pending {
            match operation {
                Operation::Write { offset, bytes } if draw.tears => {
                    let survivors = sectors(*offset, bytes).filter(|_| draw.survives());
                    survivors.for_each(|(offset, sector)| write(&mut file, offset, sector));
                }
                Operation::Write { offset, bytes } if draw.survives() => write(&mut file, *offset, bytes),
                Operation::SetLength(length) if draw.survives() => set_length(&mut file, *length),
                _ => {}
            }
        }
        file
    }
}

impl Draw {
    /// Half of the sectors, half of the writes, nearly all sectors, or hardly any: each finds different mistakes.
    fn new(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (tears, odds) =
            [(true, 0.5), (false, 0.5), (true, 0.95), (true, 0.05)][random.random_range(0..4)];
        Self { random, tears, odds }
    }

    fn survives(&mut self) -> bool {
        self.random.random_bool(self.odds)
    }
}

/// Writes as a file system does: a write behind the end makes the file longer.
fn write(file: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let begin = index(offset);
    let end = begin + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[begin..end].copy_from_slice(bytes);
}

fn set_length(file: &mut Vec<u8>, length: u64) {
    file.resize(index(length), 0);
}

// A file of a test fits into memory.
fn index(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

/// Returns the parts of a write that lie in one sector each, with their offsets.
fn sectors(offset: u64, bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let to_boundary = (SECTOR_BYTES - index(offset) % SECTOR_BYTES).min(bytes.len());
    let (first, rest) = bytes.split_at(to_boundary);
    std::iter::once(first).chain(rest.chunks(SECTOR_BYTES)).scan(offset, |next, sector| {
        let at = *next;
        *next += sector.len() as u64;
        Some((at, sector))
    })
}

#[test]
fn sectors_end_at_their_boundaries() {
    let bytes = [7; 1200];
    let parts = |offset, length| {
        sectors(offset, &bytes[..length]).map(|(at, part)| (at, part.len())).collect::<Vec<_>>()
    };
    assert_eq!(parts(0, 320), [(0, 320)]);
    assert_eq!(parts(1024, 1024), [(1024, 512), (1536, 512)]);
    assert_eq!(parts(500, 1200), [(500, 12), (512, 512), (1024, 512), (1536, 164)]);
}

#[test]
fn only_what_was_synced_is_durable() {
    let mut disk = SimulatedDisk::new(None);
    assert_eq!(disk.after_power_cut(Survives::Nothing), None);
    disk.apply(&Operation::Write { offset: 2, bytes: vec![1; 2] });
    disk.apply(&Operation::Sync);
    disk.apply(&Operation::SyncFolder);
    disk.apply(&Operation::Write { offset: 0, bytes: vec![2; 3] });
    disk.apply(&Operation::SetLength(6));
    assert_eq!(disk.after_power_cut(Survives::Nothing), Some(vec![0, 0, 1, 1]));
    assert_eq!(disk.after_power_cut(Survives::Everything), Some(vec![2, 2, 2, 1, 0, 0]));
    let mut drawn: Vec<_> = (0..100).filter_map(|seed| disk.after_power_cut(Survives::Some(seed))).collect();
    drawn.sort();
    drawn.dedup();
    let (lost, kept) = ([0, 0, 1, 1], [2, 2, 2, 1]);
    let longer = |file: [u8; 4]| [&file[..], &[0, 0]].concat();
    assert_eq!(drawn, [lost.to_vec(), longer(lost), kept.to_vec(), longer(kept)]);
}
