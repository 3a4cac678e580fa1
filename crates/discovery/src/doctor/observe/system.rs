//! Reads what Linux says about this host in `/proc`, `/sys` and `/etc`.

use crate::doctor::observed::{LinkNetwork, Responder};
use crate::doctor::parse::{self, SocketLine};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read as _;
use std::net::IpAddr;
use std::path::Path;

/// Maximum size of a file that is read.
const MAX_FILE: u64 = 1024 * 1024;
/// Maximum number of networks that are used.
const MAX_NETWORKS: usize = 32;
/// Maximum number of processes, and of files of each, that are examined to find the program that holds a port.
const MAX_PROCESSES: usize = 4096;
/// Maximum number of open files of a process that are examined.
const MAX_OPEN_FILES: usize = 1024;
/// UDP port of multicast DNS.
const MULTICAST_DNS: u16 = 5353;

/// Facts about this host.
#[derive(Debug, Default)]
pub(super) struct Host {
    pub(super) has_battery_clock: Option<bool>,
    pub(super) networks: Option<Vec<LinkNetwork>>,
    pub(super) has_default_route: Option<bool>,
    pub(super) name_servers: Option<Vec<IpAddr>>,
    pub(super) memory: Option<(u64, u64)>,
    pub(super) responders: Option<Vec<Responder>>,
}

/// Reads the facts about this host.
pub(super) fn read() -> Host {
    let routes = text("/proc/net/route").map(|text| parse::routes(&text));
    let has_route4 = routes.as_ref().map(|routes| routes.iter().any(parse::RouteLine::is_default));
    let has_route6 = text("/proc/net/ipv6_route").is_some_and(|text| parse::has_default_route6(&text));
    Host {
        has_battery_clock: fs::read_dir("/sys/class/rtc").ok().map(|mut clocks| clocks.next().is_some()),
        networks: routes.map(|routes| networks(&routes)),
        has_default_route: has_route4.map(|has_route4| has_route4 || has_route6),
        name_servers: text("/etc/resolv.conf").map(|text| parse::name_servers(&text)),
        memory: text("/proc/meminfo").and_then(|text| parse::memory(&text)),
        responders: responders(),
    }
}

fn text(path: &str) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(MAX_FILE).read_to_string(&mut text).ok()?;
    Some(text)
}

fn networks(routes: &[parse::RouteLine]) -> Vec<LinkNetwork> {
    let own = routes.iter().filter(|route| !route.has_gateway && !route.is_default());
    let network = |route: &parse::RouteLine| LinkNetwork {
        interface: route.interface.clone(),
        network: route.destination,
        netmask: route.netmask,
        is_wireless: Path::new("/sys/class/net").join(&route.interface).join("wireless").exists(),
    };
    own.map(network).take(MAX_NETWORKS).collect()
}

/// Returns the programs that hold the port of multicast DNS, except this one; `None` if the system does not tell.
fn responders() -> Option<Vec<Responder>> {
    let tables = ["/proc/net/udp", "/proc/net/udp6"].map(text);
    if tables.iter().all(Option::is_none) {
        return None;
    }
    let sockets = tables.iter().flatten().flat_map(|text| parse::holders(text, MULTICAST_DNS));
    let sockets: Vec<SocketLine> = sockets.collect();
    let owners = owners(&sockets.iter().map(|socket| socket.inode).collect());
    let responder = |socket: &SocketLine| {
        let process = owners.get(&socket.inode).copied();
        let name = process.and_then(|process| text(&format!("/proc/{process}/comm")));
        Responder { process, name: name.map(|name| name.trim().to_owned()), user: socket.user }
    };
    let all: BTreeSet<Responder> = sockets.iter().map(responder).collect();
    Some(all.into_iter().filter(|one| one.process != Some(std::process::id())).collect())
}

/// Returns the process that holds each of these sockets. Processes of other users are examined only if this user may.
fn owners(inodes: &BTreeSet<u64>) -> BTreeMap<u64, u32> {
    let mut owners = BTreeMap::new();
    if inodes.is_empty() {
        return owners;
    }
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    for process in processes.take(MAX_PROCESSES) {
        let files = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
        for file in files.take(MAX_OPEN_FILES) {
            let link = fs::read_link(file.path()).ok();
            let inode = link.and_then(|link| parse::socket_inode(link.to_str()?));
            if let Some(inode) = inode.filter(|inode| inodes.contains(inode)) {
                owners.entry(inode).or_insert(process);
            }
        }
    }
    owners
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_that_holds_a_socket_is_found() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let held = parse::holders(&text("/proc/net/udp").unwrap(), port);
        let [held] = held.as_slice() else { panic!("{held:?}") };
        assert_eq!(owners(&[held.inode].into()).get(&held.inode), Some(&std::process::id()));
    }
}
