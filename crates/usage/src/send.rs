//! Sends one message to a collector, and reads its answer.

use crate::report::Outcome;
use crate::wire::{MAX_LINE_BYTES, Message, PROTOCOL, Reply, WireError};
use dcache::PeerId;
use ipfs::node::{Node, ServiceStream, StreamReader};
use service::{Context, parse_provider, published_addresses};
use std::io;
use std::time::Duration;
use telemetry::Metric;
use tokio::time::timeout;

/// Timeout for reaching the collector.
const REACH: Duration = Duration::from_secs(30);
/// Timeout for sending the message and for the answer. The collector writes to its disk before it answers.
const ANSWER: Duration = Duration::from_secs(30);
/// Size of the buffer for a line in bytes.
const BUFFER_BYTES: usize = 512;

pub(crate) static SENT: Metric =
    Metric::counter("usage.sent", "By", "Bytes of usage statistics that this robot sent to collectors.");

/// Reason why no line could be read from a stream.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("the stream broke: {0}")]
    Broken(#[from] io::Error),
    #[error("the stream ended before the end of a line")]
    Ended,
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// Sends a message to a collector.
pub(crate) async fn send(context: &Context, collector: PeerId, message: &Message) -> Outcome {
    let stream = match timeout(REACH, open(context, collector)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(reason)) => return Outcome::Unreached(reason),
        Err(_) => {
            return Outcome::Unreached(format!("{collector} was not reached within {} s", REACH.as_secs()));
        }
    };
    let line = message.encode();
    // The bytes are counted before they leave, so never too few are counted.
    context.count(&SENT, line.len() as u64);
    match timeout(ANSWER, ask(stream, &line)).await {
        Ok(Ok(Reply::Counted {})) => Outcome::Counted,
        Ok(Ok(Reply::Forgotten {})) => Outcome::Forgotten,
        Ok(Ok(Reply::Refused { reason })) => Outcome::Refused(reason),
        Ok(Err(error)) => Outcome::Unanswered(format!("the collector did not answer: {error}")),
        Err(_) => Outcome::Unanswered(format!("the collector did not answer within {} s", ANSWER.as_secs())),
    }
}

async fn open(context: &Context, collector: PeerId) -> Result<ServiceStream, String> {
    let node: Node = context.current_node().map_err(|failure| failure.to_string())?;
    let published = context.swarm.read(move |set, now| published_addresses(set, collector, now)).await;
    let published = published.map_err(|stopped| stopped.to_string())?;
    let (peer, addresses) =
        parse_provider(collector, &published).ok_or("the collector publishes no address".to_owned())?;
    node.open_stream(peer, addresses, PROTOCOL).await.map_err(|error| error.to_string())
}

async fn ask(mut stream: ServiceStream, line: &[u8]) -> Result<Reply, ReadError> {
    stream.writer.write_all(line).await?;
    let answer = read_line(&mut stream.reader).await?;
    // The collector has answered, so it does not matter if it closed the stream first.
    let _ = stream.writer.close().await;
    Ok(Reply::decode(&answer)?)
}

/// Reads a line, without its end. A stream carries one line each way, so bytes after the line end are dropped.
pub(crate) async fn read_line(reader: &mut StreamReader) -> Result<Vec<u8>, ReadError> {
    let (mut line, mut buffer) = (Vec::new(), [0; BUFFER_BYTES]);
    while line.len() <= MAX_LINE_BYTES {
        let read = reader.read(&mut buffer).await?;
        let piece = buffer.get(..read).filter(|piece| !piece.is_empty()).ok_or(ReadError::Ended)?;
        match piece.iter().position(|byte| *byte == b'\n') {
            Some(end) => {
                line.extend_from_slice(piece.get(..end).unwrap_or_default());
                return Ok(line);
            }
            None => line.extend_from_slice(piece),
        }
    }
    Err(WireError::TooLong.into())
}
