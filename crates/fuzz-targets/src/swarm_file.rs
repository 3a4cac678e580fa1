//! Target: a swarm file, which people exchange.

use crate::samples;
use dcache::{MAX_SWARM_FILE_BYTES, SwarmFile};

/// Checks that a swarm file gives a policy with roots, and that it is the same after writing and parsing.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(read) = SwarmFile::parse(text) else { return };
    assert!(text.len() <= MAX_SWARM_FILE_BYTES && !read.policy().roots().is_empty());
    // Omitted keys are written with their defaults, so the file may be longer than the input.
    let written = read.to_toml();
    if written.len() <= MAX_SWARM_FILE_BYTES {
        assert_eq!(SwarmFile::parse(&written).as_ref(), Ok(&read));
    }
}

/// Returns a swarm file with all keys, and one with the required keys only.
pub fn seeds() -> Vec<Vec<u8>> {
    let (root, key) = (samples::peer(), seal::SwarmKey::from_bytes([1; 32]).reveal());
    let full = format!(
        "name = 'class'\nroots = ['{root}']\nroot_threshold = 1\nbootstrap = ['/ip4/10.0.0.1/tcp/6002']\nkey = '{key}'\n\n\
         [[rule]]\nbucket = 'share/verified'\npropose = 'trusted'\npropose_threshold = 2\ndismiss = 'admin'\n\n\
         [[rule]]\nbucket = 'trusted'\npropose = 'root'\ndismiss = 'admin'\n"
    );
    vec![full.into_bytes(), format!("name=\"c\"\nroots=[\"{root}\"]").into_bytes()]
}
