//! The IRC servers that this robot uses.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::troubles::{self, Family};
use crate::doctor::findings::{unknown, works};
use crate::doctor::observed::Observed;
use crate::protocol::Finding;

const CODE: &str = "irc";

pub(crate) fn check(observed: &Observed) -> Vec<Finding> {
    let wrong = troubles::of(observed, Family::Irc);
    if !wrong.is_empty() {
        return wrong;
    }
    let is_up = |name: &str| name.starts_with("irc");
    vec![match observed.channels.iter().find(|channel| is_up(&channel.name)) {
        Some(channel) => works(CODE, format!("the channel on the IRC server is joined ({})", channel.name)),
        None => unknown(CODE, "no IRC server is connected; none may be configured"),
    }]
}
