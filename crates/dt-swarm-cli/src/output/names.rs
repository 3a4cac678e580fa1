//! Host names of peers. Each peer states its own host name.

use super::fields::PeerRef;
use dcache::{Pattern, PatternError, PeerId, Set, Time, buckets};
use std::collections::BTreeMap;

/// The pattern of the buckets in which peers state their host names.
pub(crate) const HOSTNAMES: &str = buckets::HOSTNAME.pattern();

/// The host name of each peer at one time.
#[derive(Debug, Default)]
pub(crate) struct Names(BTreeMap<PeerId, String>);

impl Names {
    /// Reads the names in `set` at `now`. If a peer states several names, the one with the highest sequence number is
    /// used.
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

    /// Returns the peers with this host name.
    pub(crate) fn peers(&self, name: &str) -> Vec<PeerId> {
        self.0.iter().filter(|(_, own)| *own == name).map(|(peer, _)| *peer).collect()
    }
}
