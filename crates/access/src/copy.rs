//! Copies bytes both ways between a stream with a peer and a local connection.

use ipfs::node::{StreamReader, StreamWriter};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::sleep;

/// Size of a buffer in bytes, one for each direction.
const BUFFER_BYTES: usize = 64 * 1024;
/// Time without any byte after which a stream ends. People leave terminals open overnight.
const IDLE: Duration = Duration::from_secs(24 * 3600);
/// Time without any byte after which a stream ends whose one direction has ended. The other end may be gone.
const HALF_OPEN_IDLE: Duration = Duration::from_secs(10 * 60);
/// Interval at which a stream is checked for bytes.
const CHECK_EVERY: Duration = Duration::from_secs(60);

/// Number of bytes of a stream so far.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    sent: AtomicU64,
    received: AtomicU64,
    is_half_open: AtomicBool,
}

impl Traffic {
    /// Returns the number of bytes that the peer received, and of those that it sent.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        (self.sent.load(Ordering::Relaxed), self.received.load(Ordering::Relaxed))
    }

    /// Waits until no byte was copied for a long time.
    async fn idle(&self) {
        let (mut before, mut silent) = (self.bytes(), Duration::ZERO);
        loop {
            sleep(CHECK_EVERY).await;
            let now = self.bytes();
            silent = if now == before { silent + CHECK_EVERY } else { Duration::ZERO };
            before = now;
            let limit = if self.is_half_open.load(Ordering::Relaxed) { HALF_OPEN_IDLE } else { IDLE };
            if silent >= limit {
                return;
            }
        }
    }
}

/// The end of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CopyEnd {
    /// Both directions ended, or one of them failed.
    Closed,
    /// No byte was copied for a long time.
    Idle,
}

/// Copies both ways until both directions have ended, or one fails. When one direction ends, the other one goes on.
pub(crate) async fn copy(
    (mut reader, mut writer): (StreamReader, StreamWriter),
    (mut source, mut sink): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    traffic: &Traffic,
) -> CopyEnd {
    let both = async {
        let receiving = receive(&mut reader, &mut sink, traffic);
        let sending = send(&mut source, &mut writer, traffic);
        tokio::try_join!(receiving, sending)
    };
    tokio::select! {
        ended = both => {
            if let Err(error) = ended {
                tracing::debug!(%error, "a stream broke");
            }
            CopyEnd::Closed
        }
        () = traffic.idle() => CopyEnd::Idle,
    }
}

async fn receive(
    reader: &mut StreamReader,
    sink: &mut (impl AsyncWrite + Unpin),
    traffic: &Traffic,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = reader.read(&mut buffer).await?;
        let Some(piece) = buffer.get(..read).filter(|piece| !piece.is_empty()) else { break };
        sink.write_all(piece).await?;
        sink.flush().await?;
        traffic.received.fetch_add(read as u64, Ordering::Relaxed);
    }
    traffic.is_half_open.store(true, Ordering::Relaxed);
    sink.shutdown().await
}

async fn send(
    source: &mut (impl AsyncRead + Unpin),
    writer: &mut StreamWriter,
    traffic: &Traffic,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = source.read(&mut buffer).await?;
        let Some(piece) = buffer.get(..read).filter(|piece| !piece.is_empty()) else { break };
        writer.write_all(piece).await?;
        traffic.sent.fetch_add(read as u64, Ordering::Relaxed);
    }
    traffic.is_half_open.store(true, Ordering::Relaxed);
    writer.close().await
}
