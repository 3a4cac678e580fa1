//! `forward`: makes a TCP port of another robot reachable on this computer.

use super::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::output::fields::PeerRef;
use crate::output::{Form, Output, Print, warn};
use crate::streams::{RemotePort, copy};
use clap::Args;
use serde::Serialize;
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost forward duckie7 8080                 port 8080 of duckie7 is 127.0.0.1:8080 until Ctrl-C
  dt-swarm-cli duckie7 forward 8080                           the same
  dt-swarm-cli localhost forward duckie7 22 --listen 2222     port 22 of duckie7 is 127.0.0.1:2222
  dt-swarm-cli localhost forward duckie7 22 --stdio           one connection, on standard input and output

The owner of duckie7 has to allow it: `dt-swarm-cli localhost access allow 8080 --peer ID`, with the ID of this robot.";

/// Maximum number of connections at a time. The daemon accepts as many streams.
const MAX_CONNECTIONS: usize = 64;
/// Ports below this number can be opened only by root.
const FIRST_FREE_PORT: u16 = 1024;
/// Time to wait before the next connection when the operating system refuses one.
const REST: Duration = Duration::from_millis(200);

/// Makes a TCP port of another robot reachable on this computer, over any path between the two robots.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Forward {
    /// Name of the robot, unless HOST is the robot, and the TCP port
    #[arg(value_names = ["NAME", "PORT"], num_args = 1..=2, required = true)]
    destination: Vec<String>,
    /// Port of this computer, on 127.0.0.1 [default: the same port; a free one if it needs root]
    #[arg(long, value_name = "PORT", conflicts_with = "stdio")]
    listen: Option<u16>,
    /// Connects standard input and output with the port, for use as a ProxyCommand of ssh
    #[arg(long, conflicts_with = "json")]
    stdio: bool,
}

/// The output of `forward`: the port to serve; `None` if the single connection has ended.
pub(crate) struct ForwardOutput(Option<Listening>);

/// A port of this computer that stands for a port of a robot.
pub(crate) struct Listening {
    listener: TcpListener,
    remote: RemotePort,
    shown: Forwarding,
}

/// The port that `forward` opened.
#[derive(Debug, Serialize)]
struct Forwarding {
    #[serde(flatten)]
    peer: PeerRef,
    /// TCP port of the robot.
    port: NonZeroU16,
    /// Address on this computer.
    local_address: SocketAddr,
}

impl Command for Forward {
    type Output = ForwardOutput;

    fn run(&self, context: &Context) -> Result<ForwardOutput, CliError> {
        let (name, port) = self.destination()?;
        let remote = context.remote_port(name, port)?;
        if self.stdio {
            copy(remote.open()?, io::stdin(), io::stdout()).map_err(CliError::StreamBroken)?;
            return Ok(ForwardOutput(None));
        }
        let listener = self.listen(port)?;
        let local_address = listener.local_addr().map_err(CliError::StreamBroken)?;
        let shown = Forwarding { peer: remote.robot.clone(), port, local_address };
        Ok(ForwardOutput(Some(Listening { listener, remote, shown })))
    }
}

impl Forward {
    /// Returns the name of the robot, if there is one, and the port.
    fn destination(&self) -> Result<(Option<&str>, NonZeroU16), CliError> {
        let (name, port) = match &self.destination[..] {
            [name, port] => (Some(name.as_str()), port),
            [port] => (None, port),
            _ => return Err(CliError::NoDestination),
        };
        let port = port.parse().map_err(|_| CliError::NotAPort(port.clone()))?;
        Ok((name, port))
    }

    fn listen(&self, remote: NonZeroU16) -> Result<TcpListener, CliError> {
        let same = if remote.get() < FIRST_FREE_PORT { 0 } else { remote.get() };
        let port = self.listen.unwrap_or(same);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        listener.map_err(|source| CliError::PortTaken { port, source })
    }
}

impl Output for Forwarding {
    fn show(&self) -> String {
        let Self { peer, port, local_address } = self;
        format!("{local_address} is port {port} of {}. Ctrl-C ends it.\n", peer.show())
    }
}

impl Print for ForwardOutput {
    /// Prints the address, and then serves its connections until the program is ended.
    fn print(self, form: Form) -> Result<(), CliError> {
        let Some(Listening { listener, remote, shown }) = self.0 else { return Ok(()) };
        shown.print(form)?;
        let open = Arc::new(AtomicUsize::new(0));
        loop {
            match listener.accept() {
                Ok((socket, _)) => serve(&remote, socket, &open),
                // The limit of open files is reached, or the client has gone.
                Err(_) => thread::sleep(REST),
            }
        }
    }
}

/// Serves a connection in a thread of its own. Closes it if too many are open.
fn serve(remote: &RemotePort, socket: TcpStream, open: &Arc<AtomicUsize>) {
    if open.load(Ordering::Relaxed) >= MAX_CONNECTIONS {
        return warn(&format!("{MAX_CONNECTIONS} connections are open; another one was closed"));
    }
    open.fetch_add(1, Ordering::Relaxed);
    let (remote, open) = (remote.clone(), open.clone());
    thread::spawn(move || {
        if let Err(error) = connect(&remote, &socket) {
            warn(&error.to_string());
        }
        // Ends the thread that reads from the socket.
        let _ = socket.shutdown(Shutdown::Both);
        open.fetch_sub(1, Ordering::Relaxed);
    });
}

fn connect(remote: &RemotePort, socket: &TcpStream) -> Result<(), CliError> {
    // A failure only makes key presses slower.
    let _ = socket.set_nodelay(true);
    copy(remote.open()?, socket, socket).map_err(CliError::StreamBroken)
}
