use super::*;

/// A source that returns few bytes at once, and counts its reads.
struct Slow {
    bytes: Vec<u8>,
    claimed: u64,
    most: usize,
    largest: usize,
}

impl Source for Slow {
    fn size(&self) -> u64 {
        self.claimed
    }

    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.largest = self.largest.max(into.len());
        let count = into.len().min(self.most);
        (&self.bytes[..]).read_at(offset, &mut into[..count])
    }
}

fn slow(size: usize, claimed: u64) -> Slow {
    let bytes = (0..size).map(|at| at as u8).collect();
    Slow { bytes, claimed, most: 7, largest: 0 }
}

#[test]
fn numbers_are_read_in_little_endian() {
    let mut budget = Budget::default();
    let mut source = slow(20, 20);
    let mut reader = Reader::new(&mut source, &mut budget);
    assert_eq!(reader.u8(3).unwrap(), 3);
    assert_eq!(reader.u16(1).unwrap(), 0x0201);
    assert_eq!(reader.u32(1).unwrap(), 0x0403_0201);
    assert_eq!(reader.u64(1).unwrap(), 0x0807_0605_0403_0201);
    assert_eq!(reader.bytes(18, 2).unwrap(), [18, 19]);
    assert!(matches!(reader.u32(17), Err(Stop::End)));
    assert!(matches!(reader.u64(u64::MAX - 3), Err(Stop::End)));
    assert_eq!(reader.up_to(18, 100).unwrap(), [18, 19]);
    assert_eq!(reader.up_to(30, 100).unwrap_or(&[]), [0; 0]);
}

#[test]
fn the_window_grows_only_while_reads_follow_each_other() {
    let mut budget = Budget::default();
    let mut source = slow(1 << 20, 1 << 20);
    source.most = usize::MAX;
    let mut reader = Reader::new(&mut source, &mut budget);
    for at in (0..1 << 19).step_by(4) {
        assert_eq!(reader.u8(at).unwrap(), at as u8);
    }
    assert_eq!(reader.step, LARGE_WINDOW);
    reader.u8(0).unwrap();
    assert_eq!(reader.step, SMALL_WINDOW);
    assert!(MAX_READS - budget.reads < 16, "{budget:?}");
    assert_eq!(source.largest, LARGE_WINDOW);
}

#[test]
fn a_source_that_is_shorter_than_it_says_ends_there() {
    let mut budget = Budget::default();
    let mut source = slow(10, 100);
    let mut reader = Reader::new(&mut source, &mut budget);
    assert_eq!(reader.u8(9).unwrap(), 9);
    assert!(matches!(reader.u16(9), Err(Stop::End)));
    assert!(matches!(reader.u8(50), Err(Stop::End)));
}

#[test]
fn the_number_of_reads_and_of_bytes_is_limited() {
    let mut budget = Budget { reads: 3, bytes: u64::MAX };
    let mut source = slow(1 << 20, 1 << 20);
    let mut reader = Reader::new(&mut source, &mut budget);
    for at in [0, 500_000, 9000] {
        reader.u8(at).unwrap();
    }
    assert!(matches!(reader.u8(100_000), Err(Stop::Limit)));
    let mut budget = Budget { reads: 9, bytes: 2 * SMALL_WINDOW as u64 };
    let mut reader = Reader::new(&mut source, &mut budget);
    reader.u8(0).unwrap();
    reader.u8(500_000).unwrap();
    assert!(matches!(reader.u8(0), Err(Stop::Limit)));
}
