//! Target: a batch of a robot's history: the front that carriers read, and the content that a collector opens.

use dcache::{Keypair, Time};
use diagnostics::batch::content::{MAX_BATCH_ROWS, decode, encode, paged};
use diagnostics::batch::seal::{Front, MAX_RECIPIENTS, Subject, open, seal};
use diagnostics::batch::{FleetId, HistoryId, MAX_NUMBER, SealingKey};
use diagnostics::collectors::check::{self, MAX_BOOTS, MAX_SERIES};
use diagnostics::metrics::{NETWORK_SENT, UPTIME};
use diagnostics::ring::Resolution;
use diagnostics::ring::page::{Page, decode_content};
use diagnostics::ring::timeline::Anchor;
use diagnostics::sample::{BootId, Readings, Sample, Stamp};
use std::collections::BTreeSet;

/// Time of the collector.
const NOW: Time = Time(1_800_000_000);
/// Place of the content in a page.
const CONTENT: usize = 24;

/// Returns a content, a sealed batch, and the content of a page without its header: the fuzzer could not make a right
/// checksum or a right key.
pub fn seeds() -> Vec<Vec<u8>> {
    let row = |boot: u8, sequence: u64| {
        let mut readings = Readings::default();
        readings.add(&UPTIME, sequence as f64 * 60.0);
        readings.add_for(&NETWORK_SENT, "wlan0", 1e10 + sequence as f64);
        Sample {
            stamp: Stamp { boot: BootId::new([boot; 16]), millis: sequence * 60_000 },
            sequence,
            readings,
        }
    };
    let rows = [row(1, 1), row(1, 2), row(2, 3)];
    let anchors = [Anchor { stamp: rows[0].stamp, time: NOW }];
    let pages = paged(Resolution::Minutes, &rows, &anchors);
    let content = encode(&pages);
    let page: Vec<u8> = pages.iter().flat_map(|page| page.encode().into_iter().skip(CONTENT)).collect();
    let zeros = page.iter().rev().take_while(|byte| **byte == 0).count();
    let page = page.get(..page.len() - zeros).unwrap_or_default().to_vec();
    let identity = Keypair::from_seed([1; 32]);
    let subject = Subject {
        fleet: FleetId::from_bytes([1; 32]),
        robot: identity.peer_id(),
        history: HistoryId::from_bytes([1; 8]),
        base: 0,
        after: 0,
        last: 3,
    };
    let collectors = [(identity.peer_id(), SealingKey::of(&identity).public())].into();
    let sealed = seal(&subject, &collectors, &content, &[1; 32]).unwrap_or_default();
    vec![content, sealed, page]
}

/// Checks that a front and rows that were read keep the limits, and that a content is the same after writing and reading.
pub fn check(bytes: &[u8]) {
    if let Ok(front) = Front::decode(bytes) {
        assert!((1..=MAX_RECIPIENTS).contains(&front.collectors.len()));
        let Subject { base, after, last, .. } = front.subject;
        assert!(base <= after && after < last && last <= MAX_NUMBER);
        let identity = Keypair::from_seed([2; 32]);
        assert!(open(bytes, (identity.peer_id(), &SealingKey::of(&identity)), |_| true).is_err());
    }
    if let Ok(pages) = decode(bytes) {
        // A metric of a later version is skipped, so only the second writing is the same.
        let again = encode(&pages);
        assert_eq!(decode(&again).map(|pages| encode(&pages)), Ok(again));
    }
    check_rows(bytes);
    if let Some((rows, anchors)) = decode_content(bytes) {
        let page = Page { resolution: Resolution::Minutes, number: 0, rows, anchors };
        check_rows(&encode(&[page]));
    }
}

fn check_rows(content: &[u8]) {
    let Ok(read) = check::rows(content, (0, MAX_NUMBER), NOW) else { return };
    assert!(read.rows.len() <= MAX_BATCH_ROWS);
    assert!(read.rows.is_sorted_by(|one, next| one.sequence < next.sequence));
    let boots: BTreeSet<BootId> = read.rows.iter().map(|row| row.stamp.boot).collect();
    assert!(boots.len() <= MAX_BOOTS);
    let readings = || read.rows.iter().flat_map(|row| row.readings.iter());
    assert!(readings().all(|reading| reading.value.is_finite()));
    assert!(readings().map(|reading| &reading.series).collect::<BTreeSet<_>>().len() <= MAX_SERIES);
    assert!(read.anchors.iter().all(|anchor| anchor.time >= check::EARLIEST));
}
