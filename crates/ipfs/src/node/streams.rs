//! Messages on streams. Each message follows its length, an unsigned varint.
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bitswap::MAX_MESSAGE_BYTES;
use bitswap::message::{self, Message};
use bytes::{Bytes, BytesMut};
use futures::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use libp2p::swarm::StreamProtocol;
use libp2p::{PeerId, Stream};
use libp2p_stream::{Control, OpenStreamError};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::half_read::{HalfRead, Held};
use super::limits::{Direction, Share};

pub(super) const PROTOCOL: StreamProtocol = StreamProtocol::new(bitswap::PROTOCOL);

/// Timeout for the next bytes of a message that was begun, and for opening a stream.
const PIECE_TIMEOUT: Duration = Duration::from_secs(60);
/// Timeout for writing to a peer. It is long because a receiver with a rate limit frees its window in steps of 128 KiB,
/// half a window.
const TAKE_TIMEOUT: Duration = Duration::from_secs(200);
/// Minimum rate of a message in bytes per millisecond. A slower message is not read to its end. Time spent waiting for
/// this node's own limits does not count.
const LEAST_BYTES_PER_MS: usize = 1;
/// Timeout for a stream that is silent between messages.
const SILENCE: Duration = Duration::from_secs(3600);
/// Length in bytes up to which a message is decoded inline. Longer messages contain blocks. They are decoded, and their
/// blocks hashed, on another thread, so that other messages need not wait.
const INLINE_BYTES: usize = 16 * 1024;

/// A message was not delivered to the peer.
#[derive(Debug)]
pub(super) enum SendError {
    /// The peer does not speak Bitswap 1.2.0.
    Unsupported,
    /// The stream broke, or was too slow.
    Broken,
}

/// Number of received bytes, in messages with blocks, that were not reported to the engine yet.
pub(super) type Coming = Arc<AtomicU64>;

/// Reads messages from one stream until it ends, breaks, or violates the protocol.
pub(super) async fn read_messages(
    (peer, source): (PeerId, Option<IpAddr>),
    mut stream: Stream,
    ((coming, share), half_read): ((Coming, Arc<Share>), HalfRead),
    messages: mpsc::Sender<(PeerId, Message)>,
) {
    loop {
        match read_message(&mut stream, &coming, &share, half_read.begin(source)).await {
            Ok(Some(message)) => {
                if messages.send((peer, message)).await.is_err() {
                    return;
                }
            }
            Ok(None) => return,
            Err(error) => return tracing::debug!(%peer, %error, "a Bitswap stream broke"),
        }
    }
}

async fn read_message(
    stream: &mut Stream,
    coming: &Coming,
    share: &Share,
    mut held: Held,
) -> io::Result<Option<Message>> {
    let Some(length) = timeout(SILENCE, read_length(stream)).await.map_err(io::Error::from)?? else {
        return Ok(None);
    };
    if length > MAX_MESSAGE_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, message::DecodeError::TooLong(length)));
    }
    let bytes = read_exactly(stream, length, (coming, share), &mut held).await?;
    decode(bytes).await.map(Some)
}

pub(super) async fn read_length(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<usize>> {
    let (mut length, mut shift) = (0usize, 0);
    loop {
        let mut byte = [0u8];
        if stream.read(&mut byte).await? == 0 {
            let between_messages = shift == 0;
            return if between_messages { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        length |= usize::from(byte[0] & 0x7f) << shift;
        shift += 7;
        if byte[0] < 0x80 {
            return Ok(Some(length));
        }
        if shift > 28 {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

/// Returns the time limit for a message of this length. A slower message would occupy memory for too long.
fn time_for(length: usize) -> Duration {
    PIECE_TIMEOUT + Duration::from_millis((length / LEAST_BYTES_PER_MS) as u64)
}

/// Reads exactly `length` bytes. Memory grows with the received bytes, not with the announced length. Bytes over the
/// rate limit are not read, so the peer has to wait.
async fn read_exactly(
    stream: &mut Stream,
    length: usize,
    (coming, share): (&Coming, &Share),
    held: &mut Held,
) -> io::Result<Bytes> {
    let has_blocks = length >= INLINE_BYTES;
    let mut bytes = BytesMut::with_capacity(length.min(share.piece_bytes(Direction::Down)));
    let mut time_left = time_for(length);
    while bytes.len() < length {
        let (start, begun) = (bytes.len(), Instant::now());
        bytes.resize(length.min(start + share.piece_bytes(Direction::Down)), 0);
        let piece = bytes.get_mut(start..).unwrap_or_default();
        let patience = PIECE_TIMEOUT.min(time_left);
        let read = timeout(patience, stream.read(piece)).await.map_err(io::Error::from)??;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        time_left = time_left.saturating_sub(begun.elapsed());
        bytes.truncate(start + read);
        held.grow(read).map_err(io::Error::other)?;
        if has_blocks {
            coming.fetch_add(read as u64, Ordering::Relaxed);
            share.pass(Direction::Down, read).await;
        } else {
            share.pass_first(Direction::Down, read).await;
        }
    }
    Ok(bytes.freeze())
}

async fn decode(bytes: Bytes) -> io::Result<Message> {
    let quick = bytes.len() <= INLINE_BYTES;
    let decode = move || message::decode_shared(bytes).map_err(io::Error::other);
    if quick { decode() } else { tokio::task::spawn_blocking(decode).await? }
}

/// Sends one message on `stream`, or on a new one, and returns the stream for the next message. A stream that broke
/// because its connection was closed is replaced.
pub(super) async fn send(
    mut control: Control,
    peer: PeerId,
    stream: Option<Stream>,
    message: Message,
    share: Arc<Share>,
) -> Result<Stream, SendError> {
    let bytes = message::encode_delimited(&message);
    if let Some(mut stream) = stream
        && write(&mut stream, &bytes, &share).await.is_ok()
    {
        return Ok(stream);
    }
    let mut stream = open(&mut control, peer).await?;
    write(&mut stream, &bytes, &share).await.map_err(|_| SendError::Broken)?;
    Ok(stream)
}

async fn open(control: &mut Control, peer: PeerId) -> Result<Stream, SendError> {
    match timeout(PIECE_TIMEOUT, control.open_stream(peer, PROTOCOL)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(OpenStreamError::UnsupportedProtocol(_))) => Err(SendError::Unsupported),
        Ok(Err(_)) | Err(_) => Err(SendError::Broken),
    }
}

async fn write(stream: &mut Stream, mut bytes: &[u8], share: &Share) -> io::Result<()> {
    let is_short = bytes.len() < INLINE_BYTES;
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at(bytes.len().min(share.piece_bytes(Direction::Up)));
        match is_short {
            true => share.pass_first(Direction::Up, piece.len()).await,
            false => share.pass(Direction::Up, piece.len()).await,
        }
        write_piece(stream, piece).await?;
        bytes = rest;
    }
    timeout(TAKE_TIMEOUT, stream.flush()).await.map_err(io::Error::from)?
}

async fn write_piece(stream: &mut Stream, mut piece: &[u8]) -> io::Result<()> {
    while !piece.is_empty() {
        let written = timeout(TAKE_TIMEOUT, stream.write(piece)).await.map_err(io::Error::from)??;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        piece = piece.get(written..).unwrap_or_default();
    }
    Ok(())
}
