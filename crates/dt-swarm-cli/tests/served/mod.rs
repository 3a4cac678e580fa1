//! A daemon for tests, which runs the real brain behind a loopback socket, and helpers for other test servers.
#![allow(dead_code, reason = "each test program uses its part")]

use brain::{Brain, Input, Now, Output as BrainOutput, Settings};
use dcache::{
    Data, Item, Keypair, Kind, Limits, Moment, PeerId, Prover, Record, Set, Statement, SwarmFile, Time,
    Validity,
};
use routing::{ChannelCommand, ChannelEvent, ChannelId, Envelope, Medium};
use seal::{LineOpener, LineSealer, LinkHandshake, SwarmKey};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The number of the daemon's key, for [`key`].
pub(crate) const DAEMON: u8 = 77;
const LINK: ChannelId = ChannelId(1);

pub(crate) fn key(who: u8) -> Keypair {
    Keypair::from_seed([who; 32])
}

pub(crate) fn peer(who: u8) -> PeerId {
    key(who).peer_id()
}

pub(crate) fn item(bucket: &str, data: &str) -> Item {
    Item { bucket: bucket.parse().unwrap(), data: Data::new(data).unwrap() }
}

pub(crate) fn clock() -> Time {
    Time(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs())
}

pub(crate) struct Daemon {
    pub(crate) brain: Brain,
    /// Seconds by which its clock is ahead.
    pub(crate) clock_ahead: u64,
    /// The key of its swarm, if it has one.
    pub(crate) swarm_key: Option<SwarmKey>,
    sequence: u64,
    start: Instant,
}

/// Makes the set of a swarm with a root. It accepts records of roles, whichever swarm the program belongs to.
fn set() -> Set {
    let policy = SwarmFile::new("served", [peer(DAEMON)].into()).unwrap().policy();
    Set::new(policy, Limits::default())
}

/// Encrypts the lines of the daemon and decrypts those of the program.
type Seals = Option<(LineSealer, LineOpener)>;

/// Does the key handshake on an accepted connection.
fn shake_hands(key: &SwarmKey, lines: &mut impl Iterator<Item = String>, writer: &mut TcpStream) -> Seals {
    let ours = LinkHandshake::new(key, [9; 32], false);
    writer.write_all((ours.hello() + "\n").as_bytes()).unwrap();
    let (mut sealer, mut opener) = ours.finish(lines.next()?.as_bytes()).ok()?;
    writer.write_all((sealer.seal(b"") + "\n").as_bytes()).unwrap();
    opener.open(lines.next()?.as_bytes()).unwrap();
    Some((sealer, opener))
}

impl Daemon {
    pub(crate) fn new() -> Self {
        let mut brain = Brain::new(peer(DAEMON), set(), Settings::default(), "9.9.9", 1);
        brain.set_prover(Prover::new(key(DAEMON)));
        Self { brain, clock_ahead: 0, swarm_key: None, sequence: 0, start: Instant::now() }
    }

    fn handle(&mut self, input: Input) -> Vec<BrainOutput> {
        let now =
            Now { moment: Moment::certain(clock().plus(self.clock_ahead)), elapsed: self.start.elapsed() };
        self.brain.handle(now, input)
    }

    pub(crate) fn propose(&mut self, who: u8, bucket: &str, data: &str, validity: Validity) {
        self.say(who, Kind::Propose, bucket, data, validity);
    }

    pub(crate) fn say(&mut self, who: u8, kind: Kind, bucket: &str, data: &str, validity: Validity) {
        let statement = Statement::new(kind, item(bucket, data), validity).unwrap();
        self.sequence += 1;
        let record = Record::sign(statement, &key(who), self.sequence, dcache::End::default());
        let taken = self.handle(Input::Local(record));
        assert!(matches!(taken[..], [BrainOutput::Admitted { .. }]), "{taken:?}");
    }

    /// Handles an envelope as if a neighbour had sent it.
    pub(crate) fn hear(&mut self, envelope: Envelope) {
        self.connect();
        self.handle(Input::Channel(ChannelEvent::Received {
            channel: LINK,
            source: None,
            envelope,
            bytes: 0,
            reaches_all: true,
        }));
        self.handle(Input::Channel(ChannelEvent::Down { channel: LINK }));
    }

    fn connect(&mut self) {
        let medium = Medium::Link { dialled: None, is_kept: false };
        self.handle(Input::Channel(ChannelEvent::Up { channel: LINK, medium }));
    }

    /// Serves one connection after the other until the test ends. Returns the HOST argument for the program.
    pub(crate) fn serve(mut self) -> String {
        serve(move |stream| self.converse(stream))
    }

    fn converse(&mut self, stream: TcpStream) {
        self.connect();
        let mut writer = stream.try_clone().unwrap();
        let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
        let mut seals = self.swarm_key.as_ref().and_then(|key| shake_hands(key, &mut lines, &mut writer));
        for line in lines {
            let line = match &mut seals {
                Some((_, opener)) => opener.open(line.as_bytes()).unwrap(),
                None => line.into_bytes(),
            };
            let envelope = Envelope::decode(&line).unwrap();
            let mut outputs = self.handle(Input::Channel(ChannelEvent::Received {
                channel: LINK,
                source: None,
                envelope,
                bytes: 0,
                reaches_all: true,
            }));
            while !outputs.is_empty() {
                for output in outputs {
                    if let BrainOutput::Channel(ChannelCommand::Send { line, .. }) = output {
                        let sealed = seals.as_mut().map(|(sealer, _)| sealer.seal(line.as_bytes()));
                        let line = sealed.unwrap_or(line);
                        // The program may have closed the connection. Then reading the next line ends the loop.
                        let _ = writer.write_all((line + "\n").as_bytes());
                    }
                }
                outputs = self.handle(Input::Channel(ChannelEvent::Drained { channel: LINK }));
            }
        }
        self.handle(Input::Channel(ChannelEvent::Down { channel: LINK }));
    }
}

/// Calls `converse` for one connection after the other until the test ends. Returns the HOST argument for the program.
pub(crate) fn serve(mut converse: impl FnMut(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            converse(stream);
        }
    });
    host
}

/// The result of a run of the program.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

pub(crate) fn run_with(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dt-swarm-cli"));
    command.args(arguments);
    // Keeps the program away from the daemon and the swarm of the user who runs the tests.
    command.env("HOME", env!("CARGO_TARGET_TMPDIR")).env_remove("DT_SWARM_SOCKET");
    for folder in ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"] {
        command.env_remove(folder);
    }
    command
}

pub(crate) fn run(arguments: &[&str]) -> Output {
    let start = Instant::now();
    let output = run_with(arguments).output().unwrap();
    Output {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        took: start.elapsed(),
    }
}
