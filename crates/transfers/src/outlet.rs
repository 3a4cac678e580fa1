//! A file that is read piece by piece by whoever ordered it.

use control::MAX_PIECE_BYTES;
use ipfs::Cid;
use ipfs::store::Store;
use ipfs::unixfs::{self, ReadError};
use tokio::sync::mpsc;

/// How many pieces are read ahead.
const AHEAD: usize = 2;

/// Reading, at some place. Dropping it ends the reading.
pub(crate) struct Outlet {
    position: u64,
    pieces: mpsc::Receiver<Result<Vec<u8>, String>>,
}

/// What is read: the file `path` in `root`, or `root` itself when `path` is empty.
#[derive(Clone)]
pub(crate) struct Content {
    pub(crate) root: Cid,
    pub(crate) path: String,
    pub(crate) max_bytes: u64,
}

impl Outlet {
    /// Begins to read, on a thread of its own.
    pub(crate) fn open(store: Store, content: Content) -> Self {
        let (sender, pieces) = mpsc::channel(AHEAD);
        tokio::task::spawn_blocking(move || {
            if let Err(Stop::Failed(error)) = pour(&store, &content, &sender) {
                let _ = sender.blocking_send(Err(error.to_string()));
            }
        });
        Self { position: 0, pieces }
    }

    /// The piece at `offset`, which is that of the piece after the one before, or a later one; nothing at the end.
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

    /// Whether the piece at `offset` is still to come.
    pub(crate) fn reaches(&self, offset: u64) -> bool {
        self.position <= offset
    }
}

enum Stop {
    Failed(ReadError),
    /// Nobody reads any more.
    Unread,
}

impl From<ReadError> for Stop {
    fn from(error: ReadError) -> Self {
        Self::Failed(error)
    }
}

fn pour(
    store: &Store,
    content: &Content,
    sender: &mpsc::Sender<Result<Vec<u8>, String>>,
) -> Result<(), Stop> {
    let mut gathered = Vec::with_capacity(MAX_PIECE_BYTES);
    let send = |piece| sender.blocking_send(Ok(piece)).map_err(|_| Stop::Unread);
    let Content { root, path, max_bytes } = content;
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
