//! The side of whoever asks: plain blocking sockets.

use crate::{Answer, Failure, Intent, MAX_ANSWER_BYTES, Outcome, Prepared, Request, Status};
use dcache::PeerId;
use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A connection with the daemon of this computer.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    stream: BufReader<UnixStream>,
    patience: Duration,
}

/// Why there is no answer, or not the one that was hoped for.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody serves the socket.
    #[error("no daemon answers at {0}: {1}")]
    Absent(PathBuf, io::Error),
    /// The socket is somebody else's.
    #[error("the daemon at {0} belongs to another user: run this as the user who runs dt-swarm, or as root")]
    NotOurs(PathBuf),
    /// Nothing came in time.
    #[error("the daemon at {0} has said nothing for {secs} s", secs = .1.as_secs_f64())]
    Silent(PathBuf, Duration),
    /// It closed the connection without a word.
    #[error(
        "the daemon at {0} closed the connection: it is stopping, or belongs to another user (root may speak to it, too)"
    )]
    Closed(PathBuf),
    /// The connection broke.
    #[error("the connection with the daemon at {0} broke: {1}")]
    Broken(PathBuf, io::Error),
    /// What answers speaks another language.
    #[error("what answers at {0} is no dt-swarm daemon of this version: {1}")]
    Strange(PathBuf, String),
    /// The daemon did not do it.
    #[error(transparent)]
    Failure(#[from] Failure),
}

impl Client {
    /// Connects with the daemon at this socket; it has `patience` for each answer.
    ///
    /// # Errors
    /// When nobody serves it, or it is another user's.
    pub fn connect(path: &Path, patience: Duration) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(path).map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied => ClientError::NotOurs(path.to_owned()),
            _ => ClientError::Absent(path.to_owned(), error),
        })?;
        let limited = stream.set_read_timeout(Some(patience));
        let limited = limited.and_then(|()| stream.set_write_timeout(Some(patience)));
        limited.map_err(|error| ClientError::Broken(path.to_owned(), error))?;
        Ok(Self { path: path.to_owned(), stream: BufReader::new(stream), patience })
    }

    /// Where the daemon's socket is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// One request and its answer.
    ///
    /// # Errors
    /// When it was not done, or no answer came.
    pub fn ask(&mut self, request: &Request) -> Result<Answer, ClientError> {
        let line = request.encode() + "\n";
        self.stream.get_mut().write_all(line.as_bytes()).map_err(|error| self.failed(error))?;
        let strange = |path: &Path, reason: String| ClientError::Strange(path.to_owned(), reason);
        let answer = self.line()?;
        match serde_json::from_slice(&answer).map_err(|error| strange(&self.path, error.to_string()))? {
            Answer::Failure(failure) => Err(failure.into()),
            answer => Ok(answer),
        }
    }

    fn line(&mut self) -> Result<Vec<u8>, ClientError> {
        let mut line = Vec::new();
        let most = MAX_ANSWER_BYTES as u64 + 1;
        // Not a deadline for the whole: whoever serves this socket could do worse than to be slow.
        let read = self.stream.by_ref().take(most).read_until(b'\n', &mut line);
        read.map_err(|error| self.failed(error))?;
        match line.pop() {
            Some(b'\n') => Ok(line),
            // To those who may not speak it says nothing.
            None => Err(ClientError::Closed(self.path.clone())),
            Some(_) => Err(self.failed(ErrorKind::UnexpectedEof.into())),
        }
    }

    fn failed(&self, error: io::Error) -> ClientError {
        match error.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => {
                ClientError::Silent(self.path.clone(), self.patience)
            }
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => ClientError::Closed(self.path.clone()),
            _ => ClientError::Broken(self.path.clone(), error),
        }
    }

    /// How the daemon stands.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn status(&mut self) -> Result<Status, ClientError> {
        match self.ask(&Request::Status {})? {
            Answer::Status(status) => Ok(status),
            other => Err(self.unexpected(&other)),
        }
    }

    /// What somebody has to know before he says something; this node when no signer is given.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn prepare(&mut self, signer: Option<PeerId>, intents: Vec<Intent>) -> Result<Prepared, ClientError> {
        let number = intents.len();
        match self.ask(&Request::Prepare { signer, intents })? {
            Answer::Prepared(prepared) if prepared.standings.len() != number => {
                Err(self.unexpected(&Answer::Prepared(prepared)))
            }
            Answer::Prepared(prepared) => Ok(prepared),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Something to say; returns what came of each word.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn say(&mut self, request: &Request) -> Result<Vec<Outcome>, ClientError> {
        match self.ask(request)? {
            Answer::Said { outcomes } => Ok(outcomes),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Something that is done or not.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn order(&mut self, request: &Request) -> Result<(), ClientError> {
        match self.ask(request)? {
            Answer::Done {} => Ok(()),
            other => Err(self.unexpected(&other)),
        }
    }

    /// An answer that does not fit the question.
    #[must_use]
    pub fn unexpected(&self, answer: &Answer) -> ClientError {
        ClientError::Strange(self.path.clone(), format!("an answer to another question: {}", answer.encode()))
    }
}
