//! Findings from faults that the daemon knows. Each code belongs to one check.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::doctor::findings::told;
use crate::doctor::observed::Observed;
use crate::protocol::{Finding, Verdict};
use routing::Trouble;
use telemetry::Fault;

/// The check to which a fault of the daemon belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// The clock of this host.
    Clock,
    /// The identity of this robot.
    Identity,
    /// The ports at which this robot listens.
    Ports,
    /// The network interfaces.
    Interfaces,
    /// Broadcast and multicast.
    Casts,
    /// Faults of IRC servers.
    Irc,
    /// Peers and servers that the configuration or the swarm file names.
    Servers,
    /// All other faults.
    Other,
}

impl Family {
    /// Returns the check to which the fault with this code belongs.
    pub(crate) fn of(code: &str) -> Self {
        let (area, name) = code.split_once('.').unwrap_or((code, ""));
        match (area, name) {
            ("clock", _) => Self::Clock,
            ("identity", _) => Self::Identity,
            ("irc", _) => Self::Irc,
            ("udp" | "tcp" | "ipfs", "port-taken" | "port-unavailable") => Self::Ports,
            ("udp", "only-unicast") => Self::Casts,
            ("udp", _) if name.starts_with("broadcasts-") || name.starts_with("multicasts-") => Self::Casts,
            ("udp", "peer-name-unresolved") | ("tcp" | "ipfs", _) => Self::Servers,
            ("udp", _) => Self::Interfaces,
            _ => Self::Other,
        }
    }
}

/// Returns a finding for each present fault of a family.
pub(crate) fn of(observed: &Observed, family: Family) -> Vec<Finding> {
    let troubles = observed.troubles.iter().filter(|trouble| Family::of(&trouble.code) == family);
    troubles.map(finding).collect()
}

fn finding(trouble: &Trouble) -> Finding {
    // Where broadcast or multicast is filtered, the robots use what is left.
    let is_machine = trouble.code == telemetry::faults::IDENTITY_MACHINE_CHANGED.code;
    let verdict = match Family::of(&trouble.code) {
        Family::Casts => Verdict::Warning,
        // It is only a question to the owner: nothing fails while the identity is used by one host.
        Family::Identity if is_machine => Verdict::Warning,
        _ => Verdict::Broken,
    };
    let (sentence, remedy) = split(trouble);
    let names_channel = sentence.contains(&trouble.channel) || trouble.code.starts_with(&trouble.channel);
    let message = match names_channel {
        true => sentence.to_owned(),
        false => format!("{}: {sentence}", trouble.channel),
    };
    told(&trouble.code, verdict, message, remedy.map(str::to_owned))
}

/// Splits the message of a fault into its sentence and its remedy, which the text of its remedy in the table shows.
fn split(trouble: &Trouble) -> (&str, Option<&str>) {
    let message = trouble.message.as_str();
    let is_it = |fault: &&&Fault| fault.code == trouble.code;
    let Some(fault) = telemetry::faults::ALL.iter().find(is_it) else { return (message, None) };
    let begin = fault.way_out.split('{').next().unwrap_or_default();
    match message.rfind(&format!("; {begin}")) {
        Some(at) => (&message[..at], message.get(at + 2..)),
        None => (message, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telemetry::{faults, report};

    #[test]
    fn the_sentence_and_the_remedy_of_a_fault_are_told_apart() {
        let fault = report!(faults::CLOCK_UNSET, time = "2027-01-01");
        let code = fault.code().to_owned();
        let trouble = Trouble { channel: "clock".into(), code, message: fault.message(), seconds: 1 };
        let found = finding(&trouble);
        assert!(found.message.ends_with("accepts no new roles"), "{found:?}");
        assert!(found.remedy.unwrap().starts_with("set the clock"));
        assert_eq!(found.verdict, Verdict::Broken);
        let unknown = Trouble { code: "later.version".into(), ..trouble };
        assert_eq!(split(&unknown).1, None);
    }
}
