//! Decoding of another set's symbols into the difference of the sets.

use crate::encoder::Walk;
use crate::{Encoder, Symbol};
use std::collections::BTreeSet;

/// The difference of two sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Items that are only in the set of the sender of the symbols.
    pub theirs: Vec<u64>,
    /// Items that are only in our set.
    pub ours: Vec<u64>,
}

/// Error for symbols that are not those of a set. Either they were forged, or a checksum matched by chance, which
/// happens once in many millions of cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the symbols are not those of a set")]
pub struct DecodeError;

/// Receives another set's symbols until they reveal the difference.
#[derive(Clone, Debug)]
pub struct Decoder {
    own: Encoder,
    /// Their symbols minus ours, and minus the items found so far.
    left: Vec<Symbol>,
    /// Each item found, its sign (1 if it is theirs, -1 if it is ours), and its next position.
    found: Vec<(u64, i8, Walk)>,
    known: BTreeSet<u64>,
}

impl Decoder {
    /// Creates a decoder that compares the sender's set with our set of `items`.
    pub fn new(items: impl IntoIterator<Item = u64>) -> Self {
        Self { own: Encoder::new(items), left: Vec::new(), found: Vec::new(), known: BTreeSet::new() }
    }

    /// Returns the number of symbols received so far.
    pub fn taken(&self) -> usize {
        self.left.len()
    }

    /// Adds the next symbols of the other set.
    ///
    /// # Errors
    /// Returns an error if `theirs` cannot be symbols of a set.
    pub fn add(&mut self, theirs: &[Symbol]) -> Result<(), DecodeError> {
        let first = self.left.len();
        let ours = self.own.symbols(theirs.len());
        self.left.extend(theirs.iter().zip(ours).map(|(theirs, ours)| theirs.without(ours)));
        for (item, sign, walk) in &mut self.found {
            take_out(&mut self.left, *item, *sign, walk, |_| {});
        }
        self.peel((first..self.left.len()).collect())
    }

    /// Finds symbols with a single item, removes the item from all symbols, and examines the changed symbols in turn.
    fn peel(&mut self, mut worth_a_look: Vec<usize>) -> Result<(), DecodeError> {
        while let Some(place) = worth_a_look.pop() {
            let Some((item, sign)) = self.left[place].single() else {
                continue;
            };
            // Each item found empties one symbol permanently. So forged symbols cannot make the decoder run forever.
            if self.found.len() >= self.left.len() || !self.known.insert(item) {
                return Err(DecodeError);
            }
            let mut walk = Walk::of(item);
            take_out(&mut self.left, item, sign, &mut walk, |place| worth_a_look.push(place));
            self.found.push((item, sign, walk));
        }
        Ok(())
    }

    /// Returns the difference, if the symbols so far are enough to determine it.
    pub fn difference(&self) -> Option<Difference> {
        // The first symbol contains every item, so it is empty when all differing items are found.
        if !self.left.first()?.is_empty() {
            return None;
        }
        let of = |wanted: i8| {
            let found = self.found.iter().filter(|(_, sign, _)| *sign == wanted);
            found.map(|(item, ..)| *item).collect()
        };
        Some(Difference { theirs: of(1), ours: of(-1) })
    }
}

fn take_out(left: &mut [Symbol], item: u64, sign: i8, walk: &mut Walk, mut changed: impl FnMut(usize)) {
    while let Some(place) = usize::try_from(walk.place).ok().filter(|place| *place < left.len()) {
        left[place].change(item, sign.wrapping_neg());
        changed(place);
        walk.step();
    }
}
