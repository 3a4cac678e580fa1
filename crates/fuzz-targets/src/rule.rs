//! Target: rules of the routing table, one on each line. The last line is the address to resolve.

use crate::samples::peer;
use routing::{Address, MAX_RULES, MAX_STEPS, Resolution, Rule, Table};
use std::time::Duration;

/// The time at which a route was learned, and at which the address is resolved.
const NOW: Duration = Duration::from_secs(60);

/// Returns the seed inputs, from which the fuzzer starts.
pub fn seeds() -> Vec<Vec<u8>> {
    let to = Address::brain(peer());
    vec![
        format!("{to} => /ip4/10.0.0.7/udp/1240/dswarm-line/$0\n{to}").into(),
        b"/irc/*/* => /dns4/$1/tcp/6667/irc/$2/dswarm-line\n/a => /irc/b/#c/$0\n/a/cli".to_vec(),
        b"/a => /b/$0/$0\n/b/* => /a\n/b/*/* => /c/$2/$1\n/c => /dswarm/*/brain\n/a/x".to_vec(),
        format!("/dswarm => /ipfs-pubsub/duckiebots/dswarm-line/$0\n/* => /cli\n{to}{to}").into(),
    ]
}

/// Checks that a rule is the same after formatting and parsing, and that resolving terminates within the limits.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (rules, to) = text.rsplit_once('\n').unwrap_or((text, "/dswarm/*/brain"));
    let mut table = Table::new(dcache::PeerId::from_public_key([0; 32]));
    for rule in rules.split('\n').filter_map(|rule| rule.parse::<Rule>().ok()) {
        assert_eq!(rule.to_string().parse().as_ref(), Ok(&rule));
        let _ = table.add(rule);
    }
    let Ok(to) = to.parse::<Address>() else { return };
    if let Some(first) = to.first_hop().and_then(|(hop, _)| Address::hop(hop).ok()) {
        table.learn(peer(), &first, 1, NOW);
    }
    check_answer(&table, &to);
}

fn check_answer(table: &Table, to: &Address) {
    assert!(table.rules().len() <= MAX_RULES);
    let explanation = table.explain(to, NOW);
    assert_eq!(explanation.end, table.resolve(to, NOW));
    assert!(explanation.steps.len() <= MAX_STEPS);
    if let Ok(Resolution::Channel { address }) = &explanation.end {
        assert!(address.first_hop().is_some());
    }
    for step in &explanation.steps {
        assert_eq!(step.after.as_str().parse().as_ref(), Ok(&step.after));
    }
    assert!(!explanation.to_string().is_empty() && serde_json::to_string(&explanation).is_ok());
}
