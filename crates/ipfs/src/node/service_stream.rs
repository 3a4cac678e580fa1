//! A stream of bytes between a service of this node and one of a peer. The rate limits of the node apply to it.
use std::fmt;
use std::io;
use std::sync::Arc;

use futures::io::{ReadHalf, WriteHalf};
use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::PeerId;
use libp2p::swarm::Stream;

use super::limits::{Direction, Share};
use super::service_streams::InUse;

/// Maximum length, in bytes, of a piece that does not wait behind longer ones, such as a key press in a terminal.
const SHORT_BYTES: usize = 1024;

/// A stream with a peer. Dropping it without [`StreamWriter::close`] resets it.
#[derive(Debug)]
pub struct ServiceStream {
    /// ID of the peer, which the connection has proved.
    pub peer: PeerId,
    /// The bytes that the peer sends.
    pub reader: StreamReader,
    /// The bytes that the peer receives.
    pub writer: StreamWriter,
}

/// The receiving half of a stream.
pub struct StreamReader {
    half: ReadHalf<Stream>,
    share: Arc<Share>,
    _in_use: Arc<InUse>,
}

/// The sending half of a stream.
pub struct StreamWriter {
    half: WriteHalf<Stream>,
    share: Arc<Share>,
    _in_use: Arc<InUse>,
}

impl fmt::Debug for StreamReader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("StreamReader")
    }
}

impl fmt::Debug for StreamWriter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("StreamWriter")
    }
}

impl ServiceStream {
    pub(super) fn new(peer: PeerId, stream: Stream, share: Arc<Share>, in_use: InUse) -> Self {
        let ((reading, writing), in_use) = (stream.split(), Arc::new(in_use));
        let reader = StreamReader { half: reading, share: share.clone(), _in_use: in_use.clone() };
        Self { peer, reader, writer: StreamWriter { half: writing, share, _in_use: in_use } }
    }
}

impl StreamReader {
    /// Reads some bytes, and returns their number; zero at the end. Bytes over the rate limit are not read, so the peer
    /// has to wait.
    ///
    /// # Errors
    /// When the connection breaks or the peer resets the stream.
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(self.share.piece_bytes(Direction::Down));
        let read = self.half.read(buffer.get_mut(..most).unwrap_or_default()).await?;
        pass(&self.share, Direction::Down, read).await;
        Ok(read)
    }
}

impl StreamWriter {
    /// Writes all bytes.
    ///
    /// # Errors
    /// When the connection breaks or the peer resets the stream.
    pub async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at(bytes.len().min(self.share.piece_bytes(Direction::Up)));
            pass(&self.share, Direction::Up, piece.len()).await;
            self.half.write_all(piece).await?;
            bytes = rest;
        }
        self.half.flush().await
    }

    /// Tells the peer that no further bytes follow. The peer can still send.
    ///
    /// # Errors
    /// When the connection breaks or the peer resets the stream.
    pub async fn close(&mut self) -> io::Result<()> {
        self.half.close().await
    }
}

async fn pass(share: &Share, direction: Direction, bytes: usize) {
    match bytes {
        0 => {}
        1..=SHORT_BYTES => share.pass_first(direction, bytes).await,
        _ => share.pass(direction, bytes).await,
    }
}
