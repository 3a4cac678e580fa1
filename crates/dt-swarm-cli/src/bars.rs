//! How transfers look: one line each.

use crate::names::Names;
use crate::text::{clean, duration, size};
use control::{LinkRate, SourceRate, Transfer, TransferState};
use dcache::PeerId;

/// How many characters a bar has.
const BAR: u64 = 20;
/// The most characters of a name, and of a reason.
const MAX_NAME: usize = 32;
const MAX_REASON: usize = 300;
/// The most peers that are named.
const MAX_SOURCES: usize = 3;

/// What a transfer is called.
pub(crate) fn name(transfer: &Transfer) -> String {
    let name = if transfer.name.is_empty() { &transfer.cid } else { &transfer.name };
    let name = clean(name, MAX_NAME);
    match transfer.download {
        Some(number) => format!("{number} {name}"),
        None => name,
    }
}

/// A bar, its figures, and from whom it comes or why it does not.
pub(crate) fn line(transfer: &Transfer, names: Option<&Names>) -> String {
    let bar = share(transfer).map_or_else(String::new, bar);
    format!("{:<24} {bar}{}", name(transfer), figures(transfer, names))
}

/// The figures alone.
pub(crate) fn figures(transfer: &Transfer, names: Option<&Names>) -> String {
    let amount = amount(transfer);
    let reason = transfer.reason.as_deref().map(|reason| clean(reason, MAX_REASON));
    match (transfer.state, reason) {
        (TransferState::Fetching, _) => format!("{amount}{}", pace(transfer, names)),
        (state, Some(reason)) => format!("{amount}, {}: {reason}", state.name()),
        (TransferState::Whole, None) => format!("{amount}, whole; `get` it again to have it written"),
        (state, None) => format!("{amount}, {}", state.name()),
    }
}

fn amount(transfer: &Transfer) -> String {
    match (share(transfer), transfer.size) {
        (Some(share), Some(whole)) if transfer.bytes < whole => {
            format!("{share:>3} % of {}", size(whole))
        }
        _ => size(transfer.bytes),
    }
}

/// Rate, time that is left, and from whom it comes.
fn pace(transfer: &Transfer, names: Option<&Names>) -> String {
    let left = transfer.size.unwrap_or(0).saturating_sub(transfer.bytes);
    let eta = match left.checked_div(transfer.rate) {
        Some(seconds) if left > 0 => format!(", {} left", duration(seconds)),
        _ => String::new(),
    };
    let who = |source: &SourceRate| format!("{} {}/s", show(source.peer, names), size(source.rate));
    let busy: Vec<&SourceRate> = transfer.sources.iter().filter(|source| source.rate > 0).collect();
    let from: Vec<String> = busy.iter().take(MAX_SOURCES).map(|source| who(source)).collect();
    let more = if busy.len() > MAX_SOURCES { ", …" } else { "" };
    let from = if from.is_empty() { String::new() } else { format!(", from {}{more}", from.join(", ")) };
    format!(", {}/s{eta}{from}", size(transfer.rate))
}

/// Hundredths that are here.
fn share(transfer: &Transfer) -> Option<u64> {
    let whole = transfer.size.filter(|whole| *whole > 0)?;
    let is_over = matches!(transfer.state, TransferState::Done | TransferState::Failed);
    let share = u128::from(transfer.bytes) * 100 / u128::from(whole);
    (!is_over).then(|| u64::try_from(share).unwrap_or(100).min(100))
}

fn bar(share: u64) -> String {
    let full = share * BAR / 100;
    let cells = (0..BAR).map(|cell| if cell < full { '█' } else { '░' });
    cells.chain([' ']).collect()
}

/// What goes to a peer.
pub(crate) fn upload(link: &LinkRate, names: Option<&Names>) -> String {
    let network = if link.is_near { "LAN" } else { "WAN" };
    let (who, rate, sent) = (show(link.peer, names), size(link.up), size(link.sent));
    format!("to {who} ({network}): {rate}/s, {sent} since it is connected")
}

fn show(peer: PeerId, names: Option<&Names>) -> String {
    names.map_or_else(|| crate::names::short(peer), |names| names.show(peer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::Keypair;

    fn transfer(state: TransferState) -> Transfer {
        let peer = Keypair::from_seed([1; 32]).peer_id();
        Transfer {
            download: Some(7),
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
        }
    }

    #[test]
    fn what_comes_shows_how_fast_and_from_whom() {
        let line = line(&transfer(TransferState::Fetching), None);
        for words in ["7 a.bag", "█████░", " 25 % of 200 MB", "1.0 MB/s", "2 min left", "from …", "900 kB/s"]
        {
            assert!(line.contains(words), "{words} in {line}");
        }
    }

    #[test]
    fn what_does_not_come_says_why() {
        let waiting = Transfer {
            reason: Some("nobody is connected\u{1b}".into()),
            name: "\u{202e}x".into(),
            ..transfer(TransferState::Waiting)
        };
        let line = line(&waiting, None);
        assert!(line.contains("waiting: nobody is connected\\u{1b}"), "{line}");
        assert!(!line.contains('\u{202e}'), "{line}");
        let strange =
            Transfer { size: Some(0), rate: 0, bytes: u64::MAX, ..transfer(TransferState::Fetching) };
        assert!(super::line(&strange, None).contains("18.4 EB"));
    }
}
