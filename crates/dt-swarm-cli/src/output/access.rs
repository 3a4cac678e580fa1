//! Permissions to reach ports of this robot, and the log of their use.

use super::fields::{PeerRef, Timestamp};
use super::names::Names;
use crate::tables::table;
use crate::text::{date, duration, size, until};
use access::{Grantee, OpenStream, Permission, RefusedUse, Use, UseEnd};
use dcache::{PeerId, Time};
use serde::Serialize;

/// The permissions of this robot, and the connections that are open.
#[derive(Debug, Serialize)]
pub(crate) struct Permissions {
    /// The permissions, sorted by peer or role, and port.
    permissions: Vec<PermissionEntry>,
    /// The connections of other robots that are open now.
    connections: Vec<Connection>,
    #[serde(skip)]
    now: Time,
}

/// Permission for a peer or a role to reach a port.
#[derive(Debug, Serialize)]
pub(crate) struct PermissionEntry {
    /// The peer; `null` for a role.
    peer: Option<PeerId>,
    hostname: Option<String>,
    /// The role, which includes stronger ones; `null` for a peer.
    role: Option<&'static str>,
    /// The TCP port.
    port: u16,
    /// The time at which it was given.
    given_time: Timestamp,
    /// The time at which it ends; `null` is no end.
    until: Option<Timestamp>,
    /// Whether it has ended.
    is_over: bool,
}

/// An open connection of another robot.
#[derive(Debug, Serialize)]
struct Connection {
    #[serde(flatten)]
    peer: PeerRef,
    port: u16,
    /// The time at which it began.
    from: Timestamp,
    /// Bytes that the peer received.
    sent_bytes: u64,
    /// Bytes that the peer sent.
    received_bytes: u64,
}

/// The log of uses and refusals, oldest first.
#[derive(Debug, Serialize)]
pub(crate) struct Log {
    uses: Vec<UseEntry>,
    refusals: Vec<RefusalEntry>,
}

/// A use of a port.
#[derive(Debug, Serialize)]
struct UseEntry {
    #[serde(flatten)]
    peer: PeerRef,
    port: u16,
    from: Timestamp,
    /// The time at which it ended; `null` if it is open, or its end is not known.
    until: Option<Timestamp>,
    sent_bytes: u64,
    received_bytes: u64,
    /// `open`, `closed`, `taken_back`, `idle`, `nothing_listens` or `interrupted`.
    state: &'static str,
}

/// Refusals of a peer at a port for one reason.
#[derive(Debug, Serialize)]
struct RefusalEntry {
    #[serde(flatten)]
    peer: PeerRef,
    /// The port; `null` if the peer named none.
    port: Option<u16>,
    /// The time of the first refusal.
    from: Timestamp,
    /// The time of the last refusal.
    last_time: Timestamp,
    /// The number of refusals.
    refusals: u64,
    reason: String,
}

impl PermissionEntry {
    pub(crate) fn new(permission: Permission, names: &Names, now: Time) -> Self {
        let Permission { grantee, port, given, until, .. } = permission;
        let (peer, role) = match grantee {
            Grantee::Peer(peer) => (Some(peer), None),
            Grantee::Role(role) => (None, Some(role.role().name())),
        };
        Self {
            peer,
            hostname: peer.and_then(|peer| names.of(peer).hostname),
            role,
            port,
            given_time: Timestamp(given),
            until: until.map(Timestamp),
            is_over: until.is_some_and(|until| until <= now),
        }
    }

    fn show_who(&self) -> String {
        match (self.peer, self.role) {
            (Some(peer), _) => PeerRef { peer, hostname: self.hostname.clone() }.show(),
            (None, role) => format!("role {}", role.unwrap_or_default()),
        }
    }
}

impl Permissions {
    pub(crate) fn new(
        permissions: Vec<Permission>,
        streams: Vec<OpenStream>,
        names: &Names,
        now: Time,
    ) -> Self {
        let connection = |stream: OpenStream| Connection {
            peer: names.of(stream.peer),
            port: stream.port,
            from: Timestamp(stream.from),
            sent_bytes: stream.sent,
            received_bytes: stream.received,
        };
        let entry = |permission| PermissionEntry::new(permission, names, now);
        let permissions = permissions.into_iter().map(entry).collect();
        Self { permissions, connections: streams.into_iter().map(connection).collect(), now }
    }

    /// Returns the table of permissions.
    pub(crate) fn show_permissions(&self) -> String {
        if self.permissions.is_empty() {
            return "No other robot may reach a port of this robot through dt-swarm.\n".to_owned();
        }
        let mut shown = table(&["WHO", "PORT", "ENDS", "GIVEN"]);
        for entry in &self.permissions {
            let ends = until(entry.until.map(|until| until.0), self.now);
            shown.add_row([entry.show_who(), entry.port.to_string(), ends, date(entry.given_time.0)]);
        }
        format!("{}\n", shown.trim_fmt())
    }

    pub(crate) fn show(&self) -> String {
        let mut text = self.show_permissions();
        if !self.connections.is_empty() {
            let mut shown = table(&["CONNECTED", "PORT", "FOR", "SENT", "RECEIVED"]);
            for one in &self.connections {
                let since = duration(self.now.since(one.from.0));
                let (sent, received) = (size(one.sent_bytes), size(one.received_bytes));
                shown.add_row([one.peer.show(), one.port.to_string(), since, sent, received]);
            }
            text += &format!("\n{}\n", shown.trim_fmt());
        }
        text
    }
}

impl Log {
    pub(crate) fn new(uses: Vec<Use>, refusals: Vec<RefusedUse>, names: &Names) -> Self {
        let entry = |row: Use| UseEntry {
            peer: names.of(row.peer),
            port: row.port,
            from: Timestamp(row.from),
            until: row.until.map(Timestamp),
            sent_bytes: row.sent,
            received_bytes: row.received,
            state: state(row.end),
        };
        let refusal = |row: RefusedUse| RefusalEntry {
            peer: names.of(row.peer),
            port: row.port,
            from: Timestamp(row.from),
            last_time: Timestamp(row.last),
            refusals: row.times,
            reason: row.reason.to_string(),
        };
        Self {
            uses: uses.into_iter().map(entry).collect(),
            refusals: refusals.into_iter().map(refusal).collect(),
        }
    }

    pub(crate) fn show(&self) -> String {
        if self.uses.is_empty() && self.refusals.is_empty() {
            return "No other robot has used or asked for a port of this robot.\n".to_owned();
        }
        let mut text = String::new();
        if !self.uses.is_empty() {
            let mut shown = table(&["WHO", "PORT", "FROM", "UNTIL", "SENT", "RECEIVED", "END"]);
            for row in &self.uses {
                let until = row.until.map_or_else(String::new, |until| date(until.0));
                let (sent, received) = (size(row.sent_bytes), size(row.received_bytes));
                let (who, port, from) = (row.peer.show(), row.port.to_string(), date(row.from.0));
                shown.add_row([who, port, from, until, sent, received, row.state.replace('_', " ")]);
            }
            text += &format!("{}\n", shown.trim_fmt());
        }
        if !self.refusals.is_empty() {
            let mut shown = table(&["REFUSED", "PORT", "TIMES", "LAST", "REASON"]);
            for row in &self.refusals {
                let port = row.port.map_or_else(String::new, |port| port.to_string());
                let (who, last) = (row.peer.show(), date(row.last_time.0));
                shown.add_row([who, port, row.refusals.to_string(), last, row.reason.clone()]);
            }
            let gap = if text.is_empty() { "" } else { "\n" };
            text += &format!("{gap}{}\n", shown.trim_fmt());
        }
        text
    }
}

fn state(end: Option<UseEnd>) -> &'static str {
    match end {
        None => "open",
        Some(UseEnd::Closed) => "closed",
        Some(UseEnd::TakenBack) => "taken_back",
        Some(UseEnd::Idle) => "idle",
        Some(UseEnd::NothingListens) => "nothing_listens",
        Some(UseEnd::Interrupted) => "interrupted",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::vocabulary;
    use access::{GivenRole, Refusal};
    use dcache::Keypair;

    const NOW: Time = Time(1_800_000_000);

    fn peer() -> PeerId {
        Keypair::from_seed([1; 32]).peer_id()
    }

    #[test]
    fn permissions_and_connections_are_shown() {
        let permission = |grantee, until| Permission { grantee, port: 22, given: NOW, until, swarm: 0 };
        let permissions = vec![
            permission(Grantee::Peer(peer()), Some(NOW.plus(7200))),
            permission(Grantee::Role(GivenRole::Admin), None),
            permission(Grantee::Role(GivenRole::Trusted), Some(NOW)),
        ];
        let stream = OpenStream { peer: peer(), port: 22, from: NOW, sent: 1000, received: 5 };
        let shown = Permissions::new(permissions, vec![stream], &Names::default(), NOW.plus(60));
        let text = shown.show();
        for part in ["role admin", "never", "over", "in 119 min", "60 s", "1.0 kB"] {
            assert!(text.contains(part), "{part} in:\n{text}");
        }
        let json = vocabulary::checked(&shown);
        assert_eq!(
            (&json["permissions"][1]["role"], &json["permissions"][2]["is_over"]),
            (&"admin".into(), &true.into())
        );
    }

    #[test]
    fn uses_and_refusals_are_shown() {
        let end = Some(UseEnd::TakenBack);
        let row =
            Use { peer: peer(), port: 22, from: NOW, until: Some(NOW.plus(5)), sent: 1, received: 2, end };
        let refused = RefusedUse {
            peer: peer(),
            port: None,
            reason: Refusal::Stranger,
            from: NOW,
            last: NOW,
            times: 3,
        };
        let log = Log::new(vec![row], vec![refused], &Names::default());
        let text = log.show();
        assert!(text.contains("taken back") && text.contains("no permission names the peer"), "{text}");
        vocabulary::checked(&log);
        let empty = Log::new(Vec::new(), Vec::new(), &Names::default());
        assert!(empty.show().starts_with("No other robot"));
    }
}
