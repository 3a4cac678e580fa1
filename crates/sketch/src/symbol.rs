//! One symbol: the sum of the items that belong to it.

/// The bytes of a symbol on the wire.
pub const SYMBOL_BYTES: usize = 13;

/// Some items, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Symbol {
    /// All items, by exclusive or.
    pub(crate) sum: u64,
    /// Their checks, by exclusive or: tells a sum that is one item from a sum of several.
    pub(crate) check: u32,
    /// How many they are, modulo 256: of a difference no more is needed than to tell 1 and -1 from most others.
    pub(crate) count: i8,
}

impl Symbol {
    /// Adds an item, or takes one away (`by` is -1).
    pub(crate) fn change(&mut self, item: u64, by: i8) {
        self.sum ^= item;
        self.check ^= check(item);
        self.count = self.count.wrapping_add(by);
    }

    /// What is left when the items of `other` are taken away.
    pub(crate) fn without(self, other: Self) -> Self {
        Self {
            sum: self.sum ^ other.sum,
            check: self.check ^ other.check,
            count: self.count.wrapping_sub(other.count),
        }
    }

    /// The item that is left alone in a difference of symbols; with -1 when it is of those that were taken away.
    pub(crate) fn single(&self) -> Option<(u64, i8)> {
        let is_single = self.count.wrapping_abs() == 1 && self.check == check(self.sum);
        is_single.then_some((self.sum, self.count))
    }

    /// Whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Stirs a number: the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
pub(crate) fn stir(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// What tells an item from a sum of others: 32 bits that depend on all of its own.
fn check(item: u64) -> u32 {
    (stir(item ^ 0x6b8b_4567_327b_23c6) >> 32) as u32
}

/// Symbols as bytes: 8 of the sum, 4 of the check, little-endian, and the count.
pub fn to_bytes(symbols: &[Symbol]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(symbols.len() * SYMBOL_BYTES);
    for symbol in symbols {
        bytes.extend(symbol.sum.to_le_bytes());
        bytes.extend(symbol.check.to_le_bytes());
        bytes.extend(symbol.count.to_le_bytes());
    }
    bytes
}

/// What [`to_bytes`] gave; `None` when the length does not fit.
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
