//! Finds the daemon that HOST means, which may be the name of a robot.
//!
//! The daemon on this computer is asked first: it knows the peer ID of each robot, so that another host with the same
//! name is noticed. A name that it does not know is resolved by the operating system.

use crate::ask;
use crate::connection::Connection;
use crate::error::{CliError, NoRobot, SharedName, UnreachableRobot};
use crate::host::Host;
use crate::output::fields::PeerRef;
use crate::output::warn;
use crate::robots::{self, Choice, Selector, handles};
use crate::text::{clean, duration};
use dcache::PeerId;
use discovery::protocol::{Place, Robot};
use seal::SwarmKey;
use std::net::SocketAddr;
use std::time::Duration;

/// Minimum time to wait for a connection to one of several addresses.
const MIN_SHARE: Duration = Duration::from_millis(500);

/// The daemon that HOST means.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// The host at an IP address, or at a name that the operating system resolves.
    Host(Host, Knowledge),
    /// A robot that the daemon on this computer knows by this name.
    Robot(NamedRobot),
}

/// The answer of the daemon on this computer about a name.
#[derive(Clone, Debug)]
pub(crate) enum Knowledge {
    /// HOST is no name, or no daemon answers on this computer.
    None,
    /// The daemon knows no robot of this name, but possibly one with a similar name.
    Unknown { similar: Option<String> },
}

/// A robot that was found by its name.
#[derive(Clone, Debug)]
pub(crate) struct NamedRobot {
    pub(crate) peer: PeerId,
    /// Whether it is the robot on which this program runs.
    pub(crate) is_me: bool,
    addresses: Vec<SocketAddr>,
    /// Name and peer ID for people.
    shown: String,
    /// Where and when it was last heard, for people.
    last_heard: String,
}

impl Target {
    /// Finds the daemon that HOST means. `known` are the robots that the daemon on this computer knows, or `None` if no
    /// daemon answers there.
    ///
    /// # Errors
    /// When several robots have the name, or no robot has the name and this end of its peer ID.
    pub(crate) fn new(host: &Host, known: Option<&[Robot]>) -> Result<Self, CliError> {
        let selector = Selector::new(&host.name);
        let Some(known) = known else { return Ok(Self::Host(host.clone(), Knowledge::None)) };
        let similar = || selector.similar(known).map(str::to_owned);
        match selector.choose(known) {
            Choice::One(robot) => Ok(NamedRobot::new(robot, host).map_or_else(
                || Self::Host(host.clone(), Knowledge::Unknown { similar: similar() }),
                Self::Robot,
            )),
            Choice::Several(all) => Err(shared_name(&selector, &all, known).into()),
            Choice::None if selector.end().is_some() => {
                Err(NoRobot { name: host.name.clone(), similar: similar(), source: None }.into())
            }
            Choice::None => Ok(Self::Host(host.clone(), Knowledge::Unknown { similar: similar() })),
        }
    }
}

/// Makes the error of a name that several robots have.
pub(crate) fn shared_name(selector: &Selector, all: &[&Robot], known: &[Robot]) -> SharedName {
    let handle = |robot: &Robot| handles(known).into_iter().zip(known).find(|(_, other)| *other == robot)?.0;
    let candidates = all.iter().map(|robot| {
        let handle = handle(robot).unwrap_or_default();
        format!("{} ({})", clean(&handle, 80), last_heard(robot))
    });
    SharedName { name: selector.name().to_owned(), candidates: candidates.collect() }
}

/// Returns where and when a robot was last heard, such as `heard 2 s ago on udp at 10.0.0.7:1240`.
pub(crate) fn last_heard(robot: &Robot) -> String {
    if robot.is_me {
        return "this robot".to_owned();
    }
    let Some(heard) = robot.heard.first() else { return "never heard directly".to_owned() };
    let ago = duration(heard.age_seconds);
    let at = heard.address.as_ref().map_or(String::new(), |at| format!(" at {}", clean(at, 80)));
    match heard.channel == robots::BY_RECORDS {
        true => format!("its record is {ago} old"),
        false => format!("heard {ago} ago on {}{at}", clean(&heard.channel, 64)),
    }
}

impl NamedRobot {
    /// Describes a robot with dt-swarm; `None` for another robot.
    fn new(robot: &Robot, host: &Host) -> Option<Self> {
        let peer = robot.peer?;
        let hostname = robot.name.as_ref().map(|name| name.value.clone());
        let last_heard = match robot.place {
            Place::Away => format!("it is not present any more: {}", last_heard(robot)),
            Place::Here | Place::Elsewhere => last_heard(robot),
        };
        Some(Self {
            peer,
            is_me: robot.is_me,
            addresses: robots::addresses(robot, host.named_port()),
            shown: PeerRef { peer, hostname }.show(),
            last_heard,
        })
    }

    /// Connects to the first address at which a daemon proves that it has this peer ID. If there is none, takes one
    /// that only answers with this peer ID, with a warning, or tries the name as a host name.
    pub(crate) fn connect(
        &self,
        host: &Host,
        timeout: Duration,
        key: Option<&SwarmKey>,
    ) -> Result<Connection, CliError> {
        let number = u32::try_from(self.addresses.len().max(1)).unwrap_or(1);
        let share = (timeout / number).max(MIN_SHARE).min(timeout);
        let (mut error, mut unproven) = (None, None);
        for address in &self.addresses {
            match open(&Host::from(*address), share, key) {
                Ok((mut connection, peer, true)) if peer == self.peer => {
                    connection.set_patience(timeout)?;
                    return Ok(connection);
                }
                Ok((connection, peer, false)) if peer == self.peer => {
                    unproven.get_or_insert(connection);
                }
                Ok(_) => {}
                Err(other) if is_about_keys(&other) => return Err(other),
                Err(other) => error = Some(other),
            }
        }
        if let Some(mut connection) = unproven {
            warn(&self.unproven(connection.host()));
            connection.set_patience(timeout)?;
            return Ok(connection);
        }
        self.connect_by_name(host, timeout, key).ok_or_else(|| self.unreachable(error).into())
    }

    /// Returns the warning that a host did not prove its identity.
    fn unproven(&self, host: &Host) -> String {
        format!(
            "{host} answers with the peer ID of {}, but does not prove it: it runs an older version, or it is another host. \
             Records are verified all the same.",
            self.shown
        )
    }

    /// Connects to HOST as the operating system resolves it. Warns if another robot answers there.
    fn connect_by_name(&self, host: &Host, timeout: Duration, key: Option<&SwarmKey>) -> Option<Connection> {
        // A name with the end of a peer ID means exactly this robot.
        if Selector::new(&host.name).end().is_some() {
            return None;
        }
        let (mut connection, peer, is_proven) = open(host, timeout, key).ok()?;
        if peer == self.peer && !is_proven {
            warn(&self.unproven(host));
        }
        if peer != self.peer {
            warn(&format!(
                "{} does not answer ({}). Another robot answers at the host name {}: {}.",
                self.shown,
                self.last_heard,
                clean(&host.name, 80),
                PeerRef::unnamed(peer).show()
            ));
        }
        connection.set_patience(timeout).ok()?;
        Some(connection)
    }

    fn unreachable(&self, error: Option<CliError>) -> UnreachableRobot {
        UnreachableRobot {
            robot: self.shown.clone(),
            last_heard: self.last_heard.clone(),
            tried: self.addresses.clone(),
            source: error.map(Box::new),
        }
    }
}

/// Connects to a daemon, and asks for its peer ID. Also returns whether it proved the peer ID.
fn open(
    host: &Host,
    timeout: Duration,
    key: Option<&SwarmKey>,
) -> Result<(Connection, PeerId, bool), CliError> {
    let mut connection = Connection::open(host, timeout, key)?;
    connection.end_within(timeout);
    let (pong, is_proven) = ask::identify(&mut connection)?;
    Ok((connection, pong.peer, is_proven))
}

/// Returns whether a daemon answered, but has another key than this program.
fn is_about_keys(error: &CliError) -> bool {
    matches!(error, CliError::Keyed { .. } | CliError::NoKeyThere { .. } | CliError::OtherKey { .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::robots::fixture::{heard, key, peer, robot};
    use dcache::{Keypair, Prover, Validity};
    use routing::{Address, Envelope, Message};
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;

    /// Answers each ping on a connection with a pong of robot 1, and proves it with this key.
    fn answering(prover: Option<Keypair>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let prover = prover.map(Prover::new);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                for line in lines {
                    let ping = Envelope::decode(line.as_bytes()).unwrap();
                    let message = Message::pong(Validity::ALWAYS);
                    let pong = Envelope::new(Address::brain(peer(1)), ping.from, message);
                    let proof =
                        prover.as_ref().zip(ping.challenge).map(|(key, challenge)| key.prove(challenge));
                    writeln!(stream, "{}", Envelope { proof, ..pong }.encode()).unwrap();
                }
            }
        });
        address
    }

    #[test]
    fn a_host_that_only_states_the_peer_id_of_a_robot_is_no_robot() {
        let connect = |addresses: Vec<SocketAddr>| {
            let robot = NamedRobot {
                peer: peer(1),
                is_me: false,
                addresses,
                shown: "duckie7".to_owned(),
                last_heard: String::new(),
            };
            let connection = robot.connect(&"duckie7~x".parse().unwrap(), Duration::from_secs(5), None);
            connection.map(|connection| connection.host().port).map_err(|error| error.to_string())
        };
        let (robot, impostor) = (answering(Some(key(1))), answering(Some(key(2))));
        let old = answering(None);
        assert_eq!(connect(vec![old, impostor, robot]), Ok(robot.port()), "the one that proves it");
        assert_eq!(connect(vec![impostor, old]), Ok(impostor.port()), "an older version, with a warning");
    }

    fn target(text: &str, known: &[Robot]) -> Result<Target, String> {
        Target::new(&text.parse().unwrap(), Some(known)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_name_that_the_swarm_does_not_know_is_left_to_the_operating_system() {
        let known = [robot(1, "duckie7", Place::Here)];
        let Ok(Target::Host(host, Knowledge::Unknown { similar })) = target("duckie6", &known) else {
            panic!()
        };
        assert_eq!((host.name.as_str(), similar.as_deref()), ("duckie6", Some("duckie7")));
        let host = "duckie7".parse().unwrap();
        assert!(matches!(Target::new(&host, None), Ok(Target::Host(_, Knowledge::None))));
    }

    #[test]
    fn a_shared_name_is_refused_with_the_name_of_each_candidate() {
        let mut known = [robot(1, "ente\u{1b}[2J", Place::Here), robot(2, "ente\u{1b}[2J", Place::Elsewhere)];
        known[0].heard = vec![heard("udp", Some("10.0.0.7:1240"), 2)];
        let text = known[0].name.as_ref().unwrap().value.clone();
        let error = Target::new(&Host { name: text, port: 8000, is_port_named: false }, Some(&known));
        let error = error.unwrap_err().to_string();
        let end = peer(1).to_string();
        assert!(error.contains(&format!("~{}", &end[end.len() - 6..])), "{error}");
        assert!(error.contains("heard 2 s ago on udp at 10.0.0.7:1240"), "{error}");
        assert!(!error.contains('\u{1b}'), "{error}");
    }

    #[test]
    fn an_end_that_no_robot_has_is_an_error() {
        let known = [robot(1, "duckie7", Place::Here)];
        let error = target("duckie7~nobody", &known).unwrap_err();
        assert!(error.contains("duckie7~nobody") && error.contains("duckie7"), "{error}");
    }

    #[test]
    fn a_robot_is_found_with_its_peer_id() {
        let known = [robot(1, "duckie7", Place::Here)];
        let Ok(Target::Robot(found)) = target("duckie7.local:9000", &known) else { panic!() };
        assert_eq!((found.peer, found.is_me), (peer(1), false));
    }
}
