//! A simulated disk in memory that loses power.
//!
//! The model does not cover a disk that damages synced data, or one that reports a sync that it did not do.

use crate::Operation;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Size of a sector in bytes. A disk writes a sector completely or not at all; of a larger write, some sectors can be lost.
const SECTOR_BYTES: usize = 512;

/// The unsynced changes that survive a power cut.
#[derive(Clone, Copy, Debug)]
pub enum Survives {
    /// All unsynced changes survive.
    Everything,
    /// No unsynced change survives.
    Nothing,
    /// A random subset survives, chosen by this seed. Later changes can survive without earlier ones.
    Some(u64),
}

/// The simulated disk of one file and its name.
#[derive(Clone, Debug)]
pub struct SimulatedDisk {
    durable: Vec<u8>,
    is_name_durable: bool,
    /// Operations since the last sync.
    pending: Vec<Operation>,
}

/// Chooses at random which changes survive.
struct Draw {
    random: ChaCha8Rng,
    /// Whether the sectors of a write survive or are lost independently of each other. Otherwise each write survives or is
    /// lost as a whole.
    tears: bool,
    /// Probability, from 0 to 1, that a write or a sector survives.
    odds: f64,
}

impl SimulatedDisk {
    /// Creates a disk. `file` is the durable content of the file, or `None` if the file does not exist.
    pub fn new(file: Option<Vec<u8>>) -> Self {
        Self { is_name_durable: file.is_some(), durable: file.unwrap_or_default(), pending: Vec::new() }
    }

    /// Applies one operation.
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

    /// Returns the content of the file after a power cut now, or `None` if the file does not exist.
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
    /// Chooses one of four cases: half of the sectors survive, half of the writes, nearly all sectors, or few sectors. Each
    /// case finds different bugs.
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

/// Writes like a file system: a write beyond the end extends the file.
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

// The files of tests fit into memory.
fn index(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

/// Splits a write at the boundaries of sectors. Returns the parts with their offsets.
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
fn a_write_is_split_at_the_boundaries_of_sectors() {
    let bytes = [7; 1200];
    let parts = |offset, length| {
        sectors(offset, &bytes[..length]).map(|(at, part)| (at, part.len())).collect::<Vec<_>>()
    };
    assert_eq!(parts(0, 320), [(0, 320)]);
    assert_eq!(parts(1024, 1024), [(1024, 512), (1536, 512)]);
    assert_eq!(parts(500, 1200), [(500, 12), (512, 512), (1024, 512), (1536, 164)]);
}

#[test]
fn only_synced_changes_are_durable() {
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
