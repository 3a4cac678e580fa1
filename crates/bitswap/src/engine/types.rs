//! The engine's settings, outputs, counters and error.
use std::time::Duration;

use bytes::Bytes;
use cid::Cid;

#[cfg(doc)]
use super::Engine;
use crate::message::Message;

/// Limits and times of an [`Engine`].
#[derive(Clone, Debug)]
pub struct Config {
    /// Maximum number of blocks that are wanted here at one time.
    pub max_wants: usize,
    /// Maximum number of unanswered wants that are kept for one peer. Wants whose block is queued for sending count too.
    pub max_peer_wants: usize,
    /// Maximum number of unanswered wants that are kept for all peers together. It is divided evenly, but every peer
    /// may have at least 1024.
    pub max_all_peer_wants: usize,
    /// Minimum number of blocks that may be under way from one peer at a time, once the rate of its link is known.
    pub slots: usize,
    /// Maximum number of blocks that may be under way from one peer at a time.
    pub max_slots: usize,
    /// Minimum time limit for a peer that sends none of the blocks requested from it. When the limit is reached, another
    /// peer is asked. The limit of a slow link is up to six times as long.
    pub block_timeout: Duration,
    /// Minimum time without any wanted block after which this node fetches blocks that are another peer's share.
    pub patience: Duration,
    /// Maximum number of bytes of unrequested blocks that a peer may send before [`Output::LeaveAside`]. An eighth of the
    /// wanted bytes that the peer sent is added to this limit.
    pub max_unwanted_bytes: u64,
    /// Interval at which a want is announced again while no peer has the block.
    pub announce_interval: Duration,
    /// Maximum number of block bytes in one message, unless a single block is larger.
    pub message_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_wants: 4096,
            max_peer_wants: 16_384,
            max_all_peer_wants: 131_072,
            slots: 2,
            max_slots: 32,
            block_timeout: Duration::from_secs(5),
            patience: Duration::from_secs(2),
            max_unwanted_bytes: 8 * 1024 * 1024,
            announce_interval: Duration::from_secs(30),
            message_bytes: 256 * 1024,
        }
    }
}

/// An action for the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output<P> {
    /// Send this message, then call [`Engine::sent`] or [`Engine::send_failed`]. There is one at a time per peer.
    Send {
        /// The receiver of the message.
        peer: P,
        /// The message to send.
        message: Message,
    },
    /// Look up the sizes of these blocks in the store, and report them by [`Engine::looked_up`] in the same order.
    LookUp {
        /// The peer that wants the blocks.
        peer: P,
        /// The CIDs to look up.
        cids: Vec<Cid>,
    },
    /// Read these blocks and give them to [`Engine::loaded`]. There is one such request at a time per peer.
    Load {
        /// The peer that wants the blocks.
        peer: P,
        /// CIDs of the blocks to read.
        cids: Vec<Cid>,
    },
    /// Store this wanted block, then call [`Engine::stored`], or [`Engine::abandon`] if it cannot be stored. Its data
    /// matches its CID.
    Store {
        /// The sender of the block.
        peer: P,
        /// The CID under which the block was wanted here.
        cid: Cid,
        /// The block's data.
        data: Bytes,
    },
    /// A wanted block is stored. The want has ended.
    Satisfied {
        /// The CID under which the block was wanted here.
        cid: Cid,
    },
    /// Dial this peer again. It has not sent blocks that it said it has; a new connection may help.
    Reconnect {
        /// The peer to dial again.
        peer: P,
    },
    /// Disconnect this peer, because it wastes bandwidth. Refuse its connections for a time that the caller chooses.
    LeaveAside {
        /// The peer to disconnect.
        peer: P,
        /// The peer's misbehaviour, as a sentence for the log.
        reason: &'static str,
    },
}

/// Counters since the start, for diagnostics and tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Number of wanted blocks that arrived.
    pub blocks_received: u64,
    /// Number of bytes in the wanted blocks that arrived.
    pub bytes_received: u64,
    /// Number of blocks that arrived although they were not wanted, or no longer wanted.
    pub unwanted_blocks: u64,
    /// Number of bytes in the unwanted blocks that arrived.
    pub unwanted_bytes: u64,
    /// Number of blocks in messages that were given to the caller for sending.
    pub blocks_sent: u64,
    /// Number of bytes in the blocks that were given to the caller for sending.
    pub bytes_sent: u64,
    /// Number of times that a peer did not send, before its time limit, blocks that it said it has.
    pub timeouts: u64,
    /// Number of peers' wants that were dropped because the peer had too many.
    pub refused_wants: u64,
    /// Number of [`Output::LeaveAside`] actions.
    pub left_aside: u64,
}

/// The error of a want when there are already as many wants as [`Config::max_wants`] allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {0} blocks are wanted at one time")]
pub struct TooManyWants(pub usize);

impl<P: PartialEq> Output<P> {
    /// Returns whether this output is obsolete once the peer `gone` has disconnected.
    pub(super) fn is_request_of(&self, gone: &P) -> bool {
        match self {
            Self::Send { peer, .. }
            | Self::LookUp { peer, .. }
            | Self::Load { peer, .. }
            | Self::Reconnect { peer }
            | Self::LeaveAside { peer, .. } => peer == gone,
            Self::Store { .. } | Self::Satisfied { .. } => false,
        }
    }
}
