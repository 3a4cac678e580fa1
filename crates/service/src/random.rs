//! Random bytes from the operating system.

use rand::TryRng as _;
use std::io;

/// Returns new random bytes that are suitable for secrets and for IDs.
///
/// # Errors
/// Returns an error if the operating system gives none.
pub fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    rand::rngs::SysRng.try_fill_bytes(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_differ_each_time() {
        assert_ne!(random::<32>().unwrap(), random::<32>().unwrap());
    }
}
