//! Reads a complete download in pieces for the client that ordered it.

use crate::protocol::MAX_PIECE_BYTES;
use ipfs::Cid;
use ipfs::store::Store;
use ipfs::unixfs::{self, ReadError};
use tokio::sync::mpsc;

/// Maximum number of pieces that are read ahead.
const AHEAD: usize = 2;

/// Reads a file on a blocking thread. Dropping the reader ends the thread.
pub(crate) struct ChunkReader {
    position: u64,
    pieces: mpsc::Receiver<Result<Vec<u8>, String>>,
}

/// The file to read: the file `path` in `root`, or `root` itself when `path` is empty.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) root: Cid,
    pub(crate) path: String,
    pub(crate) max_bytes: u64,
}

impl ChunkReader {
    /// Starts to read the file from its beginning.
    pub(crate) fn open(store: Store, source: Source) -> Self {
        let (sender, pieces) = mpsc::channel(AHEAD);
        tokio::task::spawn_blocking(move || {
            if let Err(Stop::Failed(error)) = send_pieces(&store, &source, &sender) {
                let _ = sender.blocking_send(Err(error.to_string()));
            }
        });
        Self { position: 0, pieces }
    }

    /// Returns the piece at `offset`, or an empty piece at the end of the file. `offset` must not be before the end of
    /// the last piece.
    pub(crate) async fn read(&mut self, offset: u64) -> Result<Vec<u8>, String> {
        loop {
            let place = self.position;
            let Some(piece) = self.pieces.recv().await.transpose()? else { return Ok(Vec::new()) };
            self.position += piece.len() as u64;
            if place >= offset {
                return Ok(piece);
            }
        }
    }

    /// Returns whether the piece at `offset` can still be read. The reader cannot go back.
    pub(crate) fn reaches(&self, offset: u64) -> bool {
        self.position <= offset
    }
}

enum Stop {
    Failed(ReadError),
    /// The reader was dropped.
    Unread,
}

impl From<ReadError> for Stop {
    fn from(error: ReadError) -> Self {
        Self::Failed(error)
    }
}

/// Reads the file, and sends it in pieces of [`MAX_PIECE_BYTES`]. The last piece may be shorter.
fn send_pieces(
    store: &Store,
    source: &Source,
    sender: &mpsc::Sender<Result<Vec<u8>, String>>,
) -> Result<(), Stop> {
    let mut gathered = Vec::with_capacity(MAX_PIECE_BYTES);
    let send = |piece| sender.blocking_send(Ok(piece)).map_err(|_| Stop::Unread);
    let Source { root, path, max_bytes } = source;
    unixfs::read_through::<Stop>(store, root, path, *max_bytes, &mut |mut data| {
        while !data.is_empty() {
            let (now, later) = data.split_at(data.len().min(MAX_PIECE_BYTES - gathered.len()));
            gathered.extend_from_slice(now);
            data = later;
            if gathered.len() == MAX_PIECE_BYTES {
                send(std::mem::replace(&mut gathered, Vec::with_capacity(MAX_PIECE_BYTES)))?;
            }
        }
        Ok(())
    })?;
    if gathered.is_empty() { Ok(()) } else { send(gathered) }
}
