//! The path to one robot.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::doctor::faults::{
    PEER_ABSENT, PEER_IPFS_UNREACHABLE, PEER_LINE_UNREACHABLE, PEER_NO_PONG, PEER_NOT_HEARD, PEER_SILENT,
};
use crate::doctor::findings::{broken, names, unknown, warning, works};
use crate::doctor::observed::{Neighbour, Observed, Target, shown};
use crate::protocol::Finding;
use routing::Reach;
use std::net::SocketAddr;
use std::time::Duration;
use telemetry::{FaultReport, report};

/// Time after which a silent robot no longer counts as heard on a channel.
const LATELY: Duration = Duration::from_secs(120);
/// Minimum time since a robot was heard after which it may have been switched off. On a local network, robots send a beacon
/// every few seconds.
const QUIET: Duration = Duration::from_secs(4);

pub(crate) fn check(observed: &Observed) -> Vec<Finding> {
    let Some(target) = &observed.target else { return Vec::new() };
    let name = shown(target.peer, target.name.as_deref());
    if target.is_me {
        return vec![works("peer", format!("{name} is this robot"))];
    }
    let mut findings = vec![present(target, &name)];
    let of_it = observed.neighbours.iter().filter(|one| one.peer == target.peer);
    let heard: Vec<&Neighbour> = of_it.filter(|one| one.heard <= LATELY).collect();
    if let Some(silent) = silence(observed, target, &name, &heard) {
        findings.extend(target.stated.map(|_| broken(&silent)));
        return findings;
    }
    findings.extend(hearing(observed, target, &name, &heard));
    let line = |addresses: String| report!(PEER_LINE_UNREACHABLE, name = name, addresses = addresses);
    findings.push(connected("peer.line", "TCP", &name, &target.lines, line));
    let ipfs = |addresses: String| report!(PEER_IPFS_UNREACHABLE, name = name, addresses = addresses);
    findings.push(connected("peer.ipfs", "IPFS", &name, &target.ipfs, ipfs));
    findings
}

fn present(target: &Target, name: &str) -> Finding {
    match target.stated {
        Some(stated) => {
            works("peer.present", format!("{name} is present: it said so {} s ago", stated.as_secs()))
        }
        None => broken(&report!(PEER_ABSENT, name = name)),
    }
}

/// Returns the fault of a robot that was heard a while ago, and of which nothing answers now. Then nothing is known of the
/// path to it.
fn silence(observed: &Observed, target: &Target, name: &str, heard: &[&Neighbour]) -> Option<FaultReport> {
    let latest = heard.iter().min_by_key(|one| one.heard)?;
    let pinged = observed.pinged.unwrap_or_default();
    let answers = heard.iter().any(|one| one.answered.is_some_and(|age| age <= pinged));
    let accepts = target.lines.iter().chain(&target.ipfs).any(|(_, accepts)| *accepts);
    let is_quiet = latest.heard >= QUIET || target.stated.is_none();
    let seconds = latest.heard.as_secs();
    (is_quiet && !answers && !accepts)
        .then(|| report!(PEER_SILENT, name = name, seconds = seconds, channel = latest.channel))
}

/// Judges whether the robot is heard, and whether it answers a ping.
fn hearing(observed: &Observed, target: &Target, name: &str, heard: &[&Neighbour]) -> Vec<Finding> {
    let Some(latest) = heard.iter().min_by_key(|one| one.heard) else {
        // A robot that is absent cannot be heard, which is no further fault.
        return target.stated.map(|_| warning(&report!(PEER_NOT_HEARD, name = name))).into_iter().collect();
    };
    let channels: Vec<&str> = heard.iter().map(|one| one.channel.as_str()).collect();
    let seconds = latest.heard.as_secs();
    let is_heard = works("peer.heard", format!("{name} is heard on {} ({seconds} s ago)", names(&channels)));
    let pinged = observed.pinged.unwrap_or_default();
    let answers = |one: &&&Neighbour| one.answered.is_some_and(|age| age <= pinged);
    let direct = heard.iter().find(|one| one.reach != Reach::World);
    let pong = match (heard.iter().find(answers), direct) {
        (Some(one), _) => works("peer.ping", format!("{name} answers a ping on {}", one.channel)),
        (None, Some(one)) => broken(&report!(PEER_NO_PONG, name = name, channel = one.channel)),
        (None, None) => unknown(
            "peer.ping",
            format!("{name} was not pinged, because it is heard only on {}", names(&channels)),
        ),
    };
    vec![is_heard, pong]
}

fn connected(
    code: &str,
    what: &str,
    name: &str,
    tried: &[(SocketAddr, bool)],
    fault: impl FnOnce(String) -> FaultReport,
) -> Finding {
    if let Some((address, _)) = tried.iter().find(|(_, accepts)| *accepts) {
        return works(code, format!("{name} accepts {what} connections at {address}"));
    }
    let addresses: Vec<String> = tried.iter().map(|(address, _)| address.to_string()).collect();
    match addresses.is_empty() {
        true => {
            unknown(code, format!("{name} states no address for {what} connections that this host may try"))
        }
        false => broken(&fault(names(&addresses))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::Keypair;

    fn codes(target: Target, heard: Option<Option<u64>>) -> Vec<String> {
        codes_of(target, heard, 1)
    }

    fn codes_of(target: Target, heard: Option<Option<u64>>, age: u64) -> Vec<String> {
        let neighbour = |answered: Option<u64>| Neighbour {
            peer: target.peer,
            channel: "eth0".into(),
            reach: Reach::Lan,
            heard: Duration::from_secs(age),
            answered: answered.map(Duration::from_secs),
        };
        let neighbours = heard.map(neighbour).into_iter().collect();
        let pinged = Some(Duration::from_secs(2));
        let observed = Observed { target: Some(target), neighbours, pinged, ..Observed::default() };
        check(&observed).into_iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn each_part_of_the_path_is_judged() {
        let at = |accepts| vec![("10.0.0.1:8000".parse().unwrap(), accepts)];
        let target = |stated: bool, accepts: bool| Target {
            peer: Keypair::from_seed([1; 32]).peer_id(),
            name: Some("duckie".into()),
            is_me: false,
            stated: stated.then_some(Duration::from_secs(9)),
            lines: at(accepts),
            ipfs: at(accepts),
        };
        let good = ["peer.present", "peer.heard", "peer.ping", "peer.line", "peer.ipfs"];
        assert_eq!(codes(target(true, true), Some(Some(1))), good);
        let deaf =
            ["peer.present", "peer.heard", "peer.no-pong", "peer.line-unreachable", "peer.ipfs-unreachable"];
        assert_eq!(codes(target(true, false), Some(None)), deaf);
        assert_eq!(codes_of(target(true, false), Some(None), 9), ["peer.present", "peer.silent"]);
        assert_eq!(codes_of(target(true, true), Some(None), 9)[2], "peer.no-pong", "its ports answer");
        assert_eq!(codes(target(false, false), Some(None)), ["peer.absent"], "one fault for one cause");
        let absent = Target { lines: Vec::new(), ipfs: Vec::new(), ..target(false, false) };
        assert_eq!(codes(absent, None), ["peer.absent", "peer.line", "peer.ipfs"]);
        assert_eq!(codes(target(true, true), None)[1], "peer.not-heard");
        let me = Target { is_me: true, ..target(true, true) };
        assert_eq!(codes(me, None), ["peer"]);
    }
}
