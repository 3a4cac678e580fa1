//! Reads a complete download in pieces for the client that ordered it.

use crate::archive::{Archive, ArchivePart};
use crate::protocol::MAX_PIECE_BYTES;
use ipfs::Cid;
use ipfs::store::Store;
use ipfs::unixfs::{self, Listed, ReadError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc;

/// Maximum number of pieces that are read ahead.
const AHEAD: usize = 2;

/// Reads a file, or a folder as an archive, on a blocking thread. Dropping the reader ends the thread.
pub(crate) struct ChunkReader {
    position: u64,
    is_archive: Arc<AtomicBool>,
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
        let is_archive: Arc<AtomicBool> = Arc::default();
        let is_folder = is_archive.clone();
        tokio::task::spawn_blocking(move || {
            let mut pieces = Pieces { gathered: Vec::with_capacity(MAX_PIECE_BYTES), sender: &sender };
            let sent = match folder_at(&store, &source) {
                Some(files) => {
                    is_folder.store(true, Ordering::Relaxed);
                    send_folder(&store, &source, &files, &mut pieces)
                }
                None => send_file(&store, &source.root, (&source.path, source.max_bytes), &mut pieces),
            };
            if let Err(Stop::Failed(error)) = sent.and_then(|()| pieces.finish()) {
                let _ = sender.blocking_send(Err(error.to_string()));
            }
        });
        Self { position: 0, is_archive, pieces }
    }

    /// Returns whether the pieces that were read are those of the archive of a folder.
    pub(crate) fn is_archive(&self) -> bool {
        self.is_archive.load(Ordering::Relaxed)
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

/// Sends content in pieces of [`MAX_PIECE_BYTES`]. The last piece may be shorter.
struct Pieces<'a> {
    gathered: Vec<u8>,
    sender: &'a mpsc::Sender<Result<Vec<u8>, String>>,
}

impl Pieces<'_> {
    fn add(&mut self, mut data: &[u8]) -> Result<(), Stop> {
        while !data.is_empty() {
            let (now, later) = data.split_at(data.len().min(MAX_PIECE_BYTES - self.gathered.len()));
            self.gathered.extend_from_slice(now);
            data = later;
            if self.gathered.len() == MAX_PIECE_BYTES {
                let whole = std::mem::replace(&mut self.gathered, Vec::with_capacity(MAX_PIECE_BYTES));
                self.send(whole)?;
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(), Stop> {
        let last = std::mem::take(&mut self.gathered);
        if last.is_empty() { Ok(()) } else { self.send(last) }
    }

    fn send(&self, piece: Vec<u8>) -> Result<(), Stop> {
        self.sender.blocking_send(Ok(piece)).map_err(|_| Stop::Unread)
    }
}

fn send_file(
    store: &Store,
    root: &Cid,
    (path, max_bytes): (&str, u64),
    pieces: &mut Pieces<'_>,
) -> Result<(), Stop> {
    unixfs::read_through::<Stop>(store, root, path, max_bytes, &mut |data| pieces.add(data))
}

/// Returns the files of the folder that a source names; `None` when it names a file, or nothing that can be read.
fn folder_at(store: &Store, source: &Source) -> Option<Vec<Listed>> {
    let entries = unixfs::list(store, &source.root).ok()?;
    let folder = entries.into_iter().find(|entry| entry.name == source.path)?;
    unixfs::list(store, &folder.cid).ok()
}

/// Sends a folder as an archive.
fn send_folder(
    store: &Store,
    source: &Source,
    files: &[Listed],
    pieces: &mut Pieces<'_>,
) -> Result<(), Stop> {
    let mut sizes = Vec::new();
    let mut left = source.max_bytes;
    for file in files {
        let size = unixfs::file_size(store, &file.cid, "", left)?;
        left = left.saturating_sub(size);
        sizes.push((file.name.as_str(), size));
    }
    let archive = Archive::new(&source.path, sizes);
    for (part, _) in archive.within(0..archive.size()) {
        match part {
            ArchivePart::Bytes(bytes) => pieces.add(bytes)?,
            ArchivePart::File(index, size) => {
                let Some(file) = files.get(*index) else { continue };
                send_file(store, &file.cid, ("", *size), pieces)?;
            }
        }
    }
    Ok(())
}
