//! Random bytes from the operating system.

use crate::error::CliError;
use rand::TryRng as _;
use std::io;

/// Returns new random bytes that are suitable for keys.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], CliError> {
    let mut bytes = [0; N];
    let filled = rand::rngs::SysRng.try_fill_bytes(&mut bytes);
    filled.map_err(|error| CliError::Random(io::Error::other(error)))?;
    Ok(bytes)
}
