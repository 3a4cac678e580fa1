//! Peers and servers that the configuration or the swarm file names, such as bootstrap peers.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::troubles::{self, Family};
use crate::doctor::findings::{count, unknown, works};
use crate::doctor::observed::Observed;
use crate::protocol::Finding;

const CODE: &str = "servers";

pub(crate) fn check(observed: &Observed) -> Vec<Finding> {
    let wrong = troubles::of(observed, Family::Servers);
    if !wrong.is_empty() {
        return wrong;
    }
    let links = observed.channels.iter().filter(|channel| channel.name.starts_with("tcp ")).count();
    vec![match links {
        0 => unknown(CODE, "no link to a configured peer or server is open; none may be configured"),
        links => works(CODE, format!("{} to configured peers and servers are open", count(links, "link"))),
    }]
}
