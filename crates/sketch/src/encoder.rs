//! From a set to its symbols.

use crate::Symbol;
use crate::symbol::stir;

/// The symbols to which an item belongs, in order: the first, and then ever rarer ones. Symbol *i* holds an item with
/// probability 1 / (1 + i/2), which the paper shows to need the fewest symbols.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    random: u64,
    /// The next symbol to which the item belongs.
    pub(crate) place: u64,
}

impl Walk {
    pub(crate) fn of(item: u64) -> Self {
        Self { random: item, place: 0 }
    }

    /// To the next symbol. The gap has the distribution of the paper's section 4.2; all its operations are exactly
    /// rounded (IEEE 754), so that every machine walks alike.
    pub(crate) fn step(&mut self) {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let uniform = ((stir(self.random) >> 32) + 1) as f64 / (1u64 << 32) as f64;
        let gap = (self.place as f64 + 1.5) * (1.0 / uniform.sqrt() - 1.0);
        // Casts of floats saturate, and no sequence comes near such places.
        self.place = self.place.saturating_add((gap.ceil() as u64).max(1));
    }
}

/// A set, ready to give the symbols that stand for it. Takes 24 bytes an item.
#[derive(Clone, Debug, Default)]
pub struct Encoder {
    items: Vec<(u64, Walk)>,
    given: u64,
}

impl Encoder {
    /// The set of `items`; each is to come once.
    pub fn new(items: impl IntoIterator<Item = u64>) -> Self {
        Self { items: items.into_iter().map(|item| (item, Walk::of(item))).collect(), given: 0 }
    }

    /// How many symbols were given so far.
    pub fn given(&self) -> u64 {
        self.given
    }

    /// The next `count` symbols.
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
