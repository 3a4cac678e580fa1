//! The path to one robot.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::doctor::faults::{
    PEER_ABSENT, PEER_IPFS_UNPROVEN, PEER_IPFS_UNREACHABLE, PEER_LINE_UNPROVEN, PEER_LINE_UNREACHABLE,
    PEER_NO_PONG, PEER_NOT_HEARD, PEER_SILENT,
};
use crate::doctor::findings::{broken, names, unknown, warning, works};
use crate::doctor::observed::{Neighbour, Observed, Reply, Target, shown};
use crate::protocol::Finding;
use routing::Reach;
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
    findings.push(line(observed, target, &name));
    findings.push(ipfs(target, &name));
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
    let accepts = target.lines.iter().any(|(_, reply)| *reply != Reply::None)
        || target.ipfs.iter().any(|(_, accepts)| *accepts);
    let is_quiet = latest.heard >= QUIET || target.stated.is_none();
    let seconds = latest.heard.as_secs();
    (is_quiet && !answers && !accepts)
        .then(|| report!(PEER_SILENT, name = name, seconds = seconds, channel = latest.channel))
}

/// Judges whether the robot is heard, and whether it answers a ping. Datagrams are not signed, so they say something only
/// if the robot proved its identity in another way.
fn hearing(observed: &Observed, target: &Target, name: &str, heard: &[&Neighbour]) -> Vec<Finding> {
    let Some(latest) = heard.iter().min_by_key(|one| one.heard) else {
        // A robot that is absent cannot be heard, which is no further fault.
        return target.stated.map(|_| warning(&report!(PEER_NOT_HEARD, name = name))).into_iter().collect();
    };
    let channels: Vec<&str> = heard.iter().map(|one| one.channel.as_str()).collect();
    let seconds = latest.heard.as_secs();
    let is_proven = target.is_proven();
    let works = |code, message: String| if is_proven { works(code, message) } else { unknown(code, message) };
    let who = if is_proven {
        name.to_owned()
    } else {
        format!("a host that calls itself {name}, and did not prove it,")
    };
    let is_heard = works("peer.heard", format!("{who} is heard on {} ({seconds} s ago)", names(&channels)));
    let pinged = observed.pinged.unwrap_or_default();
    let answers = |one: &&&Neighbour| one.answered.is_some_and(|age| age <= pinged);
    let direct = heard.iter().find(|one| one.reach != Reach::World);
    let pong = match (heard.iter().find(answers), direct) {
        (Some(one), _) => works("peer.ping", format!("{who} answers a ping on {}", one.channel)),
        (None, Some(one)) => broken(&report!(PEER_NO_PONG, name = name, channel = one.channel)),
        (None, None) => unknown(
            "peer.ping",
            format!("{name} was not pinged, because it is heard only on {}", names(&channels)),
        ),
    };
    vec![is_heard, pong]
}

/// Judges the addresses at which the robot states to accept lines.
fn line(observed: &Observed, target: &Target, name: &str) -> Finding {
    const CODE: &str = "peer.line";
    let at = |wanted: Reply| {
        let those = target.lines.iter().filter(|(_, reply)| *reply == wanted);
        those.map(|(address, _)| address.to_string()).collect::<Vec<_>>()
    };
    let (proven, unproven) = (at(Reply::Proven), at(Reply::Unproven));
    if let Some(address) = proven.first() {
        return works(
            CODE,
            format!("{name} accepts TCP connections at {address}, and proved its identity there"),
        );
    }
    match (unproven.first(), target.lines.is_empty()) {
        (Some(address), _) if observed.has_key => unknown(
            CODE,
            format!(
                "a host accepts TCP connections at {address}, as {name} stated; its identity was not checked there"
            ),
        ),
        (Some(_), _) => warning(&report!(PEER_LINE_UNPROVEN, name = name, addresses = names(&unproven))),
        (None, true) => unknown(CODE, none_stated(name, "TCP")),
        (None, false) => {
            broken(&report!(PEER_LINE_UNREACHABLE, name = name, addresses = names(&at(Reply::None))))
        }
    }
}

/// Judges the IPFS connection with the robot, and the addresses at which it states to accept one.
fn ipfs(target: &Target, name: &str) -> Finding {
    const CODE: &str = "peer.ipfs";
    let at = |wanted: bool| {
        let those = target.ipfs.iter().filter(|(_, accepts)| *accepts == wanted);
        those.map(|(address, _)| address.to_string()).collect::<Vec<_>>()
    };
    let accepting = at(true);
    match &target.connection {
        Ok(path) => {
            works(CODE, format!("an IPFS connection with {name} is open, which proves its identity: {path}"))
        }
        Err(reason) if !accepting.is_empty() => {
            let addresses = names(&accepting);
            warning(&report!(PEER_IPFS_UNPROVEN, name = name, addresses = addresses, reason = reason))
        }
        Err(_) if target.ipfs.is_empty() => unknown(CODE, none_stated(name, "IPFS")),
        Err(_) => broken(&report!(PEER_IPFS_UNREACHABLE, name = name, addresses = names(&at(false)))),
    }
}

fn none_stated(name: &str, what: &str) -> String {
    format!("{name} states no address for {what} connections that this host may try")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Verdict;
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
        let at = "10.0.0.1:8000".parse().unwrap();
        let target = |stated: bool, accepts: bool| Target {
            peer: Keypair::from_seed([1; 32]).peer_id(),
            name: Some("duckie".into()),
            is_me: false,
            stated: stated.then_some(Duration::from_secs(9)),
            lines: vec![(at, if accepts { Reply::Proven } else { Reply::None })],
            ipfs: vec![(at, accepts)],
            connection: if accepts { Ok("directly".into()) } else { Err("it is off".into()) },
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

    #[test]
    fn answers_that_prove_nothing_do_not_count_for_the_robot() {
        let at = "10.0.0.1:8000".parse().unwrap();
        let target = Target {
            peer: Keypair::from_seed([1; 32]).peer_id(),
            name: Some("duckie".into()),
            is_me: false,
            stated: Some(Duration::from_secs(9)),
            lines: vec![(at, Reply::Unproven)],
            ipfs: vec![(at, true)],
            connection: Err("it is another peer".into()),
        };
        let neighbour = Neighbour {
            peer: target.peer,
            channel: "eth0".into(),
            reach: Reach::Lan,
            heard: Duration::from_secs(1),
            answered: Some(Duration::from_secs(1)),
        };
        let pinged = Some(Duration::from_secs(2));
        let observed =
            Observed { target: Some(target), neighbours: vec![neighbour], pinged, ..Observed::default() };
        let findings = check(&observed);
        let judged: Vec<(&str, Verdict)> =
            findings.iter().map(|finding| (finding.code.as_str(), finding.verdict)).collect();
        let expected = [
            ("peer.present", Verdict::Works),
            ("peer.heard", Verdict::Unknown),
            ("peer.ping", Verdict::Unknown),
            ("peer.line-unproven", Verdict::Warning),
            ("peer.ipfs-unproven", Verdict::Warning),
        ];
        assert_eq!(judged, expected, "{findings:#?}");
        let keyed = Observed { has_key: true, ..observed };
        assert_eq!(check(&keyed)[3].verdict, Verdict::Unknown, "sealed lines are not tried");
    }
}
