//! The discarded files, which are not in the table of `report`, and the peers that discarded them.

use super::file::File;
use crate::discarding::label;
use crate::output::discarder::Discarder;
use crate::text::count;

/// Maximum number of discarded files that are listed.
const MAX_FILES_SHOWN: usize = 10;
/// Maximum number of peers that are named for each file.
const MAX_PEERS_SHOWN: usize = 4;

impl File {
    fn show_discarded(&self) -> String {
        let peers = self.discarders.iter().take(MAX_PEERS_SHOWN);
        let peers: Vec<String> = peers.map(Discarder::show).collect();
        let more = if self.discarders.len() > MAX_PEERS_SHOWN { "; …" } else { "" };
        format!("  {} by {}{more}\n", label(&self.file), peers.join("; "))
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
    use crate::commands::report::file::fixture;
    use crate::output::vocabulary;
    use logs::State;

    #[test]
    fn the_peers_that_discarded_a_file_are_shown() {
        assert_eq!(show(&[]), "");
        let peer = fixture::discarder(7, Some("it is\nempty"));
        let by = peer.peer.peer.to_string();
        let one =
            File { state: State::Discarded.name(), discarders: vec![peer], ..fixture::file("a\u{1b}.bag") };
        let shown = show(&[&one]);
        assert!(shown.contains("1 file discarded") && shown.contains("a\\u{1b}.bag (bafy) by "), "{shown}");
        assert!(shown.contains(&by[by.len() - 4..]) && shown.contains(": it is\\u{a}empty"), "{shown}");
        assert!(show(&[&one; 11]).ends_with("  … (all: --json)\n"));
        vocabulary::checked(&one);
    }
}
