//! A disk in memory that loses power: what a file may hold afterwards.

use super::journal::Operation;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// What a disk writes wholly or not at all; everything larger tears.
const SECTOR_BYTES: usize = 512;

/// What comes through of all that was not synced.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Survives {
    Everything,
    Nothing,
    /// A subset, drawn with this seed. The disk keeps no order.
    Some(u64),
}

/// One file and its name.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    certain: Vec<u8>,
    is_name_certain: bool,
    /// Operations since the last sync.
    pending: Vec<Operation>,
}

/// Draws what survives.
struct Lot {
    random: ChaCha8Rng,
    /// Whether writes tear into sectors, or go wholly or not at all.
    tears: bool,
    odds: f64,
}

impl Disk {
    /// Holds a file that came through, or none yet.
    pub(crate) fn new(file: Option<Vec<u8>>) -> Self {
        Self { is_name_certain: file.is_some(), certain: file.unwrap_or_default(), pending: Vec::new() }
    }

    pub(crate) fn take(&mut self, operation: &Operation) {
        match operation {
            Operation::SyncFolder => self.is_name_certain = true,
            Operation::Sync => {
                self.certain = self.all();
                self.pending.clear();
            }
            change => self.pending.push(change.clone()),
        }
    }

    /// The file when the power is lost at this point; `None` when there is none by its name.
    pub(crate) fn after_power_cut(&self, survives: Survives) -> Option<Vec<u8>> {
        match survives {
            Survives::Everything => Some(self.all()),
            Survives::Nothing => self.is_name_certain.then(|| self.certain.clone()),
            Survives::Some(seed) => {
                let mut lot = Lot::new(seed);
                (self.is_name_certain || lot.falls_well()).then(|| self.some(&mut lot))
            }
        }
    }

    fn all(&self) -> Vec<u8> {
        let mut file = self.certain.clone();
        for operation in &self.pending {
            match operation {
                Operation::Write { offset, bytes } => write(&mut file, *offset, bytes),
                Operation::SetLength(length) => set_length(&mut file, *length),
                Operation::Sync | Operation::SyncFolder => {}
            }
        }
        file
    }

    fn some(&self, lot: &mut Lot) -> Vec<u8> {
        let mut file = self.certain.clone();
        for operation in &self.pending {
            match operation {
                Operation::Write { offset, bytes } if lot.tears => {
                    let survivors = sectors(*offset, bytes).filter(|_| lot.falls_well());
                    survivors.for_each(|(offset, sector)| write(&mut file, offset, sector));
                }
                Operation::Write { offset, bytes } if lot.falls_well() => write(&mut file, *offset, bytes),
                Operation::SetLength(length) if lot.falls_well() => set_length(&mut file, *length),
                _ => {}
            }
        }
        file
    }
}

impl Lot {
    /// Half of the sectors, half of the writes, nearly all sectors, hardly any: each finds mistakes of its own.
    fn new(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (tears, odds) =
            [(true, 0.5), (false, 0.5), (true, 0.95), (true, 0.05)][random.random_range(0..4)];
        Self { random, tears, odds }
    }

    fn falls_well(&mut self) -> bool {
        self.random.random_bool(self.odds)
    }
}

/// As a file system does: a write behind the end makes the file longer.
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

fn index(offset: u64) -> usize {
    usize::try_from(offset).unwrap()
}

/// The parts of a write that lie in one sector each, with their offsets.
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
fn only_what_was_synced_is_certain() {
    let mut disk = Disk::new(None);
    assert_eq!(disk.after_power_cut(Survives::Nothing), None);
    disk.take(&Operation::Write { offset: 2, bytes: vec![1; 2] });
    disk.take(&Operation::Sync);
    disk.take(&Operation::SyncFolder);
    disk.take(&Operation::Write { offset: 0, bytes: vec![2; 3] });
    disk.take(&Operation::SetLength(6));
    assert_eq!(disk.after_power_cut(Survives::Nothing), Some(vec![0, 0, 1, 1]));
    assert_eq!(disk.after_power_cut(Survives::Everything), Some(vec![2, 2, 2, 1, 0, 0]));
    let mut drawn: Vec<_> = (0..100).filter_map(|seed| disk.after_power_cut(Survives::Some(seed))).collect();
    drawn.sort();
    drawn.dedup();
    let (lost, kept) = ([0, 0, 1, 1], [2, 2, 2, 1]);
    let longer = |file: [u8; 4]| [&file[..], &[0, 0]].concat();
    assert_eq!(drawn, [lost.to_vec(), longer(lost), kept.to_vec(), longer(kept)]);
}
