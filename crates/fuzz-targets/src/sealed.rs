//! Target: a sealed line, in a datagram and on a link.

use seal::sealed_line_bytes;
use seal::{
    BOOT_BYTES, LineOpener, LineSealer, LinkHandshake, OVERHEAD, SALT_BYTES, Sealer, SwarmKey, Unsealed,
};

fn key() -> SwarmKey {
    SwarmKey::from_bytes([1; 32])
}

/// Returns the sealer and opener of one side of a link: the side that dials, or the other one.
fn side(is_dialler: bool) -> Option<(LineSealer, LineOpener)> {
    let side = |is_dialler| LinkHandshake::new(&key(), [u8::from(is_dialler); SALT_BYTES], is_dialler);
    side(is_dialler).finish(side(!is_dialler).hello().as_bytes()).ok()
}

/// Checks that an opened line has the right length, and cannot be opened a second time.
///
/// In practice only the seeds can be opened, since the fuzzer cannot forge the authentication.
pub fn check(bytes: &[u8]) {
    let sealer = Sealer::new(&key(), [2; BOOT_BYTES]);
    if let Ok(line) = sealer.open(bytes) {
        assert_eq!(line.len() + OVERHEAD, bytes.len());
        assert_eq!(sealer.open(bytes), Err(Unsealed::Replayed));
    }
    if sealer.is_own(bytes) {
        assert_eq!(sealer.open(bytes), Err(Unsealed::Own));
    }
    let Some((_, mut opener)) = side(false) else { return };
    if let Ok(line) = opener.open(bytes) {
        assert_eq!(sealed_line_bytes(line.len()), bytes.len());
        assert_eq!(opener.open(bytes), Err(Unsealed::Forged));
    }
}

/// Returns valid sealed lines, from both sides.
pub fn seeds() -> Vec<Vec<u8>> {
    let lines: [&[u8]; 3] = [b"", b"a line", &[b'x'; 300]];
    let [theirs, ours] = [[1; BOOT_BYTES], [2; BOOT_BYTES]].map(|boot| Sealer::new(&key(), boot));
    let datagrams = lines.iter().flat_map(|line| [theirs.seal(line), ours.seal(line)]);
    // Each of these lines is the first one of its link.
    let links =
        lines.iter().filter_map(|line| side(true).map(|(mut sealer, _)| sealer.seal(line).into_bytes()));
    datagrams.chain(links).collect()
}
