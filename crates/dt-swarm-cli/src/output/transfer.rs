//! The transfers and links of the daemon. In the text output, each is one line.

use super::fields::{FileRef, PeerRef};
use super::names::Names;
use crate::text::{clean, duration, size};
use serde::Serialize;
use service::JobNumber;
use transfers::{LinkRate, SourceRate, TransferState};

/// Length of a progress bar in characters.
const BAR: u64 = 20;
/// Maximum number of characters of a name that are shown.
const MAX_NAME_SHOWN: usize = 32;
/// Maximum number of characters of a reason that are shown.
const MAX_REASON_SHOWN: usize = 300;
/// Maximum number of sources that a line names.
const MAX_SOURCES_SHOWN: usize = 3;

/// A file that is being fetched, or was fetched.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Transfer {
    /// The number of the download; `null` if the daemon fetches the file by itself.
    pub(crate) download: Option<JobNumber>,
    /// The file that is fetched.
    #[serde(flatten)]
    pub(crate) file: FileRef,
    /// Number of bytes that this host has.
    pub(crate) done_bytes: u64,
    /// Download rate in bytes per second.
    pub(crate) bytes_per_second: u64,
    /// `waiting`, `fetching`, `whole`, `writing`, `done` or `failed`.
    pub(crate) state: TransferState,
    /// Why the transfer waits or failed; `null` when it does neither.
    pub(crate) reason: Option<String>,
    /// Transfers with a higher priority are fetched first.
    pub(crate) priority: i32,
    /// The path to which the file is written; `null` when it is not written to a path.
    pub(crate) path: Option<String>,
    /// Whether the daemon writes the file to `path`. Otherwise `get` does.
    pub(crate) is_written_by_daemon: bool,
    /// The peers that send the file; the fastest are first.
    pub(crate) sources: Vec<Source>,
}

/// A peer that sends a file.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Source {
    #[serde(flatten)]
    peer: PeerRef,
    /// Number of bytes received from the peer.
    received_bytes: u64,
    /// Download rate in bytes per second.
    bytes_per_second: u64,
}

/// The IPFS traffic between the daemon and a peer.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Link {
    #[serde(flatten)]
    pub(crate) peer: PeerRef,
    /// Whether the peer is on a network to which this host is attached.
    is_near: bool,
    /// Number of bytes sent to the peer since it connected.
    sent_bytes: u64,
    /// Rate of sending in bytes per second.
    pub(crate) sent_bytes_per_second: u64,
    /// Number of bytes received from the peer since it connected.
    received_bytes: u64,
    /// Rate of receiving in bytes per second.
    received_bytes_per_second: u64,
}

impl Transfer {
    pub(crate) fn new(transfer: transfers::Transfer, names: &Names) -> Self {
        let source = |source: &SourceRate| Source {
            peer: names.of(source.peer),
            received_bytes: source.bytes,
            bytes_per_second: source.rate,
        };
        let name = Some(transfer.name).filter(|name| !name.is_empty());
        Self {
            download: transfer.download,
            file: FileRef { cid: transfer.cid, name, bytes: transfer.size },
            done_bytes: transfer.bytes,
            bytes_per_second: transfer.rate,
            state: transfer.state,
            reason: transfer.reason,
            priority: transfer.priority,
            path: transfer.destination.map(|path| path.display().to_string()),
            is_written_by_daemon: transfer.is_written_by_daemon,
            sources: transfer.sources.iter().map(source).collect(),
        }
    }

    /// Returns the number of the download, if any, and the name of the file.
    pub(crate) fn show_name(&self) -> String {
        let name = clean(self.file.name.as_ref().unwrap_or(&self.file.cid), MAX_NAME_SHOWN);
        match self.download {
            Some(number) => format!("{number} {name}"),
            None => name,
        }
    }

    /// Returns a line: the name, a progress bar, and the figures.
    pub(crate) fn show(&self) -> String {
        let bar = self.percent().map_or_else(String::new, bar);
        format!("{:<24} {bar}{}", self.show_name(), self.show_figures())
    }

    /// Returns the size and progress, then the rate and the sources, or the state and its reason.
    pub(crate) fn show_figures(&self) -> String {
        let amount = self.show_amount();
        let reason = self.reason.as_deref().map(|reason| clean(reason, MAX_REASON_SHOWN));
        match (self.state, reason) {
            (TransferState::Fetching, _) => format!("{amount}{}", self.show_pace()),
            (state, Some(reason)) => format!("{amount}, {}: {reason}", state.name()),
            (TransferState::Whole, None) => format!("{amount}, whole; run `get` again to write it"),
            (state, None) => format!("{amount}, {}", state.name()),
        }
    }

    fn show_amount(&self) -> String {
        match (self.percent(), self.file.bytes) {
            (Some(percent), Some(whole)) if self.done_bytes < whole => {
                format!("{percent:>3} % of {}", size(whole))
            }
            _ => size(self.done_bytes),
        }
    }

    /// Returns the rate, the remaining time and the fastest sources.
    fn show_pace(&self) -> String {
        let left = self.file.bytes.unwrap_or(0).saturating_sub(self.done_bytes);
        let eta = match left.checked_div(self.bytes_per_second) {
            Some(seconds) if left > 0 => format!(", {} left", duration(seconds)),
            _ => String::new(),
        };
        let show = |source: &Source| format!("{} {}/s", source.peer.show(), size(source.bytes_per_second));
        let busy: Vec<&Source> = self.sources.iter().filter(|source| source.bytes_per_second > 0).collect();
        let from: Vec<String> = busy.iter().take(MAX_SOURCES_SHOWN).map(|source| show(source)).collect();
        let more = if busy.len() > MAX_SOURCES_SHOWN { ", …" } else { "" };
        let from = if from.is_empty() { String::new() } else { format!(", from {}{more}", from.join(", ")) };
        format!(", {}/s{eta}{from}", size(self.bytes_per_second))
    }

    /// Returns the percentage that was fetched. Returns `None` when the size is not known, or the transfer has ended.
    fn percent(&self) -> Option<u64> {
        let whole = self.file.bytes.filter(|whole| *whole > 0)?;
        let is_over = matches!(self.state, TransferState::Done | TransferState::Failed);
        let percent = u128::from(self.done_bytes) * 100 / u128::from(whole);
        (!is_over).then(|| u64::try_from(percent).unwrap_or(100).min(100))
    }
}

fn bar(percent: u64) -> String {
    let full = percent * BAR / 100;
    let cells = (0..BAR).map(|cell| if cell < full { '█' } else { '░' });
    cells.chain([' ']).collect()
}

impl Link {
    pub(crate) fn new(link: LinkRate, names: &Names) -> Self {
        Self {
            peer: names.of(link.peer),
            is_near: link.is_near,
            sent_bytes: link.sent,
            sent_bytes_per_second: link.up,
            received_bytes: link.received,
            received_bytes_per_second: link.down,
        }
    }

    /// Returns a line with the rate and the amount of the data sent to the peer.
    pub(crate) fn show(&self) -> String {
        let network = if self.is_near { "LAN" } else { "WAN" };
        let (who, rate, sent) = (self.peer.show(), size(self.sent_bytes_per_second), size(self.sent_bytes));
        format!("to {who} ({network}): {rate}/s, {sent} since it connected")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::vocabulary;
    use dcache::Keypair;

    fn transfer(state: TransferState) -> Transfer {
        let peer = Keypair::from_seed([1; 32]).peer_id();
        let transfer = transfers::Transfer {
            download: Some(JobNumber(7)),
            cid: "bafy".into(),
            name: "a.bag".into(),
            priority: 0,
            state,
            reason: None,
            destination: None,
            is_written_by_daemon: false,
            bytes: 50_000_000,
            size: Some(200_000_000),
            rate: 1_000_000,
            sources: vec![SourceRate { peer, bytes: 1, rate: 900_000 }],
        };
        Transfer::new(transfer, &Names::default())
    }

    #[test]
    fn a_running_transfer_shows_its_rate_and_its_sources() {
        let line = transfer(TransferState::Fetching).show();
        for part in ["7 a.bag", "█████░", " 25 % of 200 MB", "1.0 MB/s", "2 min left", "from …", "900 kB/s"]
        {
            assert!(line.contains(part), "{part} in {line}");
        }
    }

    #[test]
    fn programs_get_sizes_and_rates_in_bytes() {
        let json = vocabulary::checked(&transfer(TransferState::Fetching));
        assert_eq!((&json["bytes"], &json["done_bytes"]), (&200_000_000.into(), &50_000_000.into()));
        assert_eq!(json["sources"][0]["bytes_per_second"], 900_000);
        let peer = Keypair::from_seed([1; 32]).peer_id();
        let link = LinkRate { peer, is_near: true, sent: 1, up: 2, received: 3, down: 4 };
        let json = vocabulary::checked(&Link::new(link, &Names::default()));
        assert_eq!((&json["sent_bytes"], &json["received_bytes_per_second"]), (&1.into(), &4.into()));
    }

    #[test]
    fn a_waiting_transfer_shows_the_reason() {
        let mut waiting =
            Transfer { reason: Some("nobody is connected\u{1b}".into()), ..transfer(TransferState::Waiting) };
        waiting.file.name = Some("\u{202e}x".into());
        let line = waiting.show();
        assert!(line.contains("waiting: nobody is connected\\u{1b}"), "{line}");
        assert!(!line.contains('\u{202e}'), "{line}");
        let mut strange = transfer(TransferState::Fetching);
        (strange.file.bytes, strange.bytes_per_second, strange.done_bytes) = (Some(0), 0, u64::MAX);
        assert!(strange.show().contains("18.4 EB"));
    }
}
