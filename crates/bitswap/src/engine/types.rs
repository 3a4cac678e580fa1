//! What an engine is told, what it says, and what it counts.
use std::time::Duration;

use bytes::Bytes;
use cid::Cid;

#[cfg(doc)]
use super::Engine;
use crate::message::Message;

/// Bounds and times of an [`Engine`].
#[derive(Clone, Debug)]
pub struct Config {
    /// The most blocks wanted here at one time.
    pub max_wants: usize,
    /// The most unanswered wants remembered for one peer, those with a block queued for sending included.
    pub max_peer_wants: usize,
    /// The most unanswered wants remembered for all peers together, as long as each may have some.
    pub max_all_peer_wants: usize,
    /// How many blocks at least are asked of one peer before the first of them arrives.
    pub slots: usize,
    /// How many at most, however fast and far it is.
    pub max_slots: usize,
    /// How long at least a peer may send nothing of what it was asked for before another is asked; slow links get up to
    /// six times as long.
    pub block_timeout: Duration,
    /// How long nothing may come from anybody before this node fetches what it is another's turn to fetch.
    pub patience: Duration,
    /// How many bytes of blocks that nobody asked for a peer may send before it is left aside; an eighth of what it sent
    /// well is added to that.
    pub max_unwanted_bytes: u64,
    /// How often a want that nobody has is announced again.
    pub announce_interval: Duration,
    /// How many bytes of blocks go into one message, unless one block alone is larger.
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

/// What the caller is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output<P> {
    /// Send this message, then call [`Engine::sent`] or [`Engine::send_failed`]. There is one at a time per peer.
    Send {
        /// To whom.
        peer: P,
        /// What.
        message: Message,
    },
    /// Tell by [`Engine::looked_up`], for each CID in order, how large the stored block is, if it is stored.
    LookUp {
        /// Who asks.
        peer: P,
        /// What for.
        cids: Vec<Cid>,
    },
    /// Read these blocks and give them to [`Engine::loaded`]. There is one such request at a time per peer.
    Load {
        /// For whom.
        peer: P,
        /// Which.
        cids: Vec<Cid>,
    },
    /// A wanted block came, and its data is what its CID says. Store it, then call [`Engine::stored`], or
    /// [`Engine::abandon`] when it cannot be stored.
    Store {
        /// From whom it came.
        peer: P,
        /// The CID under which it was wanted here.
        cid: Cid,
        /// The block.
        data: Bytes,
    },
    /// A block that was wanted here is stored: the want is over.
    Satisfied {
        /// The CID under which it was wanted here.
        cid: Cid,
    },
    /// This peer does not send what it has: a new connection with it may help.
    Reconnect {
        /// Whom to dial anew.
        peer: P,
    },
    /// This peer is a nuisance: disconnect it, and keep it away for a while.
    LeaveAside {
        /// Whom.
        peer: P,
        /// What the peer did.
        reason: &'static str,
    },
}

/// Counters since the start, for people and tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Blocks that were wanted and came.
    pub blocks_received: u64,
    /// Their bytes.
    pub bytes_received: u64,
    /// Blocks that came and were not wanted, or not any more.
    pub unwanted_blocks: u64,
    /// Their bytes.
    pub unwanted_bytes: u64,
    /// Blocks given out for sending.
    pub blocks_sent: u64,
    /// Their bytes.
    pub bytes_sent: u64,
    /// How often a peer did not send what it said to have.
    pub timeouts: u64,
    /// Wants of peers that were not remembered because there were too many.
    pub refused_wants: u64,
    /// Peers that were left aside for good.
    pub left_aside: u64,
}

/// There are already as many wants as [`Config::max_wants`] allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {0} blocks are wanted at one time")]
pub struct TooManyWants(pub usize);

impl<P: PartialEq> Output<P> {
    /// True for what makes no sense any more once `peer` is gone.
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
