//! The discarded files, which are not in the table of `report`, and the peers that discarded them.

use super::{File, MAX_HOLDERS_SHOWN};
use crate::discarding::label;
use crate::output::fields::PeerRef;
use crate::text::count;
use logs::State;

/// Maximum number of discarded files that are listed.
const MAX_FILES_SHOWN: usize = 10;

impl File {
    /// Returns whether the file is left out of the table.
    pub(super) fn is_discarded(&self) -> bool {
        self.state == State::Discarded.name()
    }

    fn show_discarded(&self) -> String {
        let peers = self.discarders.iter().take(MAX_HOLDERS_SHOWN);
        let peers: Vec<String> = peers.map(PeerRef::show).collect();
        let more = if self.discarders.len() > MAX_HOLDERS_SHOWN { ", …" } else { "" };
        format!("  {} by {}{more}\n", label(&self.file), peers.join(", "))
    }
}

/// Returns a line for each of the first discarded files, with the peers that discarded it.
pub(super) fn show(files: &[&File]) -> String {
    if files.is_empty() {
        return String::new();
    }
    let lines: String = files.iter().take(MAX_FILES_SHOWN).map(|file| file.show_discarded()).collect();
    let more = if files.len() > MAX_FILES_SHOWN { "  … (all: --json)\n" } else { "" };
    format!("\n{} discarded (`undiscard` undoes it):\n{lines}{more}", count(files.len(), "file"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::fields::FileRef;
    use crate::output::vocabulary;
    use dcache::PeerId;

    fn file(name: &str) -> File {
        File {
            file: FileRef { cid: "bafy".into(), name: Some(name.into()), bytes: None },
            modified_time: None,
            uploader: None,
            is_signed_by_uploader: None,
            state: State::Discarded.name(),
            recording: None,
            uploads: Vec::new(),
            holders: Vec::new(),
            discarders: vec![PeerRef::unnamed(PeerId::from_public_key([7; 32]))],
        }
    }

    #[test]
    fn the_peers_that_discarded_a_file_are_shown() {
        assert_eq!(show(&[]), "");
        let one = file("a\u{1b}.bag");
        let shown = show(&[&one]);
        let by = PeerId::from_public_key([7; 32]).to_string();
        assert!(shown.contains("1 file discarded") && shown.contains("a\\u{1b}.bag (bafy) by "), "{shown}");
        assert!(shown.contains(&by[by.len() - 4..]), "{shown}");
        assert!(show(&[&one; 11]).ends_with("  … (all: --json)\n"));
        vocabulary::checked(&one);
    }
}
