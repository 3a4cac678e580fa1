//! `grant` and `revoke`: roles are buckets, so these are words about an item.

use crate::arguments::{Arguments, RoleArguments};
use crate::change::{self, Wish};
use crate::connection::Connection;
use crate::error::CliError;
use crate::names::{HOSTNAMES, Names};
use crate::validity::Length;
use crate::{ask, local, swarm_files};
use dcache::{BucketPath, Data, Item, Kind, PeerId, Policy, Role};
use serde_json::Value;

/// Gives a role, or takes it away.
pub(crate) fn run(
    arguments: &Arguments,
    kind: Kind,
    wanted: &RoleArguments,
) -> Result<(String, Value), CliError> {
    local::check(arguments)?;
    match (wanted.role, kind) {
        (Role::Root, _) | (Role::Peer, Kind::Propose) => return Err(CliError::NotGiven(wanted.role)),
        (Role::Admin | Role::Trusted, _) | (Role::Peer, Kind::Dismiss) => {}
    }
    let Ok(peer) = wanted.peer.parse() else { return Err(not_an_id(arguments, &wanted.peer)) };
    let wish =
        Wish { kind, item: item(wanted.role, peer), validity: &wanted.validity, usual: Length::Forever };
    change::run(arguments, vec![wish], &wanted.voice)
}

/// The item that says that `peer` has `role`.
#[expect(clippy::expect_used, reason = "a role's name and a peer ID are well within their bounds")]
fn item(role: Role, peer: PeerId) -> Item {
    let bucket = BucketPath::new(&[role.name()]).expect("a short name");
    Item { bucket, data: Data::new(&peer.to_string()).expect("a short text") }
}

/// Whom somebody may have meant who gave a name.
fn not_an_id(arguments: &Arguments, name: &str) -> CliError {
    let ask = || {
        let key = swarm_files::key(arguments)?;
        let mut connection = Connection::open(&arguments.host, arguments.timeout, key.as_ref())?;
        let answer = ask::records(&mut connection, &[HOSTNAMES], &Policy::default())?;
        Names::read(&answer.set, answer.now).map_err(CliError::from)
    };
    // Without an answer it is still no ID.
    let peers = ask().map(|names| names.peers(name)).unwrap_or_default();
    CliError::NotAnId { name: name.to_owned(), peers }
}
