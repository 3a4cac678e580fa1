//! Gives a stream of bytes to one program of the daemon's user: through a Unix socket that accepts a single connection.

use crate::Context;
use control::{BindError, Listener};
use rand::TryRng as _;
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::time::Duration;
use tokio::net::UnixStream;

/// Number of random bytes in the name of a socket. Two sockets never have the same name.
const NAME_BYTES: usize = 16;

/// A Unix socket that accepts a single connection, of the daemon's user or of root. Dropping it removes the socket.
#[derive(Debug)]
pub struct Handover {
    listener: Listener,
    name: String,
}

/// Reason why a stream was not handed over.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// The socket cannot be opened.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The operating system refuses random bytes or a connection.
    #[error("a socket for one program could not be used: {0}")]
    System(#[from] io::Error),
    /// The program did not connect in time.
    #[error("the program that asked for the stream did not connect in time")]
    Late,
}

impl Handover {
    /// Opens a socket in the folder of the control socket. `kind` is the first part of its file name.
    ///
    /// # Errors
    /// When the socket cannot be opened.
    pub fn open(context: &Context, kind: &str) -> Result<Self, HandoverError> {
        let mut random = [0; NAME_BYTES];
        rand::rngs::SysRng.try_fill_bytes(&mut random).map_err(io::Error::other)?;
        let mut name = format!("{kind}-");
        for byte in random {
            // Writing to a String does not fail.
            let _ = write!(name, "{byte:02x}");
        }
        name += ".sock";
        let folder = context.folders.control_socket.parent().unwrap_or(Path::new("."));
        Ok(Self { listener: Listener::open(&folder.join(&name))?, name })
    }

    /// Returns the file name of the socket. Its folder is that of the control socket, as the program sees it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Waits for the program, and removes the socket.
    ///
    /// # Errors
    /// When the program does not connect in time.
    pub async fn accept(self, within: Duration) -> Result<UnixStream, HandoverError> {
        let accepted = tokio::time::timeout(within, self.listener.accept()).await;
        Ok(accepted.map_err(|_| HandoverError::Late)??)
    }
}
