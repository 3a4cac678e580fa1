//! Whether a captive portal intercepts connections. Its signs are web pages in place of other answers, a certificate for
//! another name, and a probe that is led elsewhere. No server is dialled for this check but the probe, which the owner
//! configures.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::doctor::faults::NETWORK_CAPTIVE_PORTAL;
use crate::doctor::findings::{broken, names, unknown, works};
use crate::doctor::observed::Observed;
use crate::page::PageAnswer;
use crate::protocol::Finding;
use routing::{Reach, Trouble};
use telemetry::{faults, report};

const CODE: &str = "portal";
/// Status of a page without content, which the probe expects.
const NO_CONTENT: u16 = 204;
/// Status of a page that a portal shows on purpose (RFC 6585, section 6).
const SIGN_IN: u16 = 511;

pub(crate) fn check(observed: &Observed) -> Vec<Finding> {
    let mut signs: Vec<String> = observed.troubles.iter().filter_map(sign_of_trouble).collect();
    signs.extend(observed.portal_probe.as_ref().and_then(sign_of_probe));
    if !signs.is_empty() {
        return vec![broken(&report!(NETWORK_CAPTIVE_PORTAL, signs = names(&signs)))];
    }
    let has_link = observed.channels.iter().any(|channel| {
        channel.name.starts_with("irc")
            || channel.name.starts_with("tcp ") && channel.reach == Some(Reach::Peer)
    });
    vec![match &observed.portal_probe {
        Some(Ok(PageAnswer { status: NO_CONTENT, .. })) => {
            works(CODE, "the page of `portal_probe` answers as it should, so there is no captive portal")
        }
        Some(Ok(PageAnswer { status, .. })) => unknown(
            CODE,
            format!("the page of `portal_probe` answers with the status {status}, which tells nothing"),
        ),
        Some(Err(error)) => unknown(CODE, format!("the page of `portal_probe` cannot be read: {error}")),
        None if has_link => works(CODE, "servers answer as they should, so there is no captive portal"),
        None => {
            unknown(CODE, "no server and no `portal_probe` is configured that would show a captive portal")
        }
    }]
}

fn sign_of_trouble(trouble: &Trouble) -> Option<String> {
    let place = &trouble.channel;
    if [faults::TCP_WEB_SERVER.code, faults::IRC_WEB_SERVER.code].contains(&trouble.code.as_str()) {
        return Some(format!("a web server answers in place of {place}"));
    }
    let is_other = trouble.code == faults::IRC_OTHER_NAME.code;
    is_other.then(|| format!("{place} has a certificate for another name"))
}

fn sign_of_probe(probe: &Result<PageAnswer, String>) -> Option<String> {
    let Ok(PageAnswer { status, location }) = probe else { return None };
    match (*status, location) {
        (300..=399, Some(location)) => Some(format!("the page of `portal_probe` leads to {location}")),
        (200 | 300..=399 | SIGN_IN, _) => {
            Some("another page is shown in place of that of `portal_probe`".to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::observed::Channel;

    fn code(observed: &Observed) -> String {
        let [finding] = &check(observed)[..] else { panic!() };
        format!("{} {:?}", finding.code, finding.verdict)
    }

    fn probe(status: u16, location: Option<&str>) -> Observed {
        let location = location.map(str::to_owned);
        Observed { portal_probe: Some(Ok(PageAnswer { status, location })), ..Observed::default() }
    }

    #[test]
    fn each_sign_of_a_portal_is_named() {
        for (code, sign) in [
            ("tcp.web-server", "in place of tcp 10.0.0.1:8000"),
            ("irc.web-server", "in place of tcp 10.0.0.1:8000"),
            ("irc.other-name", "for another name"),
        ] {
            let channel = "tcp 10.0.0.1:8000".to_owned();
            let trouble = Trouble { channel, code: code.to_owned(), message: String::new(), seconds: 1 };
            let found = check(&Observed { troubles: vec![trouble], ..Observed::default() });
            assert_eq!(found[0].code, "network.captive-portal");
            assert!(found[0].message.contains(sign), "{found:?}");
        }
        let led = check(&probe(302, Some("http://10.0.0.1/login")));
        assert!(led[0].message.contains("http://10.0.0.1/login"), "{led:?}");
        for status in [200, 302, 307, 511] {
            assert_eq!(code(&probe(status, None)), "network.captive-portal Broken", "{status}");
        }
    }

    #[test]
    fn without_a_sign_nothing_is_wrong() {
        assert_eq!(code(&Observed::default()), "portal Unknown");
        assert_eq!(code(&probe(204, None)), "portal Works");
        assert_eq!(code(&probe(500, None)), "portal Unknown");
        let failed = Observed { portal_probe: Some(Err("no answer".to_owned())), ..Observed::default() };
        assert_eq!(code(&failed), "portal Unknown");
        let link = Channel { name: "tcp 10.0.0.1:8000".to_owned(), reach: Some(Reach::Peer) };
        assert_eq!(code(&Observed { channels: vec![link], ..Observed::default() }), "portal Works");
    }
}
