//! The names that peers give themselves.

use super::fields::PeerRef;
use dcache::{Pattern, PatternError, PeerId, Set, Time, buckets};
use std::collections::BTreeMap;

/// The buckets in which peers name their hosts.
pub(crate) const HOSTNAMES: &str = buckets::HOSTNAME.pattern();

/// What each peer calls itself at a time. Empty when nobody was asked.
#[derive(Debug, Default)]
pub(crate) struct Names(BTreeMap<PeerId, String>);

impl Names {
    /// Reads the names in `set` at `now`. Of several names of a peer the latest counts.
    pub(crate) fn read(set: &Set, now: Time) -> Result<Self, PatternError> {
        let pattern = Pattern::new(HOSTNAMES)?;
        let mut latest: BTreeMap<PeerId, (u64, String)> = BTreeMap::new();
        for view in set.matching(&pattern, now) {
            for record in view.proposals {
                let sequence = record.signature().sequence;
                let is_newer = latest.get(&record.signer()).is_none_or(|(before, _)| *before < sequence);
                if is_newer {
                    let name = view.item.data.as_str().to_owned();
                    latest.insert(record.signer(), (sequence, name));
                }
            }
        }
        Ok(Self(latest.into_iter().map(|(peer, (_, name))| (peer, name)).collect()))
    }

    /// Returns the peer with its name.
    pub(crate) fn of(&self, peer: PeerId) -> PeerRef {
        PeerRef { peer, hostname: self.0.get(&peer).cloned() }
    }

    /// Returns the peers that call themselves so.
    pub(crate) fn peers(&self, name: &str) -> Vec<PeerId> {
        self.0.iter().filter(|(_, own)| *own == name).map(|(peer, _)| *peer).collect()
    }
}
