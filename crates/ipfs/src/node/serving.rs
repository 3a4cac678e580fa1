//! Which blocks of this node a peer may get.
use std::sync::atomic::{AtomicU8, Ordering};

use cid::Cid;

use crate::store::Store;

/// The blocks of this node that a peer may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serving {
    /// All blocks of the node.
    All,
    /// Those that a pin contains whose root is not private; see [`Store::set_private_roots`].
    Open,
    /// No block of the node.
    None,
}

impl Serving {
    /// Returns whether the block, if it is here, is one of these.
    pub(super) fn includes(self, store: &Store, cid: &Cid) -> bool {
        match self {
            Self::All => true,
            Self::Open => store.is_open(cid),
            Self::None => false,
        }
    }
}

/// The blocks that far peers may get, shared by all connections.
#[derive(Debug, Default)]
pub(super) struct FarServing(AtomicU8);

impl FarServing {
    pub(super) fn set(&self, serving: Serving) {
        let number = match serving {
            Serving::All => 0,
            Serving::Open => 1,
            Serving::None => 2,
        };
        self.0.store(number, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> Serving {
        match self.0.load(Ordering::Relaxed) {
            0 => Serving::All,
            1 => Serving::Open,
            _ => Serving::None,
        }
    }
}
