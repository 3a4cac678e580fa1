//! Symbols: sums of items.

/// Size of a symbol on the wire, in bytes.
pub const SYMBOL_BYTES: usize = 13;

/// The sum of some items: the exclusive or of the items and of their checksums, and the number of items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Symbol {
    /// Exclusive or of all items.
    pub(crate) sum: u64,
    /// Exclusive or of the items' checksums. It distinguishes a single item from a sum of several.
    pub(crate) check: u32,
    /// Number of items modulo 256. In a difference of symbols, only the values 1 and -1 matter, so 8 bits are enough.
    pub(crate) count: i8,
}

impl Symbol {
    /// Adds an item, or removes it if `by` is -1.
    pub(crate) fn change(&mut self, item: u64, by: i8) {
        self.sum ^= item;
        self.check ^= check(item);
        self.count = self.count.wrapping_add(by);
    }

    /// Returns the difference of this symbol and `other`.
    pub(crate) fn without(self, other: Self) -> Self {
        Self {
            sum: self.sum ^ other.sum,
            check: self.check ^ other.check,
            count: self.count.wrapping_sub(other.count),
        }
    }

    /// Returns the item and its sign, if exactly one item is left in a difference of symbols. The sign is -1 if the
    /// item is in the subtracted symbol.
    pub(crate) fn single(&self) -> Option<(u64, i8)> {
        let is_single = self.count.wrapping_abs() == 1 && self.check == check(self.sum);
        is_single.then_some((self.sum, self.count))
    }

    /// Returns whether no items are left.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Mixes the bits of a number: the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
pub(crate) fn stir(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// Returns the checksum that distinguishes an item from a sum of items: 32 bits that depend on all bits of the item.
fn check(item: u64) -> u32 {
    (stir(item ^ 0x6b8b_4567_327b_23c6) >> 32) as u32
}

/// Encodes symbols as bytes: 8 bytes of the sum and 4 of the checksum, little-endian, and one of the count.
pub fn to_bytes(symbols: &[Symbol]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(symbols.len() * SYMBOL_BYTES);
    for symbol in symbols {
        bytes.extend(symbol.sum.to_le_bytes());
        bytes.extend(symbol.check.to_le_bytes());
        bytes.extend(symbol.count.to_le_bytes());
    }
    bytes
}

/// Decodes the bytes of [`to_bytes`]. Returns `None` if the length is not a multiple of [`SYMBOL_BYTES`].
pub fn from_bytes(bytes: &[u8]) -> Option<Vec<Symbol>> {
    let (chunks, rest) = bytes.as_chunks::<SYMBOL_BYTES>();
    rest.is_empty().then(|| chunks.iter().map(read).collect())
}

fn read(bytes: &[u8; SYMBOL_BYTES]) -> Symbol {
    let [a, b, c, d, e, f, g, h, i, j, k, l, count] = *bytes;
    Symbol {
        sum: u64::from_le_bytes([a, b, c, d, e, f, g, h]),
        check: u32::from_le_bytes([i, j, k, l]),
        count: i8::from_le_bytes([count]),
    }
}
