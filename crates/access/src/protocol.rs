//! Requests about access on the control socket: permissions, the log, and streams to other robots.

use crate::log::{RefusedUse, Use};
use crate::permission::{Grantee, Permission};
use crate::wire::RefusalCode;
use dcache::{PeerId, Time};
use serde::{Deserialize, Serialize};
use std::num::NonZeroU16;

/// Maximum number of ports, and of grantees, of one request.
pub const MAX_PORTS: usize = 32;

/// A request to the service `access`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Allows each grantee to reach each port. The answer is [`Answer::Permissions`], with the new permissions.
    Allow {
        /// The peers and roles.
        grantees: Vec<Grantee>,
        /// The TCP ports.
        ports: Vec<NonZeroU16>,
        /// Time in seconds after which the permissions end; absent for no end.
        #[serde(default)]
        seconds: Option<u64>,
    },
    /// Takes permissions back, and ends the streams that are no longer permitted. The answer is
    /// [`Answer::TakenBack`].
    Revoke {
        /// The peers and roles; empty for all.
        grantees: Vec<Grantee>,
        /// The TCP ports; empty for all.
        ports: Vec<NonZeroU16>,
    },
    /// Asks for the permissions and the open streams. The answer is [`Answer::Permissions`].
    List {},
    /// Asks for the log. The answer is [`Answer::Log`].
    Log {},
    /// Opens a stream to a port of another robot. The answer is [`Answer::Opened`] or [`Answer::Refused`].
    Open {
        /// Peer ID of the robot.
        peer: PeerId,
        /// The TCP port.
        port: NonZeroU16,
    },
}

/// An answer of the service `access`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// The answer to [`Request::Allow`] and [`Request::List`].
    Permissions {
        /// Permissions, sorted by grantee and port. Those that have ended are included.
        permissions: Vec<Permission>,
        /// Streams of peers that are open now.
        streams: Vec<OpenStream>,
        /// The present time of the daemon.
        now: Time,
    },
    /// The answer to [`Request::Revoke`].
    TakenBack {
        /// The permissions that were taken back.
        permissions: Vec<Permission>,
        /// Number of streams that were ended.
        streams: usize,
    },
    /// The answer to [`Request::Log`], oldest first.
    Log {
        /// Uses of ports.
        uses: Vec<Use>,
        /// Refusals, one row for each peer, port and reason.
        refusals: Vec<RefusedUse>,
    },
    /// The stream is open. A program can connect with the socket once, within ten seconds.
    Opened {
        /// File name of a Unix socket in the folder of the control socket.
        socket: String,
    },
    /// The other robot refused the stream.
    Refused {
        /// The reason, as the other robot stated it.
        reason: RefusalCode,
        /// Peer ID of this robot, by which the other robot knows it.
        me: PeerId,
    },
}

/// A stream of a peer that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenStream {
    /// The peer, as the connection proved it.
    pub peer: PeerId,
    /// The TCP port.
    pub port: u16,
    /// Time at which the stream began.
    pub from: Time,
    /// Number of bytes that the peer received so far.
    pub sent: u64,
    /// Number of bytes that the peer sent so far.
    pub received: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permission::GivenRole;
    use dcache::Keypair;

    #[test]
    fn requests_read_back_as_written() {
        let (peer, port) = (Keypair::from_seed([1; 32]).peer_id(), NonZeroU16::new(22).unwrap());
        let grantees = vec![Grantee::Peer(peer), Grantee::Role(GivenRole::Trusted)];
        for request in [
            Request::Allow { grantees: grantees.clone(), ports: vec![port], seconds: Some(60) },
            Request::Revoke { grantees, ports: Vec::new() },
            Request::List {},
            Request::Log {},
            Request::Open { peer, port },
        ] {
            let json = serde_json::to_string(&request).unwrap();
            assert_eq!(serde_json::from_str::<Request>(&json).unwrap(), request, "{json}");
        }
    }
}
