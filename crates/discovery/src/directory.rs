//! The table of robots: merges records, sightings on channels, and robots without dt-swarm.
//!
//! # Ages
//! A record has no time of signing: its validity begins [`dcache::CLOCK_LEEWAY`] or more before that time. But a service
//! states each item for the lifetime of its bucket. So the time of signing is the end of the validity minus the
//! lifetime, and the age of a fact is the time since then, by the clock of this node. The age is not exact if the clock
//! of the signer differs, or if the signer chose another validity. It is never negative, and it counts from the last
//! renewal of the statement, not from the first.
//!
//! # Places
//! A robot is present while its own statement of presence holds. A robot without such a statement, such as one whose
//! clock is wrong, is present if it was heard in the last [`HEARD_LATELY`], and after the end of its last statement. A
//! robot that withdrew its presence is not present until it states it again. A present robot is here if a line of it
//! came on a network of this host in the last [`HEARD_HERE`]; otherwise it is elsewhere.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod draft;
mod merge;
mod stated;

use crate::ForeignRobot;
use crate::protocol::{Place, Robot};
use dcache::{PeerId, Set, Time};
use draft::Draft;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// Maximum number of rows of the table. It limits the memory that a table needs. The first rows are kept: this robot,
/// and those that are here.
pub const MAX_ROWS: usize = 10_000;
/// Time after its last line for which a robot without a statement of presence counts as present. A robot renews its
/// presence when half of it, 5 minutes, is over. So the presence of a robot that was killed ends later than this.
pub const HEARD_LATELY: Duration = Duration::from_secs(4 * 60);
/// Time after its last line on a network of this host for which a present robot counts as here. Each robot sends at
/// least the renewal of its presence, every 5 minutes.
pub const HEARD_HERE: Duration = Duration::from_secs(6 * 60);
/// Time for which a robot without dt-swarm counts as present after it was heard. It equals that of a presence.
pub const FOREIGN_HERE: Duration = Duration::from_secs(10 * 60);
/// Time after the last sign of a robot for which its row is shown. It equals the lifetime of the name.
pub const SHOWN: Duration = Duration::from_secs(5 * 24 * 3600);

/// A robot with dt-swarm that was heard on a channel of this node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sighting {
    /// Peer ID of the robot.
    pub peer: PeerId,
    /// Name of the channel.
    pub channel: String,
    /// Whether the channel is a network of this host, so that the robot is near.
    pub is_on_network: bool,
    /// Address from which its lines came, if the channel has one.
    pub address: Option<SocketAddr>,
    /// Time since it was last heard there.
    pub age: Duration,
}

/// Inputs of the table besides the records.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Peer ID of this robot.
    pub me: PeerId,
    /// Whether another host uses the key of this robot.
    pub is_copied: bool,
    /// The robots that were heard on channels.
    pub sightings: Vec<Sighting>,
    /// The robots without dt-swarm.
    pub foreign: Vec<ForeignRobot>,
}

/// The rows while their facts are gathered. A draft is large, so the map moves only its address.
type Drafts = BTreeMap<PeerId, Box<Draft>>;

/// Returns the table of robots at `now`: this robot first, then by place, name and ID. It has one row for each peer
/// that stated its presence or another fact about itself, or was heard, in the last [`SHOWN`]. A robot without dt-swarm
/// has a row of its own, unless a peer with its name was heard at its address, accepts connections there, or did so when
/// the other one was heard.
///
/// The result does not depend on the order of the inputs.
pub fn rows(set: &Set, now: Time, around: &Surroundings) -> Vec<Robot> {
    let mut drafts = Drafts::new();
    drafts.entry(around.me).or_default();
    stated::add(&mut drafts, set, now);
    let mut sightings: Vec<&Sighting> = around.sightings.iter().collect();
    sightings.sort_by_key(|sighting| (sighting.age, *sighting));
    for sighting in sightings {
        drafts.entry(sighting.peer).or_default().add_sighting(sighting);
    }
    let mut foreign = merge::distinct(&around.foreign);
    merge::into_peers(&mut drafts, &mut foreign, (set, now));
    let peers = drafts.into_iter().filter_map(|(peer, draft)| draft.into_robot(peer, around, now));
    let mut rows: Vec<Robot> = peers.chain(foreign.into_iter().filter_map(Draft::into_foreign)).collect();
    merge::mark_shared_names(&mut rows);
    rows.sort_by_cached_key(sort_key);
    rows.truncate(MAX_ROWS);
    rows
}

/// Returns the key by which rows are sorted.
fn sort_key(robot: &Robot) -> impl Ord + use<> {
    let name = robot.name.as_ref().map(|name| (name.value.to_lowercase(), name.value.clone()));
    let first_address = robot.heard.first().map(|heard| (heard.channel.clone(), heard.address.clone()));
    let (is_other, is_nameless) = (!robot.is_me, name.is_none());
    (is_other, place_order(robot.place), is_nameless, name, robot.peer.is_none(), robot.peer, first_address)
}

fn place_order(place: Place) -> u8 {
    match place {
        Place::Here => 0,
        Place::Elsewhere => 1,
        Place::Away => 2,
    }
}

#[cfg(test)]
mod tests;
