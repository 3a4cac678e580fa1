//! Robots with the same host name.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::doctor::faults::NAME_CLASH;
use crate::doctor::findings::{names, warning, works};
use crate::doctor::observed::Observed;
use crate::protocol::Finding;
use dcache::PeerId;
use std::collections::BTreeMap;
use telemetry::report;

/// Maximum number of names that are reported.
const MAX_CLASHES: usize = 4;
/// Maximum number of characters of a name that are shown.
const MAX_NAME: usize = 64;
/// Number of characters of the peer ID behind the name.
const END: usize = 6;

pub(crate) fn check(observed: &Observed) -> Vec<Finding> {
    let own = folded(&observed.hostname);
    let mut by_name: BTreeMap<String, Vec<String>> = BTreeMap::new();
    if !own.is_empty() {
        by_name.entry(own.clone()).or_default().push("this one".to_owned());
    }
    for robot in &observed.present {
        let Some(name) = &robot.name else { continue };
        by_name.entry(folded(name)).or_default().push(handle(name, robot.peer));
    }
    let mut clashes: Vec<_> = by_name.iter().filter(|(_, robots)| robots.len() > 1).collect();
    // Strangers can make any number of clashes, and must not hide that of this robot.
    clashes.sort_by_key(|(name, _)| **name != own);
    let clash = |(name, robots): (&String, &Vec<String>)| {
        let name: String = name.chars().take(MAX_NAME).collect();
        warning(&report!(NAME_CLASH, number = robots.len(), name = name, peers = names(robots)))
    };
    let clashes: Vec<Finding> = clashes.into_iter().take(MAX_CLASHES).map(clash).collect();
    match clashes.is_empty() {
        true => vec![works("name", format!("no other robot is called {}", observed.hostname))],
        false => clashes,
    }
}

/// Returns a name in the form in which names are compared on the command line.
fn folded(name: &str) -> String {
    let name = name.to_lowercase();
    name.strip_suffix(".local").map_or(name.clone(), str::to_owned)
}

/// Returns the text that means one of several robots of a name on the command line.
fn handle(name: &str, peer: PeerId) -> String {
    let (name, id): (String, String) = (name.chars().take(MAX_NAME).collect(), peer.to_string());
    format!("{name}~{}", &id[id.len().saturating_sub(END)..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::observed::Present;
    use dcache::Keypair;
    use std::time::Duration;

    #[test]
    fn two_robots_with_one_name_are_a_warning() {
        let robot = |seed: u8, name: &str| Present {
            peer: Keypair::from_seed([seed; 32]).peer_id(),
            name: Some(name.to_owned()),
            stated: Duration::ZERO,
            lines: Vec::new(),
            reached: None,
        };
        let check = |present| check(&Observed { hostname: "duckie".into(), present, ..Observed::default() });
        let found = check(vec![robot(1, "duckie"), robot(2, "other"), robot(3, "duckie")]);
        assert_eq!((found.len(), found[0].code.as_str()), (1, "name.clash"));
        assert!(found[0].message.starts_with("3 robots are called duckie (this one, duckie~"), "{found:?}");
        assert_eq!(check(vec![robot(1, "other"), robot(2, "third")])[0].code, "name");
        let hidden = ["a", "a", "b", "b", "c", "c", "d", "d", "DUCKIE.local"];
        let found = check(hidden.iter().zip(1..).map(|(name, seed)| robot(seed, name)).collect());
        assert!(found[0].message.starts_with("2 robots are called duckie (this one and DUCKIE"), "{found:?}");
    }
}
