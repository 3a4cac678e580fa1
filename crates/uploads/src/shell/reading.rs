//! Reads files from the destination for a client.

use crate::destination::{Destination as _, Storage};
use crate::protocol::Answer;
use service::{Failure, FailureKind};
use transfers::{MAX_PIECE_BYTES, Piece};

/// Reads a piece of the object under a key, which has `size` bytes.
///
/// # Errors
/// When the destination does not answer with the piece.
pub(super) async fn read(storage: &Storage, key: &str, offset: u64, size: u64) -> Result<Answer, Failure> {
    let end = size.min(offset.saturating_add(MAX_PIECE_BYTES as u64));
    if offset >= end {
        return Ok(Answer::Piece { data: Piece(Vec::new()) });
    }
    let read = storage.read(key, offset..end).await;
    let read = read.map_err(|trouble| Failure::new(FailureKind::Refused, trouble))?;
    if read.is_empty() || read.len() as u64 > end - offset {
        return Err(Failure::new(FailureKind::Refused, "the destination answered with another piece"));
    }
    Ok(Answer::Piece { data: Piece(read.into()) })
}
