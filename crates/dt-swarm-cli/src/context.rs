//! The options of all commands, and the values that follow from them: the daemon, the swarm and the names of peers.

use crate::ask::{self, Answer, Pong};
use crate::connection::Connection;
use crate::error::{CliError, NoRobot};
use crate::host::Host;
use crate::local_daemon::{Found, Search};
use crate::output::fields::Daemon;
use crate::output::names::{HOSTNAMES, Names};
use crate::output::{Form, warn};
use crate::period::period;
use crate::shared_files;
use crate::swarm_file::Swarm;
use crate::target::{Knowledge, Target};
use clap::{Args, ValueHint};
use control::{Client, Places, Protocol};
use dcache::{PeerId, Policy, Set, Time, buckets};
use logs::Catalogs;
use seal::SwarmKey;
use std::cell::OnceCell;
use std::path::PathBuf;
use std::time::Duration;
use swarm::protocol::Status;

/// Maximum time to wait for the daemon on this computer when it is asked for the name of a robot.
const HERE_TIMEOUT: Duration = Duration::from_secs(3);

/// The options of all commands.
#[derive(Clone, Debug, Args)]
pub(crate) struct Context {
    /// The daemon: localhost, the name of a robot, another host name or an IP address. Append :PORT if the port is not
    /// 8000. If several robots have the name, append ~ and the end of the peer ID.
    #[arg(value_name = "HOST", value_hint = ValueHint::Hostname)]
    pub(crate) host: Host,
    /// Prints one JSON document instead of tables.
    #[arg(long, global = true)]
    json: bool,
    /// Gives up when nothing is received for this many seconds.
    #[arg(long, global = true, value_name = "SECONDS", default_value = "10", value_parser = timeout)]
    pub(crate) timeout: Duration,
    /// Swarm file whose roles and key are used [default: the swarm file of the daemon on this computer]
    #[arg(long, global = true, value_name = "FILE")]
    swarm: Option<PathBuf>,
    /// Control socket of the daemon on this computer [default: the socket that the daemon at HOST reports; if it does
    /// not answer, $DT_SWARM_SOCKET or the usual places]
    #[arg(long, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// The socket of the daemon at HOST, once it has been found.
    #[arg(skip)]
    found: OnceCell<PathBuf>,
    /// The daemon that HOST means, once it has been found.
    #[arg(skip)]
    target: OnceCell<Target>,
}

/// A function that asks a daemon for records, such as [`ask::records`].
type Asking = fn(&mut Connection, &[&str], &Policy) -> Result<Answer, CliError>;

/// The answer of a daemon with its records, and the names of the peers.
pub(crate) struct Reading {
    pub(crate) connection: Connection,
    pub(crate) answer: Answer,
    pub(crate) names: Names,
    /// The catalogues that the daemon has read. They are known only of the daemon on this computer.
    pub(crate) catalogs: Catalogs,
}

impl Reading {
    fn new(
        mut connection: Connection,
        ask: Asking,
        patterns: &[&str],
        policy: &Policy,
    ) -> Result<Self, CliError> {
        let answer = ask(&mut connection, patterns, policy)?;
        let names = Names::read(&answer.set, answer.now)?;
        Ok(Self { connection, answer, names, catalogs: Catalogs::default() })
    }
}

/// The form of the output, and the daemon at HOST.
impl Context {
    pub(crate) fn form(&self) -> Form {
        if self.json { Form::Json } else { Form::Text }
    }

    /// Connects to the daemon at HOST, with the key of its swarm.
    pub(crate) fn connect(&self) -> Result<Connection, CliError> {
        self.connect_with(self.key()?.as_ref())
    }

    /// Connects to the daemon at HOST, with this key.
    pub(crate) fn connect_with(&self, key: Option<&SwarmKey>) -> Result<Connection, CliError> {
        match self.target()? {
            Target::Robot(robot) => robot.connect(&self.host, self.timeout, key),
            Target::Host(host, Knowledge::None) => Connection::open(host, self.timeout, key),
            Target::Host(host, Knowledge::Unknown { similar }) => Connection::open(host, self.timeout, key)
                .map_err(|error| match error {
                    CliError::Unresolved { source, .. } => {
                        let (name, similar) = (self.host.name.clone(), similar.clone());
                        NoRobot { name, similar, source: Some(source) }.into()
                    }
                    other => other,
                }),
        }
    }

    /// Returns the daemon that HOST means. The daemon on this computer is asked for the name of a robot.
    pub(crate) fn target(&self) -> Result<&Target, CliError> {
        if let Some(target) = self.target.get() {
            return Ok(target);
        }
        let target = match self.host.is_name() {
            true => Target::new(&self.host, self.robots_known_here().as_deref())?,
            false => Target::Host(self.host.clone(), Knowledge::None),
        };
        Ok(self.target.get_or_init(|| target))
    }

    /// Returns whether HOST means this computer.
    pub(crate) fn is_here(&self) -> Result<bool, CliError> {
        Ok(match self.target()? {
            Target::Host(host, _) => host.is_here(),
            Target::Robot(robot) => robot.is_me,
        })
    }

    /// Asks for the records whose bucket matches one of the patterns. The policy of the swarm decides which of them
    /// count.
    pub(crate) fn read(&self, patterns: &[&str]) -> Result<Reading, CliError> {
        self.read_by(ask::records, patterns)
    }

    /// Asks for the records about shared files, for the catalogues, and for the records whose bucket matches one of the
    /// patterns. Each pattern is a separate question.
    pub(crate) fn read_shared(&self, patterns: &[&str]) -> Result<Reading, CliError> {
        let mut reading =
            self.read_by(ask::records_in_parts, &[&shared_files::BUCKETS[..], patterns].concat())?;
        reading.catalogs = self.catalogs(&reading.answer.set, reading.answer.now)?;
        Ok(reading)
    }

    /// Asks for the catalogues that the daemon has read, if a record names any. Another computer does not answer this
    /// question.
    pub(crate) fn catalogs(&self, set: &Set, now: Time) -> Result<Catalogs, CliError> {
        if !shared_files::has_catalogs(set, now) || !self.is_here()? {
            return Ok(Catalogs::default());
        }
        let Ok(mut client) = self.client() else { return Ok(Catalogs::default()) };
        shared_files::catalogs(&mut client)
    }

    /// Asks for the records whose bucket matches one of the patterns. Each pattern is a separate question.
    pub(crate) fn read_in_parts(&self, patterns: &[&str]) -> Result<Reading, CliError> {
        self.read_by(ask::records_in_parts, patterns)
    }

    fn read_by(&self, ask: Asking, patterns: &[&str]) -> Result<Reading, CliError> {
        let (policy, key) = self.policy_and_key()?;
        let reading = Reading::new(self.connect_with(key.as_ref())?, ask, patterns, &policy)?;
        self.warn_of_clock(&reading.answer.pong);
        Ok(reading)
    }

    /// Asks the daemon at the usual port of this computer, whatever HOST is.
    pub(crate) fn read_here(&self, patterns: &[&str]) -> Result<Reading, CliError> {
        let status = self.find_of_user().ok().map(|found| found.status);
        let (policy, key) = self.policy_and_key_by(|| Ok(status))?;
        let timeout = self.timeout.min(HERE_TIMEOUT);
        let connection = Connection::open(&Host::usual_here(), timeout, key.as_ref())?;
        Reading::new(connection, ask::records_in_parts, patterns, &policy)
    }

    /// Pings the daemon, and asks for its host name.
    pub(crate) fn ping(&self) -> Result<(Pong, Daemon), CliError> {
        let mut connection = self.connect()?;
        let pong = ask::ping(&mut connection)?;
        let daemon = daemon(&mut connection, &pong, &self.own_words_policy())?;
        Ok((pong, daemon))
    }

    /// Asks for the names of all peers. Returns no names when the daemon at HOST does not answer: the output then shows
    /// only the IDs.
    pub(crate) fn names(&self) -> Names {
        let names = || {
            let (policy, key) = self.policy_and_key()?;
            let answer = ask::records(&mut self.connect_with(key.as_ref())?, &[HOSTNAMES], &policy)?;
            Names::read(&answer.set, answer.now).map_err(CliError::from)
        };
        names().unwrap_or_default()
    }

    /// Prints a warning when the clocks of the daemon and of this computer differ by more than a minute.
    pub(crate) fn warn_of_clock(&self, pong: &Pong) {
        if let Some(message) = pong.clock_warning(&self.host.to_string()) {
            warn(&message);
        }
    }
}

/// Asks the daemon of this pong for its host name, and describes the daemon. `policy` decides which records count.
pub(crate) fn daemon(connection: &mut Connection, pong: &Pong, policy: &Policy) -> Result<Daemon, CliError> {
    let bucket = format!("/{}", buckets::HOSTNAME.of(pong.peer));
    let answer = ask::records(connection, &[&bucket], policy)?;
    let names = Names::read(&answer.set, answer.now)?;
    Ok(Daemon::new(pong, names.of(pong.peer).hostname))
}

/// Access to the daemon on this computer.
impl Context {
    /// Connects to the control socket of the daemon at HOST, for commands that work only on the robot itself.
    pub(crate) fn client(&self) -> Result<Client, CliError> {
        self.require_here()?;
        match self.found.get() {
            // A restarted daemon uses the same socket.
            Some(path) => Ok(Client::connect(path, self.timeout)?),
            None => Ok(self.find()?.client),
        }
    }

    /// Fails when HOST is another computer.
    pub(crate) fn require_here(&self) -> Result<(), CliError> {
        match self.is_here()? {
            true => Ok(()),
            false => Err(self.not_here()),
        }
    }

    /// Returns whether the command line names the control socket.
    pub(crate) fn is_socket_named(&self) -> bool {
        self.socket.is_some()
    }

    /// Asks for the status of the daemon on this computer. This is the daemon at HOST, or this user's daemon if HOST is
    /// another computer. Returns `None` if there is no daemon, or an error if the command line names its socket.
    pub(crate) fn status(&self) -> Result<Option<Status>, CliError> {
        match self.find() {
            Ok(found) => Ok(Some(found.status)),
            Err(error) if self.is_socket_named() => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// Returns the peer ID of the daemon at HOST, which has to be this computer.
    pub(crate) fn robot(&self) -> Result<PeerId, CliError> {
        self.require_here()?;
        Ok(self.find()?.status.peer)
    }

    /// Sends a request, and fails unless the answer is `done`.
    pub(crate) fn order<P>(&self, request: &P::Request, done: P::Answer) -> Result<(), CliError>
    where
        P: Protocol<Answer: PartialEq + std::fmt::Debug>,
    {
        let mut client = self.client()?;
        let answer = client.call::<P>(request)?;
        if answer == done { Ok(()) } else { Err(client.unexpected(&answer).into()) }
    }

    /// Finds the control socket of the daemon at HOST, or of this user's daemon if HOST is another computer.
    pub(crate) fn find(&self) -> Result<Found, CliError> {
        let here = Host::usual_here();
        let (host, peer) = match self.target()? {
            Target::Host(host, _) if host.is_here() => (host, None),
            Target::Robot(robot) if robot.is_me => (&here, Some(robot.peer)),
            Target::Host(..) | Target::Robot(_) => return self.find_of_user(),
        };
        let found = self.search(host).at_host()?;
        if peer.is_some_and(|peer| peer != found.status.peer) {
            return Err(self.not_here());
        }
        // If a socket was found earlier, it stays.
        let _ = self.found.set(found.client.path().to_owned());
        Ok(found)
    }

    /// Finds the control socket of this user's daemon, whatever HOST is.
    pub(crate) fn find_of_user(&self) -> Result<Found, CliError> {
        self.search(&Host::usual_here()).of_user()
    }

    /// Returns the options that choose the daemon on this computer, for another run of this program.
    ///
    /// # Errors
    /// When a path is not UTF-8.
    pub(crate) fn options_again(&self) -> Result<Vec<String>, CliError> {
        let mut words = Vec::new();
        for (option, path) in [("--socket", &self.socket), ("--swarm", &self.swarm)] {
            if let Some(path) = path {
                // The other run may have another working directory.
                let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                let text = path.to_str().ok_or_else(|| CliError::NotUnicode(path.clone()))?;
                words.extend([option.to_owned(), text.to_owned()]);
            }
        }
        words.extend(["--timeout".to_owned(), self.timeout.as_secs_f64().to_string()]);
        Ok(words)
    }

    fn search<'a>(&'a self, host: &'a Host) -> Search<'a> {
        Search { host, named: self.socket.as_deref(), swarm: self.swarm.as_deref(), timeout: self.timeout }
    }

    fn not_here(&self) -> CliError {
        CliError::NotHere { host: self.host.to_string() }
    }
}

/// Access to the swarm file, its policy and its key.
impl Context {
    /// Finds the swarm whose policy and key are used. The sources are, in this order: `--swarm`, the daemon on this
    /// computer, and this user's swarm file. Returns `None` for the open swarm.
    pub(crate) fn swarm(&self) -> Result<Option<Swarm>, CliError> {
        self.swarm_by(|| self.status())
    }

    /// Finds the swarm as [`Self::swarm`] does, with the status of the daemon on this computer from `status`.
    fn swarm_by(
        &self,
        status: impl FnOnce() -> Result<Option<Status>, CliError>,
    ) -> Result<Option<Swarm>, CliError> {
        if let Some(path) = &self.swarm {
            return Swarm::read(path).map(Some);
        }
        if let Some(status) = status()? {
            return status.swarm.map(Swarm::of_daemon).transpose();
        }
        match Places::current().swarm_file() {
            Some(path) if path.exists() => Swarm::read(&path).map(Some),
            _ => Ok(None),
        }
    }

    /// Returns the policy that decides which records count, and the key for connections.
    pub(crate) fn policy_and_key(&self) -> Result<(Policy, Option<SwarmKey>), CliError> {
        self.policy_and_key_by(|| self.status())
    }

    fn policy_and_key_by(
        &self,
        status: impl FnOnce() -> Result<Option<Status>, CliError>,
    ) -> Result<(Policy, Option<SwarmKey>), CliError> {
        let file = self.swarm_by(status)?.map(|swarm| swarm.file);
        Ok(file.map_or_else(Default::default, |file| (file.policy(), file.key().cloned())))
    }

    /// Returns the policy for records that peers state about themselves. Roles do not matter for these, but signatures
    /// are bound to the swarm.
    pub(crate) fn own_words_policy(&self) -> Policy {
        let binding = self.policy_and_key().ok().and_then(|(policy, _)| policy.binding());
        Policy::default().bound(binding)
    }

    /// Returns the key for a connection that needs no policy. Returns no key if the swarm cannot be found, or an error
    /// if the command line names the swarm file.
    pub(crate) fn key(&self) -> Result<Option<SwarmKey>, CliError> {
        match self.policy_and_key() {
            Err(error) if self.swarm.is_some() => Err(error),
            other => Ok(other.ok().and_then(|(_, key)| key)),
        }
    }
}

fn timeout(text: &str) -> Result<Duration, String> {
    let timeout = period(text)?;
    if (Duration::from_millis(100)..=Duration::from_secs(3600)).contains(&timeout) {
        Ok(timeout)
    } else {
        Err("the timeout must be from 0.1 to 3600 seconds".to_owned())
    }
}
