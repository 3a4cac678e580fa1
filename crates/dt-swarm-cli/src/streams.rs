//! Streams to TCP ports of other robots. The daemon on this computer opens them, and hands each over through a Unix
//! socket that accepts one connection.

use crate::context::Context;
use crate::error::{CliError, NoRobot, StreamRefused};
use crate::output::fields::PeerRef;
use crate::robots::{Choice, Selector};
use crate::target::{Target, shared_name};
use access::{Access, Answer, Request};
use control::Client;
use dcache::PeerId;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::num::NonZeroU16;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// Minimum time to wait for a stream. The daemon gives up after 25 seconds.
pub(crate) const MIN_TIMEOUT: Duration = Duration::from_secs(35);

/// Size of the buffer of each direction in bytes.
const BUFFER_BYTES: usize = 64 * 1024;

/// A TCP port of a robot, and the daemon on this computer that reaches it.
#[derive(Clone, Debug)]
pub(crate) struct RemotePort {
    pub(crate) robot: PeerRef,
    pub(crate) port: NonZeroU16,
    socket: PathBuf,
    timeout: Duration,
}

impl Context {
    /// Finds a port of the robot NAME; without NAME, of the robot at HOST.
    ///
    /// # Errors
    /// When no robot, or several, have the name, or no daemon of this user answers on this computer.
    pub(crate) fn remote_port(&self, name: Option<&str>, port: NonZeroU16) -> Result<RemotePort, CliError> {
        let robot = match name {
            Some(name) => {
                self.require_here()?;
                self.robot_called(name)?
            }
            None => self.robot_at_host()?,
        };
        let socket = self.find()?.client.path().to_owned();
        Ok(RemotePort { robot, port, socket, timeout: self.timeout.max(MIN_TIMEOUT) })
    }

    /// Finds a robot by its name or peer ID.
    pub(crate) fn robot_called(&self, name: &str) -> Result<PeerRef, CliError> {
        let known = self.robots_known_here().unwrap_or_default();
        let selector = Selector::new(name);
        match selector.choose(&known) {
            Choice::One(robot) => {
                let hostname = robot.name.as_ref().map(|name| name.value.clone());
                robot.peer.map(|peer| PeerRef { peer, hostname })
            }
            Choice::Several(all) => return Err(shared_name(&selector, &all, &known).into()),
            Choice::None => name.parse().ok().map(PeerRef::unnamed),
        }
        .ok_or_else(|| {
            let similar = selector.similar(&known).map(str::to_owned);
            NoRobot { name: name.to_owned(), similar, source: None }.into()
        })
    }

    /// Returns the robot at HOST. If HOST is an address, the daemon there is asked for its peer ID.
    pub(crate) fn robot_at_host(&self) -> Result<PeerRef, CliError> {
        match self.target()? {
            Target::Robot(_) => self.robot_called(&self.host.name),
            Target::Host(host, _) if host.is_here() => Err(CliError::NoDestination),
            Target::Host(..) => Ok(self.ping()?.1.peer),
        }
    }
}

impl RemotePort {
    /// Opens a stream to the port.
    ///
    /// # Errors
    /// When the robot cannot be reached, or refuses the stream.
    pub(crate) fn open(&self) -> Result<UnixStream, CliError> {
        let mut client = Client::connect(&self.socket, self.timeout)?;
        let request = Request::Open { peer: self.robot.peer, port: self.port };
        match client.call::<Access>(&request)? {
            // The name comes from the daemon of this user, or of root.
            Answer::Opened { socket } => Ok(control::connect(&self.socket.with_file_name(socket))?),
            Answer::Refused { reason, me } => {
                let (robot, port) = (self.robot.show(), self.port);
                Err(StreamRefused { robot, port, reason, me }.into())
            }
            other => Err(client.unexpected(&other).into()),
        }
    }

    /// Returns the peer ID of the robot.
    pub(crate) fn peer(&self) -> PeerId {
        self.robot.peer
    }
}

/// Copies `input` to the stream and the stream to `output`, until the stream ends.
///
/// # Errors
/// When the stream breaks, or the output cannot be written.
pub(crate) fn copy(stream: UnixStream, input: impl AsFd, output: impl AsFd) -> io::Result<()> {
    let (source, sink) = (file(input)?, file(output)?);
    let sending = stream.try_clone()?;
    // This thread may wait for input when the stream has ended already. It ends with the program, or when its input ends.
    thread::spawn(move || {
        // If the stream has ended, the other direction shows it.
        let _ = copy_one_way(&source, &sending);
        let _ = sending.shutdown(Shutdown::Write);
    });
    copy_one_way(&stream, &sink)
}

/// Copies until the source ends. `io::copy` is not used, because it may call splice(2). While splice waits for the
/// stream, it locks the pipe to which it writes, so the program that reads the pipe would wait as well.
fn copy_one_way(mut source: impl Read, mut sink: impl Write) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = match source.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        match buffer.get(..read).filter(|piece| !piece.is_empty()) {
            Some(piece) => sink.write_all(piece)?,
            None => return Ok(()),
        }
    }
}

/// Duplicates a descriptor, for reading and writing without a buffer.
fn file(descriptor: impl AsFd) -> io::Result<File> {
    let owned: OwnedFd = descriptor.as_fd().try_clone_to_owned()?;
    Ok(File::from(owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_can_be_read_while_the_stream_waits() {
        let (stream, mut robot) = UnixStream::pair().unwrap();
        let (input, mut typed) = io::pipe().unwrap();
        let (mut shown, output) = io::pipe().unwrap();
        let copying = thread::spawn(move || copy(stream, input, output));
        for number in 0..3u8 {
            robot.write_all(&[number]).unwrap();
            let mut byte = [0];
            shown.read_exact(&mut byte).unwrap();
            typed.write_all(&byte).unwrap();
            robot.read_exact(&mut byte).unwrap();
            assert_eq!(byte, [number]);
        }
        drop(typed);
        assert_eq!(robot.read(&mut [0]).unwrap(), 0, "the end of the input is passed on");
        robot.write_all(b"rest").unwrap();
        drop(robot);
        let mut rest = String::new();
        shown.read_to_string(&mut rest).unwrap();
        copying.join().unwrap().unwrap();
        assert_eq!(rest, "rest");
    }
}
