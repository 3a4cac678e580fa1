//! The errors of the program. Each message names the cause and the way out. Inner errors are kept as sources.

use crate::text::{clean, clean_lines, count};
use access::wire::RefusalCode;
use control::{ClientError, Failure, FailureKind, KeyFileError, KeyName, KeyNameError};
use dcache::{PeerId, Role, StatementError, SwarmFileError};
use service::JobNumber;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

/// An error that ends the program.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error("the name of {host} cannot be resolved: {source}. Check the spelling, or give the IP address.")]
    Unresolved { host: String, source: io::Error },
    #[error(transparent)]
    NoRobot(#[from] Box<NoRobot>),
    #[error(transparent)]
    SharedName(#[from] Box<SharedName>),
    #[error(transparent)]
    UnreachableRobot(#[from] Box<UnreachableRobot>),
    #[error("{0}")]
    NotFound(String),
    #[error("no daemon answers at {host}: {}", why(source))]
    Unreachable { host: String, source: io::Error },
    #[error(
        "{host} accepted the connection, but sent nothing for {} s. It may be busy or far away: try again with a longer \
         --timeout, and check there that dt-swarm is still running.",
        .timeout.as_secs_f64()
    )]
    Silent { host: String, timeout: Duration },
    #[error("the connection to {host} failed: {source}. Try again.")]
    Broken { host: String, source: io::Error },
    #[error(
        "{host} closed the connection before its answer was complete. Is dt-swarm still running there? Try again."
    )]
    Closed { host: String },
    #[error(
        "the program that answers at {host} is no dt-swarm daemon: {}. HOST needs the port of the line protocol (8000 by \
         default).",
        clean(&.source.to_string(), 120)
    )]
    NotOurs { host: String, source: Box<dyn Error + Send + Sync> },
    #[error("{host} belongs to a swarm with a key: name the file of that swarm with --swarm FILE")]
    Keyed { host: String },
    #[error(
        "{host} did not prove that it has the key of your swarm: its swarm has no key, or it is no dt-swarm daemon. Name the \
         file of its swarm with --swarm FILE."
    )]
    NoKeyThere { host: String },
    #[error(
        "{host} belongs to a different swarm, with a different key: name the file of that swarm with --swarm FILE"
    )]
    OtherKey { host: String },
    #[error("the answer of {host} does not end: it exceeds the limit of {most}. The daemon there is faulty.")]
    Endless { host: String, most: String },
    #[error("not a pattern for buckets: {0}. Examples: share/files, share/*, */info/*")]
    Pattern(#[from] dcache::PatternError),
    #[error("the swarm knows no file called {:?}. `report` lists the files.", clean(.0, 120))]
    NoSuchFile(String),
    #[error(
        "the swarm knows no file called {:?}. `report` lists the files; -o names the destination.",
        clean(.0, 120)
    )]
    NoneOfTheFiles(String),
    #[error(
        "several files are called {:?}; give the path or CID of one of them, as `report` shows it: {cids}",
        clean(name, 120)
    )]
    Ambiguous { name: String, cids: String },
    #[error("no peer states the name and size of {:?}; try again when its uploader is online", clean(.0, 120))]
    NotDescribed(String),
    #[error("{} already exists; --force overwrites it", .0.display())]
    Exists(PathBuf),
    #[error("{} is not a file, and a file cannot replace it; choose another place with -o", .0.display())]
    NotAFile(PathBuf),
    #[error("{} is not a file, and a page cannot replace it; choose another place", .0.display())]
    NotAPage(PathBuf),
    #[error("{} cannot be written: {source}. Choose another place.", clean(&path.display().to_string(), 300))]
    PageUnwritten { path: PathBuf, source: io::Error },
    #[error("two of these files would be written to {}: fetch each of them alone, with its own -o", .0.display())]
    SamePlace(PathBuf),
    #[error("{} cannot be written: {source}. Choose another place with -o.", clean(&path.display().to_string(), 300))]
    Unwritable { path: PathBuf, source: io::Error },
    #[error("`-o -` writes the file to standard output, and cannot be combined with {0}")]
    StdoutTaken(&'static str),
    #[error("`--from uploads` cannot be combined with --pin, --wait or --priority")]
    NotFromStorage,
    #[error("{:?} is not in {}{}", clean(name, 120), clean(destination, 200), elsewhere(places))]
    NotUploaded {
        /// Name or CID of the file.
        name: String,
        /// Destination of the daemon.
        destination: String,
        /// Places of the file according to the swarm.
        places: Vec<String>,
    },
    #[error("this deletes files: without a terminal to ask on, it needs --yes")]
    NeedsYes,
    #[error("nothing was deleted")]
    NotConfirmed,
    #[error("it is a folder: give a path with -o instead of -")]
    FolderToStdout,
    #[error("the folder {:?} is not as its robot describes it; it was not written", clean(.0, 120))]
    FolderDiffers(String),
    #[error("the storage has another content of {:?} than its metadata says; the file was not written", clean(.0, 120))]
    Damaged(String),
    #[error("interrupted; no partial file is left here")]
    Interrupted,
    #[error("{failed} of {of} files were not fetched; the others were fetched")]
    SomeFailed { failed: usize, of: usize },
    #[error(
        "the daemon does not hold that file, or its IPFS port cannot be reached; `report` shows the holders of the file"
    )]
    NotHeld,
    #[error("the file was not fetched: {}", clean(.0, 300))]
    NotFetched(String),
    #[error(
        "the file was not fetched: {}. Try again later. `report` shows the holders of the file.",
        clean(&.0.to_string(), 200)
    )]
    Content(#[source] Box<dyn Error + Send + Sync>),
    #[error("{}", goes_on(.0))]
    GoesOn(Vec<JobNumber>),
    #[error("the file was not fetched in time, and the download was cancelled")]
    Late,
    #[error("{}", clean(.0, 500))]
    Failed(String),
    #[error("the daemon no longer knows this download; `get` starts it again")]
    Lost,
    #[error("the file cannot be written: {0}")]
    Write(#[source] io::Error),
    #[error("{} cannot be read: {source}", clean(&path.display().to_string(), 300))]
    Unread { path: PathBuf, source: io::Error },
    #[error("{} has a name that is not UTF-8, and cannot be added", clean(&.0.display().to_string(), 300))]
    NotUnicode(PathBuf),
    #[error("cannot print the answer: {0}")]
    Output(#[source] io::Error),
    #[error("the system provides no random bytes: {0}")]
    Random(#[source] io::Error),
    #[error(transparent)]
    Statement(#[from] StatementError),
    #[error("the statement would never be valid: its end is before its start, or in the past")]
    Over,
    #[error(
        "{host} is another computer, and this command works only on the robot itself: run it there as \
         `dt-swarm-cli localhost …`, for example over ssh"
    )]
    NotHere { host: String },
    #[error(
        "{0}. Is dt-swarm running here? Start it with `dt-swarm`, or name its control socket with --socket PATH."
    )]
    NoDaemon(#[source] ClientError),
    #[error(
        "the identity was renewed, but the daemon did not start again within {} s: look at its log, and start it",
        .0.as_secs()
    )]
    NotStartedAgain(Duration),
    #[error(
        "no home folder is known, so the daemon's control socket cannot be found: name the socket with --socket PATH"
    )]
    NoPlace,
    // Boxed, because it is large and would make every `Result` of the commands larger.
    #[error(transparent)]
    OtherDaemon(#[from] Box<OtherDaemon>),
    #[error("{}", clean(&.0.to_string(), 500))]
    Control(#[source] ClientError),
    #[error(
        "not published: {}. (--anyway publishes the statement nevertheless; it counts as soon as the signer has \
         the required role.)",
        clean(&.0.to_string(), 500)
    )]
    NotAllowed(#[source] Failure),
    #[error("the daemon refused the request: {}", clean(&.0.to_string(), 500))]
    Refused(#[source] Failure),
    #[error(
        "not done: {}. (--key NAME signs with a key file that has the role: `keys` lists the key files. `unshare` \
         withdraws a file of this robot, and needs no role.)",
        clean(&.0.to_string(), 500)
    )]
    NotDiscarded(#[source] Failure),
    #[error("not published: {}", clean(&.0.to_string(), 500))]
    NoCid(#[from] logs::buckets::NoCid),
    #[error("{0} is not denied by any peer: there is nothing to take back")]
    NotDenied(PeerId),
    #[error(
        "{0} is the peer that signs. Denying it has no effect, because a robot states its own presence again at once. To \
         remove this robot from the swarm, stop dt-swarm here, or revoke it at another robot or with --key."
    )]
    RevokesItself(PeerId),
    #[error("{} is not discarded: there is nothing to undo", clean(.0, 120))]
    NotDiscardedNow(String),
    #[error(
        "{peer} is denied by {}. Only the signer of a denial can take it back: use the robot or the key file \
         (--key) of that signer",
        peers(by)
    )]
    DeniedByOthers { peer: PeerId, by: Vec<PeerId> },
    #[error("the peer is revoked, but its files are not discarded: {0}")]
    FilesStay(#[source] Box<CliError>),
    #[error("{0}")]
    Key(#[from] KeyFileError),
    #[error(
        "no key is called {name}: `keys` lists the keys, and `keys new {name}` creates a key with this name"
    )]
    NoSuchKey { name: KeyName },
    #[error(transparent)]
    KeyName(#[from] KeyNameError),
    #[error("no home folder for keys is known: set HOME, or give the path of a key file")]
    NoKeys,
    #[error("the folder of keys cannot be read: {0}")]
    Keys(#[source] io::Error),
    #[error("{}", not_an_id(name, peers))]
    NotAnId { name: String, peers: Vec<PeerId> },
    #[error("{}", why_not(*.0))]
    NotGiven(Role),
    #[error("the swarm file {path} cannot be read: {source}")]
    SwarmUnread { path: PathBuf, source: io::Error },
    #[error("{path} is not a swarm file: {why}", path = .path.display(), why = clean_lines(&.source.to_string(), 1000))]
    SwarmWrong { path: PathBuf, source: SwarmFileError },
    #[error("the daemon belongs to a swarm whose file this program cannot read: {}", clean_lines(&.0.to_string(), 1000))]
    SwarmStrange(#[source] SwarmFileError),
    #[error("such a swarm is not possible: {0}")]
    Swarm(#[source] SwarmFileError),
    #[error("{} already exists, and swarm files are never overwritten: choose another name", .0.display())]
    SwarmExists(PathBuf),
    #[error("the swarm file {path} cannot be written: {source}")]
    SwarmUnwritten { path: PathBuf, source: io::Error },
    #[error("the old and the new item are the same")]
    Same,
    #[error(
        "the robot is not named: write `dt-swarm-cli localhost COMMAND NAME …`, or the name of the robot in place of localhost"
    )]
    NoDestination,
    #[error("{:?} is no user and no name of a robot", clean(.0, 80))]
    NotADestination(String),
    #[error("{:?} is no TCP port: ports are from 1 to 65535", clean(.0, 80))]
    NotAPort(String),
    #[error("name the peers or roles that may reach the ports, with --peer PEER_ID or --role ROLE")]
    NobodyNamed,
    #[error("name the ports, --peer PEER_ID or --role ROLE, or take back all permissions with --all")]
    NothingNamed,
    #[error(
        "port {port} of this computer cannot be opened: {source}. Choose another port with --listen PORT."
    )]
    PortTaken { port: u16, source: io::Error },
    #[error(transparent)]
    StreamRefused(#[from] Box<StreamRefused>),
    #[error("the connection with the robot broke: {0}")]
    StreamBroken(#[source] io::Error),
    #[error("ssh cannot be run: {0}. Is it installed? Debian's package is openssh-client.")]
    NoSsh(#[source] io::Error),
    #[error("no present robot is called {:?}; `query 'pri/*/info/hostname'` lists the names", clean(.0, 64))]
    NoSuchRobot(String),
    #[error(
        "{number} robots are called {:?}: give the peer ID of one of them: {}",
        clean(name, 64),
        some_of(peers),
        number = .peers.len()
    )]
    SeveralRobots { name: String, peers: Vec<PeerId> },
    #[error("{} found", count(*.0, "fault"))]
    FoundFaults(usize),
}

/// No robot that the daemon on this computer knows has this name, and it cannot be resolved as a host name.
#[derive(Debug, thiserror::Error)]
#[error(
    "no robot called {} is known{}{} `online` lists the robots.",
    clean(name, 80),
    source.as_ref().map_or(String::new(), |source| format!(", and the name cannot be resolved: {source}")) + ".",
    similar.as_ref().map_or(String::new(), |similar| format!(" Did you mean {}?", clean(similar, 80)))
)]
pub(crate) struct NoRobot {
    pub(crate) name: String,
    /// A robot with a similar name.
    pub(crate) similar: Option<String>,
    /// The reason why the name is no host name; `None` if it cannot be one.
    pub(crate) source: Option<io::Error>,
}

/// Several robots have this name.
#[derive(Debug, thiserror::Error)]
#[error("several robots are called {}: write {}", clean(name, 80), candidates.join(", or "))]
pub(crate) struct SharedName {
    pub(crate) name: String,
    /// How to name each of them, and where it was last heard; cleaned.
    pub(crate) candidates: Vec<String>,
}

/// The daemon on this computer knows the robot, but no address leads to it.
#[derive(Debug, thiserror::Error)]
#[error(
    "{robot} is known ({last_heard}), but does not answer{}. `doctor` says what may be wrong.",
    match &tried[..] {
        [] => ": it states no address that can be tried".to_owned(),
        tried => format!(" at {}", tried.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(", ")),
    }
)]
pub(crate) struct UnreachableRobot {
    /// Name and peer ID of the robot, cleaned.
    pub(crate) robot: String,
    /// Where and when it was last heard, cleaned.
    pub(crate) last_heard: String,
    pub(crate) tried: Vec<SocketAddr>,
    /// The error of the last address.
    pub(crate) source: Option<Box<CliError>>,
}

/// The robot refused a stream to one of its ports.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.message())]
pub(crate) struct StreamRefused {
    /// Name and peer ID of the robot, cleaned.
    pub(crate) robot: String,
    pub(crate) port: NonZeroU16,
    pub(crate) reason: RefusalCode,
    /// Peer ID of this robot.
    pub(crate) me: PeerId,
}

impl StreamRefused {
    fn message(&self) -> String {
        let Self { robot, port, reason, me } = self;
        match reason {
            RefusalCode::NotAllowed => format!(
                "{robot} does not allow this robot ({me}) to reach port {port}. The owner of {robot} can allow it there: \
                 `dt-swarm-cli localhost access allow {port} --peer {me}`."
            ),
            RefusalCode::NothingListens => {
                format!("{robot} allows port {port}, but no program listens there. Is the server running?")
            }
            RefusalCode::TooMany => {
                format!("{robot} has too many open connections. Close some of them, or try again later.")
            }
            RefusalCode::Unknown => {
                format!("{robot} refused port {port}, for a reason that this version does not know.")
            }
        }
    }
}

impl From<StreamRefused> for CliError {
    fn from(error: StreamRefused) -> Self {
        Self::StreamRefused(Box::new(error))
    }
}

impl From<NoRobot> for CliError {
    fn from(error: NoRobot) -> Self {
        Self::NoRobot(Box::new(error))
    }
}

impl From<SharedName> for CliError {
    fn from(error: SharedName) -> Self {
        Self::SharedName(Box::new(error))
    }
}

impl From<UnreachableRobot> for CliError {
    fn from(error: UnreachableRobot) -> Self {
        Self::UnreachableRobot(Box::new(error))
    }
}

/// The control socket belongs to another daemon than the one that answers at HOST.
#[derive(Debug, thiserror::Error)]
#[error(
    "the daemon at {host} is {peer}, but the daemon at the socket {} is {found}: {advice}",
    clean(&socket.display().to_string(), 300)
)]
pub(crate) struct OtherDaemon {
    pub(crate) host: String,
    /// The peer that answers at the host.
    pub(crate) peer: PeerId,
    pub(crate) socket: PathBuf,
    /// The peer behind the socket.
    pub(crate) found: PeerId,
    pub(crate) advice: &'static str,
}

/// Lists the first of several peers.
fn some_of(peers: &[PeerId]) -> String {
    peers.iter().take(8).map(PeerId::to_string).collect::<Vec<_>>().join(" or ")
}

fn peers(peers: &[PeerId]) -> String {
    peers.iter().map(PeerId::to_string).collect::<Vec<_>>().join(" and ")
}

/// Says why a host name is not accepted as a peer ID. Any peer may use any name, so a permanent role could go to the
/// wrong peer.
fn not_an_id(name: &str, peers: &[PeerId]) -> String {
    let name = clean(name, 64);
    if peers.is_empty() {
        return format!(
            "{name} is no peer ID, and no peer has that name. Peer IDs begin with 12D3Koo; `ping` shows the ID of a robot."
        );
    }
    let peers: Vec<String> = peers.iter().map(PeerId::to_string).collect();
    format!(
        "{name} is a name, and any peer may use any name. Give the peer ID. Peers with that name: {}. (`ping` on the robot \
         itself shows its ID.)",
        peers.join(" or ")
    )
}

fn goes_on(downloads: &[JobNumber]) -> String {
    if let [one] = downloads {
        return format!(
            "download {one} goes on in the background: `transfers` shows it, `transfers cancel {one}` cancels it"
        );
    }
    let numbers: Vec<String> = downloads.iter().map(JobNumber::to_string).collect();
    format!(
        "downloads {} go on in the background: `transfers` shows them, `transfers cancel NUMBER` cancels one",
        numbers.join(", ")
    )
}

fn why_not(role: Role) -> &'static str {
    match role {
        Role::Root => "roots are named in the swarm file only: `swarm init` writes a swarm file",
        _ => {
            "the role peer is not granted: each robot states its own presence; `revoke peer` denies it, and \
             `grant peer` takes the denial back"
        }
    }
}

impl CliError {
    /// Makes the error of content that could not be fetched or written.
    pub(crate) fn content(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Content(source.into())
    }
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Absent(..) => Self::NoDaemon(error),
            ClientError::Failure(failure) if failure.kind == FailureKind::NotAllowed => {
                Self::NotAllowed(failure)
            }
            ClientError::Failure(failure) if failure.kind == FailureKind::Refused => Self::Refused(failure),
            other => Self::Control(other),
        }
    }
}

fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "connection refused. Is dt-swarm running there? Start it with `dt-swarm`.".to_owned()
        }
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            "no reply. Is the host on, and is this computer on the same network?".to_owned()
        }
        _ => format!("{error}. Is the host on, and is this computer on the same network?"),
    }
}

/// Returns the end of a sentence that names the places where a file is.
fn elsewhere(places: &[String]) -> String {
    match places {
        [] => "; `uploads` shows the files that wait for their upload".to_owned(),
        _ => format!("; it was uploaded to {}", clean(&places.join(", "), 300)),
    }
}
