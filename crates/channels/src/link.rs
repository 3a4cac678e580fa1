//! A TCP connection that speaks the line protocol: one task reads, one writes, and both end together.

use crate::Switchboard;
use crate::switchboard::Route;
use futures::StreamExt as _;
use routing::{ChannelEvent, ChannelId, Envelope, MAX_LINE_BYTES, Medium};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncWriteExt as _, BufWriter};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio_util::codec::{AnyDelimiterCodec, FramedRead};

/// How many lines may wait to be written: several portions of an answer.
const MAX_WAITING: usize = 1024;

/// How long the answer to somebody who asked and closed its side may take.
const LINGER: Duration = Duration::from_secs(300);

/// How long a link may be useless before it is closed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Without a whole line from the other side.
    pub(crate) silent: Duration,
    /// Without the other side taking what is written.
    pub(crate) stuck: Duration,
}

/// Runs a link from up to down; `Down` is reported whatever happens to it.
pub(crate) async fn run_link(
    stream: TcpStream,
    dialled: Option<SocketAddr>,
    patience: Patience,
    switchboard: Switchboard,
) {
    let channel = switchboard.new_id();
    let (lines, waiting) = mpsc::channel(MAX_WAITING);
    switchboard.add(channel, Route::Link(lines));
    switchboard.report(ChannelEvent::Up { channel, medium: Medium::Link { dialled, is_kept: false } }).await;
    let (read, write) = stream.into_split();
    // In tasks of their own, so that even a panic in one of them ends in `Down`.
    let mut reader = tokio::spawn(read_lines(read, channel, patience.silent, switchboard.clone()));
    let mut writer = tokio::spawn(write_lines(write, waiting, channel, patience.stuck, switchboard.clone()));
    tokio::select! {
        ended = &mut reader => {
            // At an orderly end the brain closes the link, once it has given its answer.
            if !matches!(ended, Ok(End::Orderly)) {
                switchboard.remove(channel);
            }
            let _ = tokio::time::timeout(LINGER, &mut writer).await;
            writer.abort();
        }
        _ = &mut writer => reader.abort(),
    }
    switchboard.remove(channel);
    switchboard.report(ChannelEvent::Down { channel }).await;
}

/// How reading ended.
enum End {
    /// The other side has said all that it wanted to.
    Orderly,
    /// It broke the protocol or the connection, or fell silent.
    Broken,
}

async fn read_lines(
    read: OwnedReadHalf,
    channel: ChannelId,
    silent: Duration,
    switchboard: Switchboard,
) -> End {
    let codec = AnyDelimiterCodec::new_with_max_length(b"\n".into(), b"\n".into(), MAX_LINE_BYTES + 1);
    let mut lines = FramedRead::new(read, codec);
    loop {
        let line = match tokio::time::timeout(silent, lines.next()).await {
            Ok(Some(Ok(line))) => line,
            Ok(None) => {
                switchboard.report(ChannelEvent::Ended { channel }).await;
                return End::Orderly;
            }
            // A line without end, or a broken connection.
            Ok(Some(Err(_))) => {
                switchboard.report(ChannelEvent::Malformed { channel }).await;
                return End::Broken;
            }
            Err(_) => return End::Broken,
        };
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        if line.is_empty() {
            continue;
        }
        let event = match Envelope::decode(line) {
            Ok(envelope) => ChannelEvent::Received { channel, source: None, envelope, bytes: line.len() },
            Err(error) => {
                tracing::debug!(?channel, %error, "not a line");
                ChannelEvent::Malformed { channel }
            }
        };
        switchboard.report(event).await;
    }
}

async fn write_lines(
    write: OwnedWriteHalf,
    mut waiting: mpsc::Receiver<String>,
    channel: ChannelId,
    stuck: Duration,
    switchboard: Switchboard,
) {
    let mut write = BufWriter::new(write);
    while let Some(line) = waiting.recv().await {
        let is_last = waiting.is_empty();
        let written = async {
            write.write_all(line.as_bytes()).await?;
            write.write_all(b"\n").await?;
            if is_last { write.flush().await } else { Ok(()) }
        };
        if !matches!(tokio::time::timeout(stuck, written).await, Ok(Ok(()))) {
            return;
        }
        if is_last {
            switchboard.report(ChannelEvent::Drained { channel }).await;
        }
    }
    // An orderly end: everything was written.
    let _ = tokio::time::timeout(stuck, write.shutdown()).await;
}
