//! Peers by the names that they give themselves.

use crate::text::clean;
use dcache::{Pattern, PatternError, PeerId, Set, Time, buckets};
use std::collections::BTreeMap;

/// Where peers say what their host is called: `pri/ID/info/hostname`.
pub(crate) const HOSTNAMES: &str = buckets::HOSTNAME.pattern();
/// The most characters of a name that are shown.
const MAX_SHOWN: usize = 24;

/// What each peer calls itself at a time.
pub(crate) struct Names(BTreeMap<PeerId, String>);

impl Names {
    /// The names in `set` at `now`; of several, each peer's latest word.
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

    /// As the peer wrote it, for programs.
    pub(crate) fn raw(&self, peer: PeerId) -> Option<&str> {
        self.0.get(&peer).map(String::as_str)
    }

    /// The peers that call themselves so.
    pub(crate) fn peers(&self, name: &str) -> Vec<PeerId> {
        self.0.iter().filter(|(_, own)| *own == name).map(|(peer, _)| *peer).collect()
    }

    /// Name, when known, and the end of the peer ID: anybody may call himself anything.
    pub(crate) fn show(&self, peer: PeerId) -> String {
        let short = short(peer);
        match self.raw(peer) {
            Some(name) => format!("{} ({short})", clean(name, MAX_SHOWN)),
            None => short,
        }
    }
}

/// The end of a peer ID; its beginning is the same for all.
pub(crate) fn short(peer: PeerId) -> String {
    let id = peer.to_string();
    format!("…{}", &id[id.len().saturating_sub(6)..])
}
