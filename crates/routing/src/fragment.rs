//! Fragments. A line that is too long for IRC is sent in fragments (IPSD).
//!
//! A fragment is `{"fragment": i, "n": N, "sha256_base58": H, "chunk_base58": C}`. `i` counts from 0, as in the
//! original implementation, `H` is the hash of the whole line, and `C` contains at most [`FRAGMENT_BYTES`] of its
//! bytes. Fragments may arrive in any order, and more than once.

use crate::MAX_LINE_BYTES;
use dcache::Digest;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

/// Maximum number of bytes of a line that is sent whole.
pub const MAX_WHOLE_BYTES: usize = 300;
/// Maximum number of bytes of a line in one fragment.
pub const FRAGMENT_BYTES: usize = 150;
/// Maximum number of fragments of one line.
pub const MAX_FRAGMENTS: usize = MAX_LINE_BYTES.div_ceil(FRAGMENT_BYTES);
/// Maximum number of incomplete lines of one sender.
pub const MAX_PARTIAL_OF_SENDER: usize = 4;
/// Maximum number of incomplete lines of all senders.
pub const MAX_PARTIAL: usize = 256;
/// Maximum number of bytes of all incomplete lines.
pub const MAX_PARTIAL_BYTES: usize = 1024 * 1024;

/// The JSON format of a fragment.
#[derive(Serialize, Deserialize)]
struct Shape<'a> {
    fragment: usize,
    n: usize,
    #[serde(borrow)]
    sha256_base58: Cow<'a, str>,
    #[serde(borrow)]
    chunk_base58: Cow<'a, str>,
}

/// Only the key that distinguishes a fragment from a line.
#[derive(Deserialize)]
struct Probe {
    fragment: Option<IgnoredAny>,
}

/// Reason why a fragment was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FragmentError {
    /// Not in the format of a fragment.
    #[error("not a fragment: {0}")]
    Shape(String),
    /// The numbers are out of range.
    #[error("fragment {fragment} of {n}: a line has at most {MAX_FRAGMENTS} fragments, numbered from 0")]
    Number {
        /// Number of the fragment.
        fragment: usize,
        /// Announced number of fragments.
        n: usize,
    },
    /// Not base58, empty, or too long.
    #[error("a chunk is 1 to {FRAGMENT_BYTES} bytes in base58")]
    Chunk,
    /// Too many lines are incomplete.
    #[error("too many lines are incomplete")]
    Full,
    /// All fragments have arrived, but their hash differs from the announced one; or the announced text is not a hash.
    #[error("the fragments do not have the SHA-256 hash that they announce")]
    Hash,
    /// The fragments have the announced hash, but are not a text or exceed the maximum length of a line.
    #[error("the fragments do not form a line")]
    Line,
}

/// Returns the texts to send for a line: the line itself or, if it is too long, its fragments. A line of more than
/// [`MAX_LINE_BYTES`] results in fragments that every receiver refuses.
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

/// A parsed fragment.
struct Fragment {
    number: usize,
    n: usize,
    hash: [u8; 32],
    chunk: Vec<u8>,
}

impl Fragment {
    /// Parses a fragment. Returns `None` if the text is not a fragment, but perhaps a line.
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

// Neither function decodes more bytes than fit into its buffer, however long the text is.
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
    /// When a new fragment of the line last arrived.
    changed: Duration,
}

impl Partial {
    fn new(fragment: &Fragment, now: Duration) -> Self {
        let chunks = vec![None; fragment.n];
        Self { hash: fragment.hash, chunks, missing: fragment.n, changed: now }
    }

    /// Returns whether a fragment belongs to this line. Fragments with another `n` belong to another line, so that they
    /// do no harm.
    fn is_of(&self, fragment: &Fragment) -> bool {
        (self.hash, self.chunks.len()) == (fragment.hash, fragment.n)
    }

    /// Stores a chunk, unless one with the same number has arrived before.
    fn put(&mut self, fragment: Fragment, now: Duration) {
        // The number is less than `n`, which is the number of chunks.
        let Some(place @ None) = self.chunks.get_mut(fragment.number) else { return };
        *place = Some(fragment.chunk);
        self.missing -= 1;
        self.changed = now;
    }

    /// Returns the maximum size of the line. Counts what the sender announced, not what has arrived.
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

/// Reassembles lines from fragments. Senders are distinguished by the key that the caller gives. Each sender may have a
/// few incomplete lines; when it starts another one, its own oldest line is evicted. When there are too many incomplete
/// lines overall, new ones are refused. So no sender can displace the lines of another.
#[derive(Debug)]
pub struct Assembler<Sender> {
    patience: Duration,
    senders: BTreeMap<Sender, Vec<Partial>>,
}

impl<Sender: Ord> Assembler<Sender> {
    /// Returns an assembler that drops a line when no new fragment of it has arrived for longer than `patience`.
    pub fn new(patience: Duration) -> Self {
        Self { patience, senders: BTreeMap::new() }
    }

    /// Handles a text from a sender: a fragment, or a whole line. Returns the line that is now complete, if any. Times
    /// count from the start of the process.
    ///
    /// # Errors
    /// When the text is an unusable fragment, or the last fragment of a line that proves invalid.
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

    /// Drops the incomplete lines that have waited for too long.
    pub fn age_out(&mut self, now: Duration) {
        let patience = self.patience;
        self.senders.retain(|_, partials| {
            partials.retain(|partial| now.saturating_sub(partial.changed) <= patience);
            !partials.is_empty()
        });
    }

    /// Returns the number of incomplete lines.
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

    /// Makes room for one more line of a sender, with `n` fragments.
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
