//! Programs that answer multicast DNS on this host.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::doctor::faults::MDNS_SEVERAL_RESPONDERS;
use crate::doctor::findings::{names, unknown, warning, works};
use crate::doctor::observed::{Observed, Responder};
use crate::protocol::Finding;
use telemetry::report;

const CODE: &str = "mdns";

pub(crate) fn check(observed: &Observed) -> Vec<Finding> {
    let Some(responders) = &observed.responders else { return Vec::new() };
    let shown: Vec<String> = responders.iter().map(show).collect();
    vec![match shown.as_slice() {
        [] => unknown(
            CODE,
            "no program answers multicast DNS on this host, so it has no name that ends in .local",
        ),
        [one] => works(CODE, format!("{one} answers multicast DNS on this host")),
        several => warning(&report!(MDNS_SEVERAL_RESPONDERS, programs = names(several))),
    }]
}

fn show(responder: &Responder) -> String {
    match (&responder.name, responder.process) {
        (Some(name), Some(process)) => format!("{name} (process {process})"),
        (None, Some(process)) => format!("the process {process}"),
        (_, None) => format!("a program of the user {}", responder.user),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_responders_are_a_warning() {
        let responder =
            |name: &str, process| Responder { process: Some(process), name: Some(name.into()), user: 0 };
        let check =
            |responders| check(&Observed { responders: Some(responders), ..Observed::default() }).remove(0);
        assert_eq!(check(Vec::new()).code, CODE);
        assert!(check(vec![responder("avahi-daemon", 7)]).message.starts_with("avahi-daemon (process 7)"));
        let found = check(vec![responder("avahi-daemon", 7), responder("systemd-resolve", 8)]);
        assert_eq!(found.code, "mdns.several-responders");
    }
}
