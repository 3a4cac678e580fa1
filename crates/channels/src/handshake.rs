//! How a link begins: without a swarm key at once; with one, both sides prove that they have it before anything is said.

use futures::StreamExt as _;
use rand::TryRng as _;
use routing::MAX_LINE_BYTES;
use seal::{
    HelloError, LineOpener, LineSealer, LinkHandshake, MAX_HELLO_BYTES, SALT_BYTES, SwarmKey,
    sealed_line_bytes,
};
use std::io;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_util::codec::{AnyDelimiterCodec, FramedRead};

/// The lines that come by a link, as they are on the wire.
pub(crate) type Lines = FramedRead<OwnedReadHalf, AnyDelimiterCodec>;

/// A link that can be used.
pub(crate) struct Begun {
    pub(crate) lines: Lines,
    pub(crate) write: OwnedWriteHalf,
    /// What seals our lines and opens theirs; `None` when all is plain.
    pub(crate) seals: Option<(LineSealer, LineOpener)>,
}

/// Why a link did not begin. The words are for people, after the name of the peer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    #[error("it hung up: it belongs to another swarm (it has no key), or has too many links")]
    Closed,
    #[error("it belongs to another swarm (it has no key), or is no dt-swarm")]
    NoHello,
    #[error("it belongs to another swarm (its key differs)")]
    OtherKey,
    #[error("{0}")]
    Hello(HelloError),
}

/// Begins a link; the caller bounds its time.
pub(crate) async fn begin(
    stream: TcpStream,
    key: Option<&SwarmKey>,
    is_dialler: bool,
) -> Result<Begun, HandshakeError> {
    let (read, mut write) = stream.into_split();
    let Some(key) = key else {
        return Ok(Begun { lines: FramedRead::new(read, codec(MAX_LINE_BYTES)), write, seals: None });
    };
    let ours = LinkHandshake::new(key, salt()?, is_dialler);
    write.write_all((ours.hello() + "\n").as_bytes()).await?;
    let mut hellos = FramedRead::new(read, codec(MAX_HELLO_BYTES));
    let (mut sealer, mut opener) = ours.finish(&next(&mut hellos).await?).map_err(|error| match error {
        HelloError::Plain => HandshakeError::NoHello,
        other => HandshakeError::Hello(other),
    })?;
    // What came behind the hello is kept.
    let mut lines = hellos.map_decoder(|_| codec(sealed_line_bytes(MAX_LINE_BYTES)));
    write.write_all((sealer.seal(b"") + "\n").as_bytes()).await?;
    // Who finds that our key differs hangs up.
    let proof = next(&mut lines).await.map_err(|_| HandshakeError::OtherKey)?;
    match opener.open(&proof).as_deref() {
        Ok(b"") => Ok(Begun { lines, write, seals: Some((sealer, opener)) }),
        _ => Err(HandshakeError::OtherKey),
    }
}

/// Lines of so many bytes and a carriage return.
fn codec(longest: usize) -> AnyDelimiterCodec {
    AnyDelimiterCodec::new_with_max_length(b"\n".into(), b"\n".into(), longest + 1)
}

fn salt() -> io::Result<[u8; SALT_BYTES]> {
    let mut salt = [0; SALT_BYTES];
    rand::rngs::SysRng.try_fill_bytes(&mut salt).map_err(io::Error::other)?;
    Ok(salt)
}

async fn next(lines: &mut Lines) -> Result<Vec<u8>, HandshakeError> {
    match lines.next().await {
        Some(Ok(line)) => Ok(line.strip_suffix(b"\r").unwrap_or(&line).to_vec()),
        Some(Err(tokio_util::codec::AnyDelimiterCodecError::Io(error))) => Err(error.into()),
        Some(Err(_)) => Err(HandshakeError::NoHello),
        None => Err(HandshakeError::Closed),
    }
}
