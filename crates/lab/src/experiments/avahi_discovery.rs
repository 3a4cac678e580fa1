//! Avahi as a system whose nodes list each other: each daemon publishes a service, and a browser on each host asks for
//! all such services.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use super::discover::{Discovery, Started, start_in_steps};
use crate::peers::Avahi;
use crate::{Error, Host, Result, Sightings};

const MDNS: (Ipv4Addr, u16) = (Ipv4Addr::new(224, 0, 0, 251), 5353);
/// Type of the published services.
const SERVICE: &str = "_lab._tcp";
/// Beginning of the names of the services, which is followed by [`DIGITS`] digits.
const NODE: &str = "node-";
const DIGITS: usize = 4;
/// First and maximum pause between two questions (RFC 6762, section 5.2). Each question doubles it.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Maximum time for which a browser waits for a packet before it checks whether it has to end.
const PATIENCE: Duration = Duration::from_millis(100);

/// An avahi-daemon and a browser on each host.
pub(super) struct AvahiDiscovery {
    is_over: Arc<AtomicBool>,
    browsers: Vec<JoinHandle<()>>,
    _daemons: Vec<Avahi>,
    sightings: Arc<Sightings>,
}

impl Discovery for AvahiDiscovery {
    const NAME: &'static str = "Avahi";
    const BEGINNING: &'static str = NODE;

    fn start(hosts: Vec<Host>) -> Result<(Self, Started)> {
        let sightings = Arc::new(Sightings::of(hosts.len()));
        let (mut daemons, mut browsers, is_over) = (Vec::new(), Vec::new(), Arc::new(AtomicBool::new(false)));
        let last = start_in_steps(hosts.iter(), |number, host| {
            let service = format!(
                "<service-group><name>{NODE}{number:0DIGITS$}</name><service><type>{SERVICE}</type><port>1</port></service></service-group>"
            );
            daemons.push(Avahi::launch(host, &[("lab", service)])?);
            let socket =
                host.within(|| open(host.address()))?.map_err(Error::io("opening a socket for mDNS"))?;
            let (sightings, is_over) = (Arc::clone(&sightings), Arc::clone(&is_over));
            browsers.push(thread::spawn(move || {
                browse(&socket, &is_over, |name| {
                    sightings.note(number, name, Instant::now());
                })
            }));
            Ok(())
        })?;
        daemons.iter().try_for_each(Avahi::wait_until_ready)?;
        let ready = Instant::now();
        Ok((Self { is_over, browsers, _daemons: daemons, sightings }, Started { last, ready }))
    }

    fn sightings(&self) -> &Sightings {
        &self.sightings
    }
}

impl Drop for AvahiDiscovery {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // Fails only when the thread has panicked, which it has reported.
        self.browsers.drain(..).for_each(|browser| drop(browser.join()));
    }
}

/// Opens a socket for mDNS beside that of the daemon.
fn open(address: Ipv4Addr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, MDNS.1)).into())?;
    socket.set_multicast_if_v4(&address)?;
    socket.set_multicast_ttl_v4(255)?;
    // The answers of the daemon on this host are heard, and it hears the questions.
    socket.set_multicast_loop_v4(true)?;
    socket.join_multicast_v4(&MDNS.0, &address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket.into())
}

/// Asks for the services and passes the names in all answers to `note`, until the flag is set.
fn browse(socket: &UdpSocket, is_over: &AtomicBool, note: impl Fn(String)) {
    let (mut asked, mut pause) = (None::<Instant>, PAUSE.0);
    let mut buffer = [0; 9000];
    while !is_over.load(Ordering::Relaxed) {
        if asked.is_none_or(|asked| asked.elapsed() >= pause) {
            pause = asked.map_or(PAUSE.0, |_| (pause * 2).min(PAUSE.1));
            asked = Some(Instant::now());
            // A question that is lost is asked again.
            let _ = socket.send_to(&question(), MDNS);
        }
        if let Ok(length) = socket.recv(&mut buffer) {
            names(&buffer[..length]).for_each(&note);
        }
    }
}

/// Returns a question for all services of the type.
fn question() -> Vec<u8> {
    // A header with one question; then its name, the type PTR, and the class IN.
    let mut bytes = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in SERVICE.split('.').chain(["local"]) {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.extend([0, 0, 12, 0, 1]);
    bytes
}

/// Returns the names of services in an answer. Their fixed form lets us find them without decoding the packet.
fn names(packet: &[u8]) -> impl Iterator<Item = String> + '_ {
    let is_answer = packet.get(2).is_some_and(|flags| flags & 0x80 != 0);
    let places = (0..packet.len()).filter(move |_| is_answer);
    places.filter_map(|at| {
        let digits = packet[at..].strip_prefix(NODE.as_bytes())?.get(..DIGITS)?;
        let digits = std::str::from_utf8(digits)
            .ok()
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
        Some(format!("{NODE}{digits}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_answers_only() {
        let mut packet = b"\0\0\x84\0\0\0\0\x01\0\0\0\0\x09node-0007\x04_lab\x09node-00x8".to_vec();
        assert_eq!(names(&packet).collect::<Vec<_>>(), ["node-0007"]);
        packet[2] = 0;
        assert_eq!(names(&packet).count(), 0);
    }

    #[test]
    fn the_question_names_the_type() {
        assert_eq!(question()[12..], *b"\x04_lab\x04_tcp\x05local\0\0\x0c\0\x01");
    }
}
