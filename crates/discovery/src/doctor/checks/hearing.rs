//! "Can you hear me": whether robots on each network are heard, and whether they hear this robot.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::troubles::{self, Family};
use crate::doctor::faults::NETWORK_NOT_HEARD;
use crate::doctor::findings::{broken, count, unknown, warning, works};
use crate::doctor::observed::{Neighbour, Observed};
use crate::protocol::Finding;
use routing::Reach;
use std::time::Duration;
use telemetry::report;

const CODE: &str = "hearing";
/// Time after which a silent robot no longer counts as heard. On a local network, robots send a beacon every few seconds.
const LATELY: Duration = Duration::from_secs(60);
/// Time after the start of the daemon until which filtered broadcasts or multicasts may not have been noticed.
const NOTICED: Duration = Duration::from_secs(180);

pub(crate) fn check(observed: &Observed) -> Vec<Finding> {
    let mut findings = troubles::of(observed, Family::Casts);
    let lans = observed.channels.iter().filter(|channel| channel.reach == Some(Reach::Lan));
    findings.extend(lans.map(|lan| of_lan(observed, &lan.name)));
    findings
}

/// Judges one local network.
fn of_lan(observed: &Observed, lan: &str) -> Finding {
    let on_it = observed.neighbours.iter().filter(|neighbour| neighbour.channel == lan);
    let heard: Vec<&Neighbour> = on_it.filter(|neighbour| neighbour.heard <= LATELY).collect();
    if heard.is_empty() {
        return unknown(CODE, format!("no robot is heard on {lan}; this one may be alone there"));
    }
    let Some(pinged) = observed.pinged else {
        return works(CODE, format!("{} heard on {lan}", are(heard.len())));
    };
    // Where multicasts are filtered, robots answer over unicasts.
    let has_answered = |peer| {
        let of_lan = |other: &&Neighbour| other.peer == peer && other.reach == Reach::Lan;
        let mut ages = observed.neighbours.iter().filter(of_lan).filter_map(|other| other.answered);
        ages.any(|age| age <= pinged)
    };
    let answers = |neighbour: &&&Neighbour| has_answered(neighbour.peer);
    let answering = heard.iter().filter(answers).count();
    // A robot that was heard before the ping may have been switched off since then.
    let deaf = heard.iter().filter(|neighbour| !answers(neighbour) && neighbour.heard < pinged).count();
    let number = count(if answering == 0 { heard.len() } else { deaf }, "robot");
    let fault = || report!(NETWORK_NOT_HEARD, number = number, channel = lan);
    match (answering, deaf) {
        (0, 0) => {
            unknown(CODE, format!("{} heard on {lan} within the last minute, but not now", are(heard.len())))
        }
        (0, _) => broken(&fault()),
        (_, 0) => works(CODE, mutual(observed, lan, answering)),
        _ => warning(&fault()),
    }
}

fn are(number: usize) -> String {
    format!("{} {}", count(number, "robot"), if number == 1 { "is" } else { "are" })
}

fn mutual(observed: &Observed, lan: &str, answering: usize) -> String {
    let verb = if answering == 1 { "hears" } else { "hear" };
    let early = match observed.uptime < NOTICED {
        true => {
            "; whether broadcast or multicast alone is filtered shows three minutes after the start of dt-swarm"
        }
        false => "",
    };
    format!("{} heard on {lan} and {verb} this one: a ping to all was answered{early}", are(answering))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::observed::Channel;
    use crate::protocol::Verdict;
    use dcache::Keypair;

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// Judges a network with robots that were last heard, and last answered, at these ages. The ping is a second old.
    fn verdict(robots: &[(u64, Option<u64>)]) -> Verdict {
        let neighbours = robots.iter().zip(1..).map(|((heard, answered), seed)| Neighbour {
            peer: Keypair::from_seed([seed; 32]).peer_id(),
            channel: "eth0".into(),
            reach: Reach::Lan,
            heard: at(*heard),
            answered: answered.map(at),
        });
        let observed = Observed {
            channels: vec![Channel { name: "eth0".into(), reach: Some(Reach::Lan) }],
            neighbours: neighbours.collect(),
            pinged: Some(at(1000)),
            ..Observed::default()
        };
        check(&observed)[0].verdict
    }

    #[test]
    fn hearing_is_judged_in_both_directions() {
        assert_eq!(verdict(&[]), Verdict::Unknown);
        assert_eq!(verdict(&[(500, Some(500))]), Verdict::Works);
        assert_eq!(verdict(&[(500, None)]), Verdict::Broken, "it is heard, and does not hear us");
        assert_eq!(verdict(&[(500, Some(5000))]), Verdict::Broken, "it answered only an earlier ping");
        assert_eq!(verdict(&[(5000, None)]), Verdict::Unknown, "it may have been switched off");
        assert_eq!(verdict(&[(500, Some(500)), (600, None)]), Verdict::Warning);
        assert_eq!(verdict(&[(500, Some(500)), (5000, None)]), Verdict::Works);
        assert_eq!(verdict(&[(99_000, None)]), Verdict::Unknown);
    }

    #[test]
    fn an_answer_over_a_unicast_counts() {
        let peer = Keypair::from_seed([1; 32]).peer_id();
        let on = |channel: &str, answered: Option<u64>| Neighbour {
            peer,
            channel: channel.into(),
            reach: Reach::Lan,
            heard: at(500),
            answered: answered.map(at),
        };
        let observed = Observed {
            channels: vec![Channel { name: "eth0".into(), reach: Some(Reach::Lan) }],
            neighbours: vec![on("eth0", None), on("udp 10.0.0.2:1240", Some(400))],
            pinged: Some(at(1000)),
            ..Observed::default()
        };
        assert_eq!(check(&observed)[0].verdict, Verdict::Works);
    }
}
