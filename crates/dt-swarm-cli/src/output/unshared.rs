//! A file that this robot withdrew from the swarm, and the robots that confirmed it.

use crate::output::fields::{FileRef, PeerRef, Timestamp};
use crate::output::names::Names;
use crate::text::{clean, date};
use logs::UnsharedRow;
use serde::Serialize;
use std::fmt::Write as _;

/// Maximum number of robots of each list that are shown.
const MAX_PEERS_SHOWN: usize = 10;

/// A file that this robot withdrew.
#[derive(Debug, Serialize)]
pub(crate) struct UnsharedFile {
    #[serde(flatten)]
    file: FileRef,
    /// The path of the file in a shared folder, where it stays; `null` when it is not there now.
    path: Option<String>,
    /// When it was unshared.
    unshared_time: Timestamp,
    /// The robots that kept the file and do not state this any more.
    confirmed: Vec<PeerRef>,
    /// The robots that still state that they keep the file.
    waiting: Vec<PeerRef>,
}

impl UnsharedFile {
    /// Adds the host names to the answer of the daemon.
    pub(crate) fn new(row: UnsharedRow, names: &Names) -> Self {
        let peers = |peers: Vec<dcache::PeerId>| peers.into_iter().map(|peer| names.of(peer)).collect();
        Self {
            file: FileRef { cid: row.cid, name: Some(row.name), bytes: Some(row.bytes) },
            path: row.path,
            unshared_time: Timestamp(row.time),
            confirmed: peers(row.confirmed),
            waiting: peers(row.waiting),
        }
    }

    pub(crate) fn cid(&self) -> &str {
        &self.file.cid
    }

    /// Returns whether a robot has not confirmed yet.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Says who confirmed, and who did not yet.
    pub(crate) fn show(&self) -> String {
        let name = self.file.name.as_deref().unwrap_or_default();
        let (name, cid) = (clean(name, 120), clean(&self.file.cid, 120));
        let mut shown = format!("{name} ({cid}) is unshared since {}.", date(self.unshared_time.0));
        // Writing to a String does not fail.
        if let Some(path) = &self.path {
            let _ = write!(shown, " It stays in {}.", clean(path, 300));
        }
        let _ = match (self.confirmed.len(), self.waiting.len()) {
            (0, 0) => write!(shown, " No other robot keeps it."),
            (confirmed, 0) => write!(shown, " Dropped by all {confirmed}: {}.", list(&self.confirmed)),
            (0, _) => write!(shown, " Not confirmed yet by {}.", list(&self.waiting)),
            (..) => write!(
                shown,
                " Dropped by {}. Not confirmed yet by {}.",
                list(&self.confirmed),
                list(&self.waiting)
            ),
        };
        if self.is_waiting() {
            shown.push_str(
                " A robot that is away drops it when it hears of this; `unshare` shows this again.",
            );
        }
        shown + "\n"
    }
}

fn list(peers: &[PeerRef]) -> String {
    let mut shown: Vec<String> = peers.iter().take(MAX_PEERS_SHOWN).map(PeerRef::show).collect();
    if peers.len() > shown.len() {
        shown.push("…".to_owned());
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::vocabulary;
    use dcache::Keypair;

    #[test]
    fn says_who_confirmed_and_who_did_not() {
        let peer = |seed: u8| PeerRef {
            peer: Keypair::from_seed([seed; 32]).peer_id(),
            hostname: Some(format!("robot{seed}")),
        };
        let mut file = UnsharedFile {
            file: FileRef { cid: "bafy".into(), name: Some("a\x1b.bag".into()), bytes: Some(5) },
            path: Some("/logs/a.bag".into()),
            unshared_time: Timestamp(dcache::Time(0)),
            confirmed: vec![peer(1)],
            waiting: vec![peer(2)],
        };
        vocabulary::checked(&file);
        let shown = file.show();
        let start = "a\\u{1b}.bag (bafy) is unshared since 1970-01-01T00:00:00Z. It stays in /logs/a.bag. Dropped by robot1";
        assert!(shown.starts_with(start), "{shown}");
        assert!(shown.contains("Not confirmed yet by robot2") && shown.contains("away"), "{shown}");
        file.waiting.clear();
        assert!(file.show().contains("Dropped by all 1: robot1") && !file.show().contains("away"));
        file.confirmed.clear();
        assert!(file.show().contains("No other robot keeps it"));
    }
}
