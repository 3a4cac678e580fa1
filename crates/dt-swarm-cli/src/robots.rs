//! The table of robots: who is here, who is elsewhere, and who left.
//!
//! The daemon on this computer has the table: it hears robots on its channels. Another daemon sends its signed records,
//! from which the table is made here.

mod reach;
mod records;
mod selector;

pub(crate) use reach::addresses;
pub(crate) use records::BY_RECORDS;
pub(crate) use selector::{Choice, Selector, handles, robot_name};

use crate::context::{Context, Reading};
use crate::error::CliError;
use crate::local_daemon::Found;
use crate::output::fields::{Daemon, PeerRef};
use control::{Client, ClientError};
use discovery::Discovery;
use discovery::protocol::{Answer, Request, Robot};
use swarm::route_protocol::{Learned, RouteAnswer, RouteProtocol, RouteRequest};

/// Maximum number of robots that are read from the daemon.
const MAX_ROBOTS: usize = 200_000;

/// The robots that a daemon knows.
pub(crate) struct Table {
    /// The daemon that answered.
    pub(crate) daemon: Daemon,
    /// The robots: those that are here first, then those elsewhere, then those that left.
    pub(crate) robots: Vec<Robot>,
    /// Whether the robots are known by signed records only. Another computer does not tell whom it hears.
    pub(crate) is_by_records: bool,
}

/// Which facts about each robot are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// All facts that the daemon knows.
    All,
    /// The facts that one line about the robot shows. In a large swarm, the answer is much shorter.
    Brief,
}

impl Context {
    /// Asks the daemon at HOST for the robots that it knows.
    pub(crate) fn robots(&self) -> Result<Table, CliError> {
        self.robots_with(Detail::All)
    }

    /// Asks the daemon at HOST for the robots that it knows, with these facts about each of them at least.
    pub(crate) fn robots_with(&self, detail: Detail) -> Result<Table, CliError> {
        let mut learned = Vec::new();
        if self.is_here()? {
            match self.find() {
                Ok(mut found) => match of_daemon(&mut found.client, detail)? {
                    Some(robots) => return Ok(Table::of_daemon(&found, robots)),
                    None => learned = heard(&mut found.client),
                },
                Err(error) if self.is_socket_named() => return Err(error),
                // The daemon belongs to another user. Everybody may read its records.
                Err(_) => {}
            }
        }
        let reading = self.read_in_parts(&records::PATTERNS)?;
        Ok(Table::of_records(&reading, learned))
    }

    /// Returns the robots that the daemon on this computer knows; `None` if no daemon answers here.
    pub(crate) fn robots_known_here(&self) -> Option<Vec<Robot>> {
        let mut learned = Vec::new();
        if let Ok(mut found) = self.find_of_user() {
            match of_daemon(&mut found.client, Detail::All) {
                Ok(Some(robots)) => return Some(robots),
                _ => learned = heard(&mut found.client),
            }
        }
        let reading = self.read_here(&records::PATTERNS).ok()?;
        Some(Table::of_records(&reading, learned).robots)
    }
}

/// Asks the daemon behind a control socket for its table. Returns `None` if it has none: it is an older daemon, or its
/// service for discovery does not run.
pub(crate) fn of_daemon(client: &mut Client, detail: Detail) -> Result<Option<Vec<Robot>>, CliError> {
    let mut robots = Vec::new();
    loop {
        match page_of_daemon(client, robots.len(), detail)? {
            None => return Ok(None),
            Some(page) if page.is_empty() || robots.len() > MAX_ROBOTS => break,
            Some(page) => robots.extend(page),
        }
    }
    Ok(Some(robots).filter(|robots| !robots.is_empty()))
}

/// Asks for the rows of the table after the first `from`. An empty page is the end. Returns `None` if the daemon has no
/// table.
pub(crate) fn page_of_daemon(
    client: &mut Client,
    from: usize,
    detail: Detail,
) -> Result<Option<Vec<Robot>>, CliError> {
    match client.call::<Discovery>(&Request::Robots { from, is_brief: detail == Detail::Brief }) {
        Ok(Answer::Robots { robots }) => Ok(Some(robots)),
        Ok(other) => Err(client.unexpected(&other).into()),
        Err(ClientError::Failure(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Asks the daemon behind a control socket on which channels it heard its peers.
fn heard(client: &mut Client) -> Vec<Learned> {
    match client.call::<RouteProtocol>(&RouteRequest::List {}) {
        Ok(RouteAnswer::Routes { learned, .. }) => learned,
        _ => Vec::new(),
    }
}

impl Table {
    fn of_daemon(found: &Found, mut robots: Vec<Robot>) -> Self {
        sort(&mut robots);
        let me = robots.iter().find(|robot| robot.is_me);
        let hostname = me.and_then(|me| Some(me.name.as_ref()?.value.clone()));
        let daemon = Daemon {
            peer: PeerRef { peer: found.status.peer, hostname },
            version: Some(found.status.version.clone()),
            uptime_seconds: None,
            clock_ahead_seconds: None,
            records: None,
        };
        Self { daemon, robots, is_by_records: false }
    }

    fn of_records(reading: &Reading, learned: Vec<Learned>) -> Self {
        let (answer, me) = (&reading.answer, reading.answer.pong.peer);
        let mut robots = records::robots(&answer.set, answer.now, me);
        let is_by_records = learned.is_empty();
        records::add_heard(&mut robots, learned);
        sort(&mut robots);
        let daemon = Daemon::new(&answer.pong, reading.names.of(me).hostname);
        Self { daemon, robots, is_by_records }
    }
}

/// Sorts by place, then by name, then by peer ID. Robots without a name are last.
fn sort(robots: &mut [Robot]) {
    robots.sort_by_cached_key(|robot| {
        let name = robot.name.as_ref().map(|name| name.value.clone());
        (robot.place, name.is_none(), name, robot.peer)
    });
}

#[cfg(test)]
pub(crate) mod fixture {
    use dcache::{Keypair, PeerId};
    use discovery::protocol::{Fact, Heard, Place, Robot, Source};

    pub(crate) fn key(who: u8) -> Keypair {
        Keypair::from_seed([who; 32])
    }

    pub(crate) fn peer(who: u8) -> PeerId {
        key(who).peer_id()
    }

    pub(crate) fn fact(value: &str, age_seconds: u64) -> Fact {
        Fact { value: value.to_owned(), age_seconds, source: Source::Record }
    }

    pub(crate) fn heard(channel: &str, address: Option<&str>, age_seconds: u64) -> Heard {
        Heard { channel: channel.to_owned(), address: address.map(str::to_owned), age_seconds }
    }

    /// A robot with this name at this place.
    pub(crate) fn robot(who: u8, name: &str, place: Place) -> Robot {
        Robot { peer: Some(peer(who)), name: Some(fact(name, 60)), place, ..Robot::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::fixture::robot;
    use super::*;
    use control::{AnswerFrame, Failure, FailureKind, RequestFrame, raw};
    use discovery::protocol::Place;
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::os::unix::net::UnixListener;
    use std::time::Duration;

    /// Asks a control socket that answers each request for robots by `answer`.
    fn asked(answer: impl Fn(usize) -> AnswerFrame + Send + 'static) -> Result<Option<Vec<Robot>>, CliError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for line in BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok) {
                let frame = RequestFrame::parse(line.as_bytes()).unwrap();
                assert_eq!(frame.service, "discovery");
                let Ok(Request::Robots { from, .. }) = serde_json::from_str(frame.request.get()) else {
                    panic!()
                };
                writeln!(stream, "{}", answer(from).encode()).unwrap();
            }
        });
        let mut client = Client::connect(&path, Duration::from_secs(5)).unwrap();
        let robots = of_daemon(&mut client, Detail::All);
        drop(client);
        server.join().unwrap();
        robots
    }

    #[test]
    fn all_pages_of_the_table_are_read() {
        let pages = |from: usize| {
            let all: Vec<Robot> = (1..=5).map(|who| robot(who, "duckie", Place::Here)).collect();
            let robots = all.into_iter().skip(from).take(2).collect();
            AnswerFrame::Answer(raw(&Answer::Robots { robots }))
        };
        assert_eq!(asked(pages).unwrap().map(|robots| robots.len()), Some(5));
    }

    #[test]
    fn a_daemon_without_a_table_is_no_error() {
        let empty = |_| AnswerFrame::Answer(raw(&Answer::Robots { robots: Vec::new() }));
        assert!(asked(empty).unwrap().is_none());
        let failure = || Failure::new(FailureKind::Wrong, "not a valid request to discovery");
        assert!(asked(move |_| AnswerFrame::Failure(failure())).unwrap().is_none());
    }

    #[test]
    fn present_robots_are_first_and_nameless_ones_last() {
        let nameless = Robot { name: None, ..robot(4, "", Place::Here) };
        let mut robots = vec![robot(1, "z", Place::Away), nameless, robot(2, "b", Place::Elsewhere)];
        robots.extend([robot(3, "y", Place::Here), robot(5, "a", Place::Here)]);
        sort(&mut robots);
        let peers: Vec<_> = robots.iter().map(|robot| robot.peer).collect();
        assert_eq!(peers, [5, 3, 4, 2, 1].map(|who| Some(fixture::peer(who))));
    }
}
