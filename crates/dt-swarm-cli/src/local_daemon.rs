//! Finds the control socket of a daemon on this computer.
//!
//! Several daemons, also of different users, may run on this computer. The pong of the daemon at HOST names its peer ID
//! and the path of its control socket. A socket is used only if the daemon that answers on it has that peer ID. This
//! applies to all sockets that are tried.

use crate::ask::{self, Pong};
use crate::connection::Connection;
use crate::error::{CliError, OtherDaemon};
use crate::host::Host;
use crate::swarm_file::Swarm;
use crate::text::clean;
use control::{Client, ClientError, Places};
use seal::SwarmKey;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use swarm::protocol::{Answer, Request, Status, SwarmProtocol};

/// Maximum time to wait for the pong of a daemon on this computer. If a program does not answer within this time, it is
/// probably not a daemon.
const PONG_TIMEOUT: Duration = Duration::from_secs(3);
/// Maximum number of users whose sockets are tried when root runs the program.
const MAX_USERS: usize = 64;

/// A search for the control socket of a daemon.
pub(crate) struct Search<'a> {
    pub(crate) host: &'a Host,
    /// The socket that the command line names; only this one is tried then.
    pub(crate) named: Option<&'a Path>,
    /// The swarm file that the command line names.
    pub(crate) swarm: Option<&'a Path>,
    pub(crate) timeout: Duration,
}

/// A daemon whose socket was found.
pub(crate) struct Found {
    pub(crate) client: Client,
    pub(crate) status: Status,
}

/// A socket that was tried, and the daemon behind it or the reason why it cannot be used.
type Looked = (PathBuf, Result<Found, CliError>);

impl Search<'_> {
    /// Finds the daemon at HOST, which is this computer.
    ///
    /// # Errors
    /// When no socket of the daemon that answers at HOST is found, or that daemon accepts none of the known swarm keys.
    pub(crate) fn at_host(&self) -> Result<Found, CliError> {
        let mut looked = self.look();
        let mut answered = self.ping(self.host, &looked);
        if answered.as_ref().is_err_and(|error| may_be_of_others(error, &looked)) {
            looked.extend(self.look_at_users());
            answered = self.ping(self.host, &looked);
        }
        match answered {
            Ok(pong) => {
                if self.named.is_none() {
                    looked.extend(self.told(&pong, &looked));
                }
                choose(self.host, &pong, self.named, looked)
            }
            // If HOST contains a port, the user means exactly the daemon at that port. Without a port, the user means
            // their own daemon, even if another program has taken its port.
            Err(error) if self.named.is_none() && self.host.is_port_named => Err(error),
            Err(error) if !means_no_daemon(&error) => Err(error),
            Err(_) => first(looked),
        }
    }

    /// Finds the daemon of this user, also if HOST is another computer.
    ///
    /// # Errors
    /// When no daemon of this user answers.
    pub(crate) fn of_user(&self) -> Result<Found, CliError> {
        let looked = self.look();
        if self.named.is_some() || looked.iter().any(|(_, found)| found.is_ok()) {
            return first(looked);
        }
        // A daemon with another data folder has another socket, which only its pong names.
        let pong = self.ping(&Host::usual_here(), &looked);
        match pong.ok().and_then(|pong| self.told(&pong, &looked)) {
            Some((_, Ok(found))) => Ok(found),
            _ => first(looked),
        }
    }

    /// Tries the socket that the command line names. Without one, tries all usual places of sockets.
    fn look(&self) -> Vec<Looked> {
        let paths = match self.named {
            Some(named) => vec![named.to_owned()],
            None => usual_sockets(),
        };
        paths.into_iter().map(|path| self.look_at(path)).collect()
    }

    /// Tries the usual places of the sockets of all users, if root runs the program. This is rarely needed, because the
    /// pong names the socket.
    fn look_at_users(&self) -> Vec<Looked> {
        if self.named.is_some() || !rustix::process::geteuid().is_root() {
            return Vec::new();
        }
        let paths = Places::sockets_of_users(Path::new("/"), MAX_USERS);
        paths.into_iter().filter(|path| path.exists()).map(|path| self.look_at(path)).collect()
    }

    fn look_at(&self, path: PathBuf) -> Looked {
        let found = Client::connect(&path, self.timeout).map_err(CliError::from).and_then(|mut client| {
            let status = status(&mut client)?;
            Ok(Found { client, status })
        });
        (path, found)
    }

    /// Tries the socket that a pong names, unless it was tried already. The sender of the pong is not trusted: a path
    /// with characters that could control a terminal is ignored.
    fn told(&self, pong: &Pong, looked: &[Looked]) -> Option<Looked> {
        let text = pong.status.as_ref()?.control_socket.as_ref()?;
        let path = PathBuf::from(text);
        let is_new = !looked.iter().any(|(known, _)| *known == path);
        (is_new && path.is_absolute() && clean(text, text.len()) == *text).then(|| self.look_at(path))
    }

    /// Pings a daemon: first without a key, then with each key that its swarm may have.
    fn ping(&self, host: &Host, looked: &[Looked]) -> Result<Pong, CliError> {
        let timeout = self.timeout.min(PONG_TIMEOUT);
        let ping = |key: Option<&SwarmKey>| {
            let mut connection = Connection::open(host, timeout, key)?;
            connection.end_within(timeout);
            ask::ping(&mut connection)
        };
        let keyed = match ping(None) {
            Err(error @ CliError::Keyed { .. }) => error,
            other => return other,
        };
        let answered = self.keys(looked)?.into_iter().find_map(|key| ping(Some(&key)).ok());
        answered.ok_or(keyed)
    }

    /// Returns the swarm keys to try. This is the key of the swarm file that the command line names. Without one, these
    /// are the keys of the daemons that answered, and of this user's swarm file.
    fn keys(&self, looked: &[Looked]) -> Result<Vec<SwarmKey>, CliError> {
        let key = |swarm: Swarm| swarm.file.key().cloned();
        if let Some(path) = self.swarm {
            return Ok(key(Swarm::read(path)?).into_iter().collect());
        }
        let told = looked.iter().filter_map(|(_, found)| found.as_ref().ok()?.status.swarm.clone());
        let told = told.filter_map(|text| Swarm::of_daemon(text).ok());
        let own = Places::current().swarm_file().and_then(|path| Swarm::read(&path).ok());
        Ok(told.chain(own).filter_map(key).collect())
    }
}

/// Asks a daemon for its status.
fn status(client: &mut Client) -> Result<Status, CliError> {
    match client.call::<SwarmProtocol>(&Request::Status {})? {
        Answer::Status(status) => Ok(status),
        other => Err(client.unexpected(&other).into()),
    }
}

/// Returns whether the daemon at HOST may belong to another user. If so, the sockets of all users are tried.
fn may_be_of_others(error: &CliError, looked: &[Looked]) -> bool {
    matches!(error, CliError::Keyed { .. }) || looked.iter().all(|(_, found)| found.is_err())
}

/// Returns whether this error means that no daemon answers at the host. Returns `false` if a daemon answers but does
/// not accept this program.
fn means_no_daemon(error: &CliError) -> bool {
    matches!(
        error,
        CliError::Unreachable { .. }
            | CliError::Unresolved { .. }
            | CliError::Silent { .. }
            | CliError::Broken { .. }
            | CliError::Closed { .. }
            | CliError::NotOurs { .. }
            | CliError::Endless { .. }
    )
}

/// Chooses the socket of the daemon that answered at HOST.
fn choose(host: &Host, pong: &Pong, named: Option<&Path>, looked: Vec<Looked>) -> Result<Found, CliError> {
    let mut others = BTreeSet::new();
    let mut error = None;
    for (path, found) in looked {
        match found {
            Ok(found) if found.status.peer == pong.peer => return Ok(found),
            Ok(found) => drop(others.insert((path, found.status.peer))),
            Err(other) => keep_more_useful(&mut error, other),
        }
    }
    match (others.pop_first(), error) {
        // The error of a socket that exists is reported first, because it may be the socket of the right daemon.
        (_, Some(error)) if !is_absent(&error) => Err(error),
        (Some((socket, found)), _) => {
            let (host, peer) = (host.to_string(), pong.peer);
            let advice = if named.is_some() { NAMED } else { NOT_NAMED };
            Err(Box::new(OtherDaemon { host, peer, socket, found, advice }).into())
        }
        (None, error) => Err(error.unwrap_or(CliError::NoPlace)),
    }
}

const NAMED: &str = "leave out --socket, or give the HOST of the daemon that you mean";
const NOT_NAMED: &str = "give the socket of the daemon that you mean with --socket PATH, and its HOST";

/// Returns the first daemon that answered.
fn first(looked: Vec<Looked>) -> Result<Found, CliError> {
    let mut error = None;
    for (_, found) in looked {
        match found {
            Ok(found) => return Ok(found),
            Err(other) => keep_more_useful(&mut error, other),
        }
    }
    Err(error.unwrap_or(CliError::NoPlace))
}

/// Keeps the more useful of two errors. This is the last error of a socket that exists. If no socket exists, it is the
/// first error, which is about the most usual path.
fn keep_more_useful(error: &mut Option<CliError>, other: CliError) {
    if error.is_none() || !is_absent(&other) {
        *error = Some(other);
    }
}

fn is_absent(error: &CliError) -> bool {
    matches!(error, CliError::NoDaemon(ClientError::Absent(..)))
}

/// Returns the usual paths of sockets: the one that `DT_SWARM_SOCKET` names, and those of this user.
pub(crate) fn usual_sockets() -> Vec<PathBuf> {
    let named = std::env::var_os("DT_SWARM_SOCKET").filter(|path| !path.is_empty()).map(PathBuf::from);
    let mut paths: Vec<PathBuf> = named.into_iter().chain(Places::current().sockets()).collect();
    let mut seen = BTreeSet::new();
    paths.retain(|path| seen.insert(path.clone()));
    paths
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::{Keypair, PeerId, Time};

    fn peer(who: u8) -> PeerId {
        Keypair::from_seed([who; 32]).peer_id()
    }

    fn pong(who: u8) -> Pong {
        Pong { peer: peer(who), status: None, arrived: Time(0), proof: None }
    }

    fn absent(path: &str) -> Looked {
        let error = std::io::Error::from(std::io::ErrorKind::NotFound);
        (path.into(), Err(ClientError::Absent(path.into(), error).into()))
    }

    fn foreign(path: &str) -> Looked {
        (path.into(), Err(ClientError::NotOurs(path.into()).into()))
    }

    /// A socket that exists, and a status as if the daemon of this peer had answered there.
    fn served(folder: &Path, who: u8) -> Looked {
        let path = folder.join(who.to_string());
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let client = Client::connect(&path, Duration::from_secs(5)).unwrap();
        drop(listener);
        let (version, time) = ("1".to_owned(), Time(1));
        let status = Status { peer: peer(who), version, swarm: None, time, is_time_certain: true };
        (path, Ok(Found { client, status }))
    }

    fn chosen(looked: Vec<Looked>) -> Result<PeerId, String> {
        let host = "localhost:8001".parse().unwrap();
        let found = choose(&host, &pong(2), None, looked);
        found.map(|found| found.status.peer).map_err(|error| error.to_string())
    }

    #[test]
    fn only_the_socket_of_the_daemon_that_answered_is_chosen() {
        let folder = tempfile::tempdir().unwrap();
        let of = |who| served(folder.path(), who);
        assert_eq!(chosen(vec![of(1), absent("/a"), of(2)]), Ok(peer(2)));
        let refused = chosen(vec![of(3), absent("/a")]).unwrap_err();
        let words = [peer(2).to_string(), peer(3).to_string(), "localhost:8001".into(), "--socket".into()];
        assert!(words.iter().all(|word| refused.contains(word)), "{refused}");
        let refused = chosen(vec![of(4), foreign("/b")]).unwrap_err();
        assert!(refused.contains("another user"), "{refused}");
    }

    #[test]
    fn the_first_socket_that_answers_is_used_or_the_error_of_an_existing_one_shown() {
        let folder = tempfile::tempdir().unwrap();
        let looked = vec![absent("/a"), served(folder.path(), 5), served(folder.path(), 6)];
        assert_eq!(first(looked).unwrap().status.peer, peer(5));
        let told = |looked| first(looked).err().unwrap().to_string();
        assert!(told(vec![absent("/a"), absent("/b")]).contains("/a"));
        assert!(told(vec![absent("/a"), foreign("/b"), absent("/c")]).contains("/b"));
        assert!(told(Vec::new()).contains("no home folder"));
    }
}
