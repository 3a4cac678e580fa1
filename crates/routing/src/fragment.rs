//! Lines that are too long for IRC travel in fragments (IPSD).
//!
//! A fragment is `{"fragment": i, "n": N, "sha256_base58": H, "chunk_base58": C}`: `i` counts from 0, as in the original,
//! `H` is the hash of the whole line, and `C` holds at most [`FRAGMENT_BYTES`] of its bytes. They may come in any order,
//! and more than once.

use crate::MAX_LINE_BYTES;
use dcache::Digest;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

/// The longest line that travels whole.
pub const MAX_WHOLE_BYTES: usize = 300;
/// The most bytes of a line in one fragment.
pub const FRAGMENT_BYTES: usize = 150;
/// The most fragments of one line.
pub const MAX_FRAGMENTS: usize = MAX_LINE_BYTES.div_ceil(FRAGMENT_BYTES);
/// The most lines of one sender that are incomplete at a time.
pub const MAX_PARTIAL_OF_SENDER: usize = 4;
/// The most incomplete lines.
pub const MAX_PARTIAL: usize = 256;
/// The most bytes of incomplete lines.
pub const MAX_PARTIAL_BYTES: usize = 1024 * 1024;

/// The JSON of a fragment.
#[derive(Serialize, Deserialize)]
struct Shape<'a> {
    fragment: usize,
    n: usize,
    #[serde(borrow)]
    sha256_base58: Cow<'a, str>,
    #[serde(borrow)]
    chunk_base58: Cow<'a, str>,
}

/// Only the key by which a fragment is told from a line.
#[derive(Deserialize)]
struct Probe {
    fragment: Option<IgnoredAny>,
}

/// Why a fragment was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FragmentError {
    /// Not the shape of a fragment.
    #[error("not a fragment: {0}")]
    Shape(String),
    /// There can be no such fragment.
    #[error("fragment {fragment} of {n}: a line has at most {MAX_FRAGMENTS}, counted from 0")]
    Number {
        /// Its number.
        fragment: usize,
        /// Of how many.
        n: usize,
    },
    /// Not base58, empty or too long.
    #[error("a chunk is 1 to {FRAGMENT_BYTES} bytes in base58")]
    Chunk,
    /// Too many lines are incomplete.
    #[error("too many lines are incomplete at a time")]
    Full,
    /// All fragments are there, but they are not what was announced; or what is announced is no hash.
    #[error("the fragments do not make the line with the SHA-256 that they tell")]
    Hash,
    /// They are what was announced, but no text, or too much.
    #[error("the fragments make no line")]
    Line,
}

/// What is sent for a line: itself, or its fragments when it is too long. A line of more than [`MAX_LINE_BYTES`] makes
/// fragments that nobody takes.
pub fn fragments(line: &str) -> Vec<String> {
    if line.len() <= MAX_WHOLE_BYTES {
        return vec![line.to_owned()];
    }
    let hash = Digest::of(line.as_bytes()).to_string();
    let chunks = line.as_bytes().chunks(FRAGMENT_BYTES);
    let n = chunks.len();
    let shape = |(fragment, chunk): (usize, &[u8])| {
        let chunk_base58 = bs58::encode(chunk).into_string().into();
        text(&Shape { fragment, n, sha256_base58: hash.as_str().into(), chunk_base58 })
    };
    chunks.enumerate().map(shape).collect()
}

#[expect(clippy::expect_used, reason = "structs of texts and numbers always have a JSON form")]
fn text(shape: &Shape<'_>) -> String {
    serde_json::to_string(shape).expect("a fragment has a JSON form")
}

/// A fragment, read.
struct Fragment {
    number: usize,
    n: usize,
    hash: [u8; 32],
    chunk: Vec<u8>,
}

impl Fragment {
    /// `None` when the text is none, but perhaps a line.
    fn parse(text: &str) -> Result<Option<Self>, FragmentError> {
        let probe = serde_json::from_str::<Probe>(text).ok().and_then(|probe| probe.fragment);
        if probe.is_none() {
            return Ok(None);
        }
        let shape: Shape<'_> =
            serde_json::from_str(text).map_err(|error| FragmentError::Shape(error.to_string()))?;
        let Shape { fragment: number, n, sha256_base58, chunk_base58 } = shape;
        if n > MAX_FRAGMENTS || number >= n {
            return Err(FragmentError::Number { fragment: number, n });
        }
        Ok(Some(Self { number, n, hash: hash(&sha256_base58)?, chunk: chunk(&chunk_base58)? }))
    }
}

// Neither decodes more than it has room for, however long the text is.
fn chunk(base58: &str) -> Result<Vec<u8>, FragmentError> {
    let mut bytes = [0; FRAGMENT_BYTES];
    match bs58::decode(base58).onto(&mut bytes[..]) {
        Ok(length @ 1..) => Ok(bytes[..length].to_vec()),
        _ => Err(FragmentError::Chunk),
    }
}

fn hash(base58: &str) -> Result<[u8; 32], FragmentError> {
    let mut bytes = [0; 32];
    match bs58::decode(base58).onto(&mut bytes[..]) {
        Ok(32) => Ok(bytes),
        _ => Err(FragmentError::Hash),
    }
}

/// An incomplete line.
#[derive(Debug)]
struct Partial {
    hash: [u8; 32],
    chunks: Vec<Option<Vec<u8>>>,
    missing: usize,
    /// When something new of it came last.
    changed: Duration,
}

impl Partial {
    fn new(fragment: &Fragment, now: Duration) -> Self {
        let chunks = vec![None; fragment.n];
        Self { hash: fragment.hash, chunks, missing: fragment.n, changed: now }
    }

    /// Fragments that tell another number of them are of another line, so that they spoil nothing.
    fn is_of(&self, fragment: &Fragment) -> bool {
        (self.hash, self.chunks.len()) == (fragment.hash, fragment.n)
    }

    /// Keeps the first chunk that came for a number.
    fn put(&mut self, fragment: Fragment, now: Duration) {
        // The number is below n, which the chunks are.
        let Some(place @ None) = self.chunks.get_mut(fragment.number) else { return };
        *place = Some(fragment.chunk);
        self.missing -= 1;
        self.changed = now;
    }

    /// The most that it will hold: what a sender announces counts, not what came.
    fn bytes(&self) -> usize {
        self.chunks.len() * FRAGMENT_BYTES
    }

    fn line(self) -> Result<String, FragmentError> {
        let bytes: Vec<u8> = self.chunks.into_iter().flatten().flatten().collect();
        match *Digest::of(&bytes).as_bytes() == self.hash {
            true if bytes.len() <= MAX_LINE_BYTES => {
                String::from_utf8(bytes).map_err(|_| FragmentError::Line)
            }
            true => Err(FragmentError::Line),
            false => Err(FragmentError::Hash),
        }
    }
}

/// Puts lines together again. Senders are told apart by what the caller knows them by; of each a few lines may be
/// incomplete, and when it begins more, its own oldest goes. When there are too many of all, new ones are refused: nobody
/// displaces what another has begun.
#[derive(Debug)]
pub struct Assembler<Sender> {
    patience: Duration,
    senders: BTreeMap<Sender, Vec<Partial>>,
}

impl<Sender: Ord> Assembler<Sender> {
    /// Gives up lines of which nothing new has come for longer than `patience`.
    pub fn new(patience: Duration) -> Self {
        Self { patience, senders: BTreeMap::new() }
    }

    /// Takes what came from a sender: a fragment, or a line that is whole. Gives the line that is complete now. Times are
    /// what has passed since the start.
    ///
    /// # Errors
    /// When it is a fragment that cannot be used; and when it is the last one of a line that is not as it should be.
    pub fn take(
        &mut self,
        now: Duration,
        sender: Sender,
        text: &str,
    ) -> Result<Option<String>, FragmentError> {
        self.age_out(now);
        match Fragment::parse(text)? {
            None => Ok(Some(text.to_owned())),
            Some(fragment) => self.put(now, sender, fragment),
        }
    }

    /// Drops what has waited too long.
    pub fn age_out(&mut self, now: Duration) {
        let patience = self.patience;
        self.senders.retain(|_, partials| {
            partials.retain(|partial| now.saturating_sub(partial.changed) <= patience);
            !partials.is_empty()
        });
    }

    /// How many lines are incomplete.
    pub fn partial(&self) -> usize {
        self.senders.values().map(Vec::len).sum()
    }

    fn put(
        &mut self,
        now: Duration,
        sender: Sender,
        fragment: Fragment,
    ) -> Result<Option<String>, FragmentError> {
        let place = self.senders.get(&sender).and_then(|own| own.iter().position(|own| own.is_of(&fragment)));
        if place.is_none() {
            self.make_room(&sender, fragment.n)?;
        }
        let own = self.senders.entry(sender).or_default();
        let place = place.unwrap_or(own.len());
        if place == own.len() {
            own.push(Partial::new(&fragment, now));
        }
        own[place].put(fragment, now);
        if own[place].missing > 0 {
            return Ok(None);
        }
        own.swap_remove(place).line().map(Some)
    }

    /// Room for one more line of a sender, of so many fragments.
    fn make_room(&mut self, sender: &Sender, n: usize) -> Result<(), FragmentError> {
        if let Some(own) = self.senders.get_mut(sender).filter(|own| own.len() >= MAX_PARTIAL_OF_SENDER) {
            let oldest = own.iter().enumerate().min_by_key(|(_, partial)| partial.changed);
            if let Some((oldest, _)) = oldest {
                own.swap_remove(oldest);
            }
        }
        let bytes: usize = self.senders.values().flatten().map(Partial::bytes).sum();
        let is_room = self.partial() < MAX_PARTIAL && bytes + n * FRAGMENT_BYTES <= MAX_PARTIAL_BYTES;
        if is_room { Ok(()) } else { Err(FragmentError::Full) }
    }
}

#[cfg(test)]
mod tests;
