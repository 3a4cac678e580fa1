//! Encryption of links: each side sends a hello, and then seals all its lines.
//!
//! ```text
//! each to the other:  {"dt-swarm-sealed":1,"salt":"32 random bytes in base64url"}
//! then, each line:    base64url of ciphertext ‖ tag
//! ```
//! The first sealed line of each side is empty, and proves that the side has the key. Each direction has a key of its
//! own, derived from both salts and the swarm key. The nonce is the number of the line. So a line is valid only at its
//! place in its connection. A peer that sends our own lines back to us fails, because the two directions have different
//! keys. A peer that sends our own salt back is refused at once.

use crate::datagram::TAG_BYTES;
use crate::key::{SubKey, derive};
use crate::{SwarmKey, Unsealed};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::{AeadInOut as _, KeyInit as _, Tag, XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Number of random bytes that each side sends.
pub const SALT_BYTES: usize = 32;
/// Maximum size, in bytes, of a hello.
pub const MAX_HELLO_BYTES: usize = 256;
const VERSION: u32 = 1;
const LABEL: &[u8] = b"dt-swarm sealed link 1";

#[derive(Serialize, Deserialize)]
struct Hello {
    #[serde(rename = "dt-swarm-sealed")]
    version: u32,
    salt: String,
}

/// Reason why the first line of the other side does not start a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HelloError {
    /// The line is not a hello; it may be an unsealed line.
    #[error("it is not the hello of a peer that has a swarm key")]
    Plain,
    /// The hello comes from a newer program.
    #[error("its version of sealed links is {0}, and this program knows {VERSION}")]
    Version(u32),
    /// The hello is our own, sent back to us.
    #[error("it repeats our own hello")]
    Mirror,
}

/// Returns whether a line is a hello. A node without a swarm key may receive one instead of an answer. The sender then
/// has a swarm key, and expects that we have it too.
pub fn is_hello(line: &[u8]) -> bool {
    read(line).is_ok()
}

fn read(line: &[u8]) -> Result<Hello, HelloError> {
    let line = if line.len() <= MAX_HELLO_BYTES { line } else { &[] };
    serde_json::from_slice(line).map_err(|_| HelloError::Plain)
}

/// Returns the maximum size, in bytes, of a sealed line whose plain text has `line` bytes. Line ends are not counted.
pub const fn sealed_line_bytes(line: usize) -> usize {
    ((line + TAG_BYTES) * 4).div_ceil(3)
}

/// The handshake of a new link.
pub struct LinkHandshake {
    key: SubKey,
    salt: [u8; SALT_BYTES],
    is_dialler: bool,
}

impl LinkHandshake {
    /// Creates a handshake. `salt` must be random and fresh for each link. `is_dialler` is true if this side opened the
    /// connection.
    pub fn new(key: &SwarmKey, salt: [u8; SALT_BYTES], is_dialler: bool) -> Self {
        Self { key: key.links(), salt, is_dialler }
    }

    /// Returns the first line to send, without a line end.
    #[expect(clippy::expect_used, reason = "a number and a text can always be written as JSON")]
    pub fn hello(&self) -> String {
        let hello = Hello { version: VERSION, salt: URL_SAFE_NO_PAD.encode(self.salt) };
        serde_json::to_string(&hello).expect("a hello can be written as JSON")
    }

    /// Completes the handshake with the first line of the other side, given without its line end. Returns the sealer
    /// for our lines and the opener for the lines of the other side.
    ///
    /// # Errors
    /// Returns an error if the line is not a hello of a known version, or is our own hello.
    pub fn finish(self, theirs: &[u8]) -> Result<(LineSealer, LineOpener), HelloError> {
        let Hello { version, salt } = read(theirs)?;
        if version != VERSION {
            return Err(HelloError::Version(version));
        }
        let theirs = URL_SAFE_NO_PAD.decode(salt).map_err(|_| HelloError::Plain)?;
        let theirs: [u8; SALT_BYTES] = theirs.try_into().map_err(|_| HelloError::Plain)?;
        if theirs == self.salt {
            return Err(HelloError::Mirror);
        }
        let (to_taker, to_dialler) = match self.is_dialler {
            true => self.directions(&self.salt, &theirs),
            false => self.directions(&theirs, &self.salt),
        };
        Ok(match self.is_dialler {
            true => (LineSealer(to_taker), LineOpener(to_dialler)),
            false => (LineSealer(to_dialler), LineOpener(to_taker)),
        })
    }

    fn directions(&self, dialler: &[u8; SALT_BYTES], taker: &[u8; SALT_BYTES]) -> (Direction, Direction) {
        let salts = [*dialler, *taker].concat();
        let direction = |label| Direction::new(&derive(&salts, &*self.key, label));
        (direction("from who dialled"), direction("to who dialled"))
    }
}

/// State of one direction of a link.
struct Direction {
    cipher: XChaCha20Poly1305,
    /// Number of the next line.
    next: u64,
}

impl Direction {
    fn new(key: &SubKey) -> Self {
        Self { cipher: XChaCha20Poly1305::new(&(**key).into()), next: 0 }
    }

    fn nonce(&self) -> XNonce {
        let mut nonce = [0; 24];
        nonce[16..].copy_from_slice(&self.next.to_be_bytes());
        nonce.into()
    }
}

/// Seals the lines of this side. The lines must be sealed in the order in which they are sent.
pub struct LineSealer(Direction);

impl LineSealer {
    /// Seals the next line, and returns the text to send, without a line end.
    #[expect(clippy::expect_used, reason = "the cipher takes lines of up to 256 GB")]
    pub fn seal(&mut self, line: &[u8]) -> String {
        let mut sealed = Vec::with_capacity(line.len() + TAG_BYTES);
        sealed.extend_from_slice(line);
        let body = sealed.as_mut_slice().into();
        let tag = self.0.cipher.encrypt_inout_detached(&self.0.nonce(), LABEL, body);
        sealed.extend_from_slice(&tag.expect("the line is shorter than 256 GB"));
        self.0.next += 1;
        URL_SAFE_NO_PAD.encode(sealed)
    }
}

/// Opens the lines of the other side. The lines must be opened in the order in which they arrive.
pub struct LineOpener(Direction);

impl LineOpener {
    /// Opens the next line that arrived. `sealed` does not include the line end.
    ///
    /// # Errors
    /// Returns an error if this is not the next line of the other side. The link must then be closed.
    pub fn open(&mut self, sealed: &[u8]) -> Result<Vec<u8>, Unsealed> {
        let mut line = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| Unsealed::Plain)?;
        let tag: [u8; TAG_BYTES] = *line.last_chunk().ok_or(Unsealed::Plain)?;
        line.truncate(line.len() - TAG_BYTES);
        let body = line.as_mut_slice().into();
        let opened = self.0.cipher.decrypt_inout_detached(&self.0.nonce(), LABEL, body, &Tag::from(tag));
        opened.map_err(|_| Unsealed::Forged)?;
        self.0.next += 1;
        Ok(line)
    }
}

macro_rules! shows_nothing {
    ($($name:ident)*) => { $(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )* };
}
shows_nothing!(LinkHandshake LineSealer LineOpener);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Side = (LineSealer, LineOpener);

    fn side(key: u8, salt: u8, is_dialler: bool) -> LinkHandshake {
        LinkHandshake::new(&SwarmKey::from_bytes([key; 32]), [salt; SALT_BYTES], is_dialler)
    }

    fn link(dialler: LinkHandshake, taker: LinkHandshake) -> (Side, Side) {
        let hellos = (dialler.hello(), taker.hello());
        (dialler.finish(hellos.1.as_bytes()).unwrap(), taker.finish(hellos.0.as_bytes()).unwrap())
    }

    fn honest() -> (Side, Side) {
        link(side(1, 1, true), side(1, 2, false))
    }

    #[test]
    fn sealed_lines_equal_those_of_another_implementation() {
        let ((mut dialler, _), (mut taker, _)) = honest();
        // The expected lines come from the implementation that datagram.rs names.
        let known = ["UA2iPzRNcb6ohEPmiY9K4w", "qHabkGVWG--x4yEqiFFKBFYhGDQxIA", "Au3TPKh9aHb7fPSv1rbFFg"];
        assert_eq!([dialler.seal(b""), dialler.seal(b"a line"), taker.seal(b"")], known);
    }

    #[test]
    fn lines_are_opened_in_order_in_both_directions() {
        let (mut dialler, mut taker) = honest();
        for line in [&b""[..], b"one", b"two", b"two"] {
            let (there, back) = (dialler.0.seal(line), taker.0.seal(line));
            assert_eq!(there.len(), sealed_line_bytes(line.len()));
            assert_ne!(there, back);
            assert_eq!(taker.1.open(there.as_bytes()).as_deref(), Ok(line));
            assert_eq!(dialler.1.open(back.as_bytes()).as_deref(), Ok(line));
        }
    }

    #[test]
    fn repeated_missing_moved_and_foreign_lines_are_refused() {
        let (mut dialler, mut taker) = honest();
        let lines: Vec<_> = (0..3).map(|_| dialler.0.seal(b"line")).collect();
        let mut is_refused = |line: &String| taker.1.open(line.as_bytes()) == Err(Unsealed::Forged);
        assert!(is_refused(&lines[1]) && is_refused(&lines[2]), "a line before this one is missing");
        let mut other = link(side(1, 1, true), side(1, 3, false)).0;
        assert!(is_refused(&other.0.seal(b"line")), "the line belongs to a link with another salt");
        assert!(!is_refused(&lines[0]) && is_refused(&lines[0]), "a line is accepted once");
        assert!(!is_refused(&lines[1]) && !is_refused(&lines[2]));
    }

    #[test]
    fn a_peer_with_another_key_or_no_key_is_refused() {
        let (mut dialler, mut taker) = link(side(1, 1, true), side(2, 2, false));
        assert_eq!(taker.1.open(dialler.0.seal(b"").as_bytes()), Err(Unsealed::Forged));
        assert_eq!(dialler.1.open(taker.0.seal(b"").as_bytes()), Err(Unsealed::Forged));
        for plain in ["", "{}", "AAAA", "{\"from\":1}"] {
            assert_eq!(taker.1.open(plain.as_bytes()), Err(Unsealed::Plain), "{plain}");
        }
    }

    #[test]
    fn a_peer_that_sends_our_own_lines_back_is_refused() {
        let ours = side(1, 1, true);
        let hello = ours.hello();
        assert_eq!(ours.finish(hello.as_bytes()).unwrap_err(), HelloError::Mirror);
        // A peer that sends our sealed lines back is refused as well.
        let (mut dialler, _) = honest();
        let line = dialler.0.seal(b"");
        assert_eq!(dialler.1.open(line.as_bytes()), Err(Unsealed::Forged));
    }

    #[test]
    fn a_hello_is_readable_and_bounded() {
        let hello = side(1, 0, true).hello();
        let salt = "A".repeat(43);
        assert_eq!(hello, format!("{{\"dt-swarm-sealed\":1,\"salt\":\"{salt}\"}}"));
        assert!(is_hello(hello.as_bytes()) && hello.len() <= MAX_HELLO_BYTES);
        let finish = |text: &str| side(1, 1, true).finish(text.as_bytes()).map(drop);
        assert_eq!(finish(&format!("{{\"salt\":\"{salt}\",\"more\":[],\"dt-swarm-sealed\":1}}\r")), Ok(()));
        assert_eq!(finish(&hello.replace(":1", ":2")), Err(HelloError::Version(2)));
        let long = format!("{hello}{}", " ".repeat(MAX_HELLO_BYTES));
        for wrong in
            ["", "{}", "{\"from\":\"\"}", &hello.replace("AAA", "A"), &hello.replace('A', "!"), &long]
        {
            assert_eq!(finish(wrong), Err(HelloError::Plain), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_changed_line_is_refused(length in 0..80usize, place in any::<prop::sample::Index>(), to: u8) {
            let (mut dialler, mut taker) = honest();
            let line = dialler.0.seal(&vec![b'x'; length]).into_bytes();
            let mut changed = line.clone();
            changed[place.index(line.len())] = to;
            prop_assert_eq!(taker.1.open(&changed).is_ok(), changed == line);
            for cut in 0..line.len() {
                prop_assert!(taker.1.open(&line[..cut]).is_err());
            }
        }
    }
}
