//! Robots of other swarms on the networks of this host.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::doctor::faults::{SWARM_OTHER_KEY, SWARM_OTHER_RECORDS};
use crate::doctor::findings::{warning, works};
use crate::doctor::observed::{Observed, OtherHost};
use crate::protocol::Finding;
use std::time::Duration;
use telemetry::report;

/// Time after which a host of another swarm no longer matters.
const LATELY: Duration = Duration::from_secs(60);

pub(crate) fn check(observed: &Observed) -> Vec<Finding> {
    let lately = |host: &Option<OtherHost>| {
        let host = host.as_ref().filter(|host| host.age <= LATELY)?;
        Some(host.address.map_or_else(|| "a host".to_owned(), |address| format!("the host {address}")))
    };
    let key = lately(&observed.other_key).map(|host| warning(&report!(SWARM_OTHER_KEY, host = host)));
    let records =
        lately(&observed.other_records).map(|host| warning(&report!(SWARM_OTHER_RECORDS, host = host)));
    let found: Vec<Finding> = key.into_iter().chain(records).collect();
    match found.is_empty() {
        true => vec![works("swarm", "no robot of another swarm was heard within the last minute")],
        false => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_of_another_swarm_is_named_for_a_minute() {
        let codes = |age| {
            let host =
                OtherHost { address: Some("10.0.0.1".parse().unwrap()), age: Duration::from_secs(age) };
            let observed = Observed {
                other_key: Some(host.clone()),
                other_records: Some(OtherHost { address: None, ..host }),
                ..Observed::default()
            };
            check(&observed).into_iter().map(|finding| finding.code).collect::<Vec<_>>()
        };
        assert_eq!(codes(60), ["swarm.other-key", "swarm.other-records"]);
        assert_eq!(codes(61), ["swarm"]);
    }
}
