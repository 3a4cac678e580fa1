//! The client of the control socket, with blocking I/O.

use crate::frame::ParsedFrame;
use crate::socket_path::SocketPath;
use crate::{AnswerFrame, Failure, MAX_ANSWER_BYTES, Protocol, RequestFrame};
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;
use serde_json::value::RawValue;
use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A connection to the daemon on this computer.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    stream: BufReader<UnixStream>,
    timeout: Duration,
}

/// The reason why there is no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No process serves the socket.
    #[error("no daemon answers at {0}: {1}")]
    Absent(PathBuf, #[source] io::Error),
    /// The socket belongs to another user.
    #[error("the daemon at {0} belongs to another user: run this as the user who runs dt-swarm, or as root")]
    NotOurs(PathBuf),
    /// No answer came within the timeout.
    #[error("the daemon at {0} has not answered for {secs} s", secs = .1.as_secs_f64())]
    Silent(PathBuf, Duration),
    /// The daemon closed the connection without an answer.
    #[error(
        "the daemon at {0} closed the connection: it is stopping, or belongs to another user (root may use its socket too)"
    )]
    Closed(PathBuf),
    /// The connection failed.
    #[error("the connection to the daemon at {0} failed: {1}")]
    Broken(PathBuf, #[source] io::Error),
    /// This version does not understand the answer.
    #[error("the process at {0} is not a dt-swarm daemon of this version: {1}")]
    Strange(PathBuf, String),
    /// The daemon refused the request, or failed to fulfil it.
    #[error(transparent)]
    Failure(#[from] Failure),
}

impl Client {
    /// Connects to the daemon that serves the socket at `path`. `timeout` limits the wait for each answer.
    ///
    /// The path may come from an untrusted source, and requests can contain secrets. So the serving process has to belong
    /// to this user or to root. A client that runs as root accepts any user.
    ///
    /// # Errors
    /// Returns an error if no process serves the socket, or if it belongs to another user.
    pub fn connect(path: &Path, timeout: Duration) -> Result<Self, ClientError> {
        let stream = connect(path)?;
        let limited = stream.set_read_timeout(Some(timeout));
        let limited = limited.and_then(|()| stream.set_write_timeout(Some(timeout)));
        limited.map_err(|error| ClientError::Broken(path.to_owned(), error))?;
        Ok(Self { path: path.to_owned(), stream: BufReader::new(stream), timeout })
    }

    /// Returns the path of the daemon's socket.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Sends one request to the service of `P`, and reads its answer.
    ///
    /// # Errors
    /// Returns an error if the request failed, or if no answer came.
    pub fn call<P: Protocol>(&mut self, request: &P::Request) -> Result<P::Answer, ClientError> {
        let line = self.ask(&RequestFrame::of::<P>(request).encode())?;
        match ParsedFrame::parse(&line).map_err(|error| self.strange(&error))? {
            ParsedFrame::Failure(failure) => Err(failure.into()),
            ParsedFrame::Answer(answer) => Ok(answer),
        }
    }

    /// Sends one line, and reads its answer. It is for requests without a [`Protocol`].
    ///
    /// # Errors
    /// Returns the same errors as [`Self::call`].
    pub fn send(&mut self, line: &str) -> Result<Box<RawValue>, ClientError> {
        let line = self.ask(line)?;
        match AnswerFrame::parse(&line).map_err(|error| self.strange(&error))? {
            AnswerFrame::Failure(failure) => Err(failure.into()),
            AnswerFrame::Answer(answer) => Ok(answer),
        }
    }

    /// Sends one line, and returns the line of its answer.
    fn ask(&mut self, line: &str) -> Result<Vec<u8>, ClientError> {
        let line = format!("{line}\n");
        self.stream.get_mut().write_all(line.as_bytes()).map_err(|error| self.failed(error))?;
        self.read_line()
    }

    fn read_line(&mut self) -> Result<Vec<u8>, ClientError> {
        let mut line = Vec::new();
        let most = MAX_ANSWER_BYTES as u64 + 1;
        // The timeout applies to each read, not to the whole line. The process at this socket is trusted, so it may be slow
        // but not hostile.
        let read = self.stream.by_ref().take(most).read_until(b'\n', &mut line);
        read.map_err(|error| self.failed(error))?;
        match line.pop() {
            Some(b'\n') => Ok(line),
            // The daemon closes the connection of other users without an answer.
            None => Err(ClientError::Closed(self.path.clone())),
            Some(_) => Err(self.failed(ErrorKind::UnexpectedEof.into())),
        }
    }

    fn failed(&self, error: io::Error) -> ClientError {
        match error.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => {
                ClientError::Silent(self.path.clone(), self.timeout)
            }
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => ClientError::Closed(self.path.clone()),
            _ => ClientError::Broken(self.path.clone(), error),
        }
    }

    fn strange(&self, error: &serde_json::Error) -> ClientError {
        ClientError::Strange(self.path.clone(), error.to_string())
    }

    /// Creates the error for an answer that does not match its request.
    #[must_use]
    pub fn unexpected(&self, answer: &impl std::fmt::Debug) -> ClientError {
        ClientError::Strange(self.path.clone(), format!("an answer to another request: {answer:?}"))
    }
}

/// Connects to the process that serves the socket at `path`, which has to belong to this user or to root.
///
/// # Errors
/// Returns an error if no process serves the socket, or if it belongs to another user.
pub fn connect(path: &Path) -> Result<UnixStream, ClientError> {
    let stream = SocketPath::new(path).and_then(|reachable| UnixStream::connect(reachable.path()));
    let stream = stream.map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => ClientError::NotOurs(path.to_owned()),
        _ => ClientError::Absent(path.to_owned(), error),
    })?;
    let server = getsockopt(&stream, PeerCredentials);
    let server = server.map_err(|error| ClientError::Broken(path.to_owned(), error.into()))?;
    if !is_trusted(server.uid(), rustix::process::geteuid().as_raw()) {
        return Err(ClientError::NotOurs(path.to_owned()));
    }
    Ok(stream)
}

/// Returns whether a client of the user `own` may send requests to a process of the user `server`.
fn is_trusted(server: u32, own: u32) -> bool {
    server == own || server == 0 || own == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_go_to_the_same_user_and_to_root_only() {
        assert!(is_trusted(1000, 1000) && is_trusted(0, 1000) && is_trusted(1000, 0));
        assert!(!is_trusted(1001, 1000));
    }
}
