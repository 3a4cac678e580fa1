//! Encoding of a set into symbols.

use crate::Symbol;
use crate::symbol::stir;

/// The positions of the symbols that contain an item, in ascending order. The first symbol contains every item. Symbol
/// *i* contains an item with probability 1 / (1 + i/2), so the distances grow. The paper that `lib.rs` names shows that
/// this probability needs the fewest symbols.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    random: u64,
    /// Position of the next symbol that contains the item.
    pub(crate) place: u64,
}

impl Walk {
    pub(crate) fn of(item: u64) -> Self {
        Self { random: item, place: 0 }
    }

    /// Moves to the next symbol. The gap has the distribution of section 4.2 of the paper. IEEE 754 defines the exact
    /// result of all operations used, so all machines compute the same gap.
    pub(crate) fn step(&mut self) {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let uniform = ((stir(self.random) >> 32) + 1) as f64 / (1u64 << 32) as f64;
        let gap = (self.place as f64 + 1.5) * (1.0 / uniform.sqrt() - 1.0);
        // The cast saturates for huge gaps. No sequence in use is that long.
        self.place = self.place.saturating_add((gap.ceil() as u64).max(1));
    }
}

/// A set that is encoded into symbols. It needs 24 bytes of memory for each item.
#[derive(Clone, Debug, Default)]
pub struct Encoder {
    items: Vec<(u64, Walk)>,
    given: u64,
}

impl Encoder {
    /// Creates an encoder for the set of `items`. Each item must occur once.
    pub fn new(items: impl IntoIterator<Item = u64>) -> Self {
        Self { items: items.into_iter().map(|item| (item, Walk::of(item))).collect(), given: 0 }
    }

    /// Returns the number of symbols returned so far.
    pub fn given(&self) -> u64 {
        self.given
    }

    /// Returns the next `count` symbols.
    pub fn symbols(&mut self, count: usize) -> Vec<Symbol> {
        let (first, mut symbols) = (self.given, vec![Symbol::default(); count]);
        for (item, walk) in &mut self.items {
            while let Some(symbol) =
                usize::try_from(walk.place - first).ok().and_then(|place| symbols.get_mut(place))
            {
                symbol.change(*item, 1);
                walk.step();
            }
        }
        self.given += count as u64;
        symbols
    }
}
