//! The handshake of a link. Without a swarm key there is none. With a key, both sides prove that they have it before
//! any line is sent.

use crate::web_server::is_web_server;
use futures::StreamExt as _;
use rand::TryRng as _;
use routing::MAX_LINE_BYTES;
use seal::{
    HelloError, LineOpener, LineSealer, LinkHandshake, MAX_HELLO_BYTES, SALT_BYTES, SwarmKey,
    sealed_line_bytes,
};
use std::io;
use telemetry::{FaultReport, faults, report};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_util::codec::{AnyDelimiterCodec, FramedRead};

/// Stream of the lines that arrive on a link, not yet decoded.
pub(crate) type Lines = FramedRead<OwnedReadHalf, AnyDelimiterCodec>;

/// A link after a successful handshake.
pub(crate) struct EstablishedLink {
    pub(crate) lines: Lines,
    pub(crate) write: OwnedWriteHalf,
    /// Sealer for sent lines and opener for received ones; `None` when lines are plain.
    pub(crate) seals: Option<(LineSealer, LineOpener)>,
}

/// Reason why a handshake failed.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.report())]
pub(crate) enum HandshakeError {
    Io(#[from] io::Error),
    Closed,
    NoHello,
    OtherKey,
    WebServer,
    Hello(#[from] HelloError),
}

impl HandshakeError {
    /// Returns the fault that describes this error.
    pub(crate) fn report(&self) -> FaultReport {
        match self {
            Self::Io(error) => report!(faults::TCP_CONNECTION_BROKEN, error = error),
            Self::Closed => report!(faults::TCP_HUNG_UP),
            Self::NoHello | Self::Hello(HelloError::Plain) => report!(faults::TCP_KEY_MISSING),
            Self::WebServer => report!(faults::TCP_WEB_SERVER),
            Self::OtherKey => report!(faults::TCP_KEY_DIFFERS),
            Self::Hello(HelloError::Version(version)) => {
                report!(faults::TCP_HANDSHAKE_VERSION, version = version)
            }
            Self::Hello(HelloError::Mirror) => report!(faults::TCP_HANDSHAKE_ECHOED),
        }
    }
}

/// Performs the handshake. The caller has to apply a timeout.
pub(crate) async fn shake_hands(
    stream: TcpStream,
    key: Option<&SwarmKey>,
    is_dialler: bool,
) -> Result<EstablishedLink, HandshakeError> {
    let (read, mut write) = stream.into_split();
    let Some(key) = key else {
        return Ok(EstablishedLink {
            lines: FramedRead::new(read, codec(MAX_LINE_BYTES)),
            write,
            seals: None,
        });
    };
    let ours = LinkHandshake::new(key, salt()?, is_dialler);
    write.write_all((ours.hello() + "\n").as_bytes()).await?;
    let mut hellos = FramedRead::new(read, codec(MAX_HELLO_BYTES));
    let hello = next(&mut hellos).await?;
    if is_web_server(&hello) {
        return Err(HandshakeError::WebServer);
    }
    let (mut sealer, mut opener) = ours.finish(&hello)?;
    // Keeps the bytes that arrived together with the hello.
    let mut lines = hellos.map_decoder(|_| codec(sealed_line_bytes(MAX_LINE_BYTES)));
    write.write_all((sealer.seal(b"") + "\n").as_bytes()).await?;
    // A peer with a different key closes the connection at this point.
    let proof = next(&mut lines).await.map_err(|_| HandshakeError::OtherKey)?;
    match opener.open(&proof).as_deref() {
        Ok(b"") => Ok(EstablishedLink { lines, write, seals: Some((sealer, opener)) }),
        _ => Err(HandshakeError::OtherKey),
    }
}

/// Returns a codec for lines of at most `longest` bytes, plus a carriage return.
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
