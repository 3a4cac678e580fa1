//! What is wrong with UDP, in words, each said once.

use super::lan::Lan;
use super::ways::Way;
use std::collections::BTreeMap;
use std::io::{Error, ErrorKind};
use std::time::Duration;

/// How long something has to fail before it is worth a word.
const FOR_A_WHILE: Duration = Duration::from_secs(10);
/// How long somebody has to be heard in a strange way before it is.
const LONG: Duration = Duration::from_secs(150);

/// Whether something that is tried again and again has failed of late.
#[derive(Debug, Default)]
pub(crate) struct Failing {
    since: Option<(Duration, String)>,
}

impl Failing {
    /// How one more attempt ended.
    pub(crate) fn note(&mut self, result: &Result<(), Error>, now: Duration) {
        match (result, &mut self.since) {
            (Ok(()), since) => *since = None,
            (Err(error), None) => self.since = Some((now, explain(error))),
            (Err(error), Some((_, words))) => *words = explain(error),
        }
    }

    /// Why all attempts have failed for a while; `None` when they have not.
    pub(crate) fn words(&self, now: Duration) -> Option<&str> {
        let lasts = |(since, _): &&(Duration, String)| now.saturating_sub(*since) >= FOR_A_WHILE;
        self.since.as_ref().filter(lasts).map(|(_, words)| words.as_str())
    }
}

fn explain(error: &Error) -> String {
    let way_out = match error.kind() {
        ErrorKind::PermissionDenied => "a firewall on this host forbids it; let UDP out",
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => "there is no route; is it connected?",
        ErrorKind::NetworkDown => "it is down; is it connected?",
        ErrorKind::TimedOut => "it takes nothing; is it connected?",
        _ => "it is tried again",
    };
    format!("{error}: {way_out}")
}

/// What is wrong with an interface, the most telling first.
pub(crate) fn of_lan(lan: &Lan, port: u16, now: Duration) -> Option<String> {
    let interface = &lan.interface;
    if let Some(words) = lan.sending.words(now) {
        return Some(format!("{interface}: nothing can be sent: {words}"));
    }
    if let (Some(host), Some(network)) = (lan.stranger(now), interface.networks.first()) {
        return Some(format!(
            "{} ({network}): heard {host}, which is outside this network: the netmask here or there is wrong",
            interface.name
        ));
    }
    if let Some(words) = lan.broadcasting.words(now) {
        return Some(format!("{interface}: broadcasts cannot be sent: {words}. Multicast is used instead"));
    }
    if lan.ways.is_silent(Way::Broadcast, Way::Multicast4, now) {
        return Some(format!(
            "{interface}: others are heard by multicast, but not by broadcast: something filters UDP broadcasts to \
             port {port}, here or in the network. Multicast is used instead"
        ));
    }
    let (host, since, last) = lan.alone?;
    let is_lasting = last.saturating_sub(since) >= LONG && now.saturating_sub(last) < LONG;
    (is_lasting && !lan.ways.is_anybody_heard(now)).then(|| {
        format!(
            "{interface}: {host} is heard when it speaks to this host alone, but nobody by broadcast or multicast: \
             something filters UDP port {port}, here or in the network; hosts have to be configured as peers"
        )
    })
}

/// What was said to be wrong last, by name.
#[derive(Debug, Default)]
pub(crate) struct Said(BTreeMap<String, String>);

impl Said {
    /// Whether this is another thing than what was said last.
    pub(crate) fn is_new(&mut self, name: &str, words: Option<&str>) -> bool {
        let former = match words {
            Some(words) => self.0.insert(name.to_owned(), words.to_owned()),
            None => self.0.remove(name),
        };
        former.as_deref() != words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lasts_is_worth_a_word() {
        let (mut failing, at) = (Failing::default(), Duration::from_secs);
        let refused = || Err(Error::from(ErrorKind::PermissionDenied));
        failing.note(&refused(), at(1));
        assert_eq!(failing.words(at(10)), None);
        failing.note(&refused(), at(11));
        assert!(failing.words(at(11)).is_some_and(|words| words.contains("firewall")));
        failing.note(&Ok(()), at(12));
        failing.note(&refused(), at(13));
        assert_eq!(failing.words(at(14)), None);
    }

    #[test]
    fn everything_is_said_once() {
        let mut said = Said::default();
        assert!(!said.is_new("eth0", None));
        assert!(said.is_new("eth0", Some("broken")));
        assert!(!said.is_new("eth0", Some("broken")));
        assert!(said.is_new("eth0", Some("more broken")));
        assert!(said.is_new("eth0", None));
        assert!(!said.is_new("eth0", None));
    }
}
