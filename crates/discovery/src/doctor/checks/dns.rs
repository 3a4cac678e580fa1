//! The name servers of this host.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::doctor::faults::{DNS_INVENTS, DNS_PARTLY_SILENT, DNS_SILENT};
use crate::doctor::findings::{broken, names, unknown, warning, works};
use crate::doctor::observed::Observed;
use crate::protocol::Finding;
use telemetry::report;

const CODE: &str = "dns";

pub(crate) fn check(observed: &Observed) -> Vec<Finding> {
    let Some(servers) = &observed.name_servers else { return Vec::new() };
    let those = |answers: Option<bool>| {
        let those = servers.iter().filter(|server| server.answers == answers);
        those.map(|server| server.address.to_string()).collect::<Vec<_>>()
    };
    let (answering, silent, far) = (those(Some(true)), those(Some(false)), those(None));
    let invented = servers.iter().filter_map(|server| Some((server.address.to_string(), server.invented?)));
    let (inventing, invented): (Vec<String>, Vec<_>) = invented.unzip();
    if let Some(address) = invented.first() {
        return vec![warning(&report!(DNS_INVENTS, servers = names(&inventing), address = address))];
    }
    vec![match (answering.is_empty(), silent.is_empty()) {
        (false, true) => works(CODE, format!("the name server {} answers", names(&answering))),
        (false, false) => {
            let (silent, answering) = (names(&silent), names(&answering));
            warning(&report!(DNS_PARTLY_SILENT, silent = silent, answering = answering))
        }
        (true, false) => broken(&report!(DNS_SILENT, silent = names(&silent))),
        (true, true) if far.is_empty() => unknown(
            CODE,
            "no name server is configured, so names of hosts on the internet cannot be looked up",
        ),
        (true, true) => unknown(
            CODE,
            format!(
                "this host has no route to its name server {}, so names of hosts on the internet cannot be looked up",
                names(&far)
            ),
        ),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::observed::NameServer;

    #[test]
    fn name_servers_that_do_not_answer_are_named() {
        let code = |answers: &[Option<bool>]| {
            let address = "10.0.0.1".parse().unwrap();
            let servers = answers
                .iter()
                .map(|answers| NameServer { address, answers: *answers, invented: None })
                .collect();
            check(&Observed { name_servers: Some(servers), ..Observed::default() })[0].code.clone()
        };
        assert_eq!(code(&[Some(true)]), "dns");
        assert_eq!(code(&[Some(true), Some(false)]), "dns.partly-silent");
        assert_eq!(code(&[Some(false), None]), "dns.silent");
        assert_eq!((code(&[None]), code(&[])), ("dns".to_owned(), "dns".to_owned()));
        let (address, invented) = ("10.0.0.1".parse().unwrap(), Some([10, 0, 0, 2].into()));
        let servers = Some(vec![NameServer { address, answers: Some(true), invented }]);
        let found = check(&Observed { name_servers: servers, ..Observed::default() });
        assert_eq!(found[0].code, "dns.invents");
        assert!(found[0].message.contains("10.0.0.1") && found[0].message.contains("10.0.0.2"), "{found:?}");
    }
}
