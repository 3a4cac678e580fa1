//! From another set's symbols to what differs.

use crate::encoder::Walk;
use crate::{Encoder, Symbol};
use std::collections::BTreeSet;

/// What one set has and the other has not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Items that only the set has from which the symbols came.
    pub theirs: Vec<u64>,
    /// Items that only the own set has.
    pub ours: Vec<u64>,
}

/// The symbols belong to no set: somebody made them up, or (once in many millions) chance misled the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the symbols belong to no set")]
pub struct DecodeError;

/// Takes another set's symbols in until they show the difference.
#[derive(Clone, Debug)]
pub struct Decoder {
    own: Encoder,
    /// Theirs without ours, and without what was found so far.
    left: Vec<Symbol>,
    /// Each item found, 1 when it is theirs and -1 when it is ours, and where it belongs next.
    found: Vec<(u64, i8, Walk)>,
    known: BTreeSet<u64>,
}

impl Decoder {
    /// For comparing with the set of `items`.
    pub fn new(items: impl IntoIterator<Item = u64>) -> Self {
        Self { own: Encoder::new(items), left: Vec::new(), found: Vec::new(), known: BTreeSet::new() }
    }

    /// How many symbols were taken in.
    pub fn taken(&self) -> usize {
        self.left.len()
    }

    /// Takes the next symbols of the other set in.
    ///
    /// # Errors
    /// When they cannot be symbols of a set.
    pub fn add(&mut self, theirs: &[Symbol]) -> Result<(), DecodeError> {
        let first = self.left.len();
        let ours = self.own.symbols(theirs.len());
        self.left.extend(theirs.iter().zip(ours).map(|(theirs, ours)| theirs.without(ours)));
        for (item, sign, walk) in &mut self.found {
            take_out(&mut self.left, *item, *sign, walk, |_| {});
        }
        self.peel((first..self.left.len()).collect())
    }

    /// Finds single items, takes them out everywhere, and looks at what that leaves.
    fn peel(&mut self, mut worth_a_look: Vec<usize>) -> Result<(), DecodeError> {
        while let Some(place) = worth_a_look.pop() {
            let Some((item, sign)) = self.left[place].single() else {
                continue;
            };
            // Each item found empties a symbol for good, so that made-up symbols cannot keep us busy for ever.
            if self.found.len() >= self.left.len() || !self.known.insert(item) {
                return Err(DecodeError);
            }
            let mut walk = Walk::of(item);
            take_out(&mut self.left, item, sign, &mut walk, |place| worth_a_look.push(place));
            self.found.push((item, sign, walk));
        }
        Ok(())
    }

    /// The difference, when the symbols so far are enough to tell it.
    pub fn difference(&self) -> Option<Difference> {
        // Every item belongs to the first symbol.
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
