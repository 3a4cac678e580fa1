//! Target: a page of the history of a robot, possibly damaged by a failing disk.

use dcache::Time;
use diagnostics::metrics::{CUSTOM, NETWORK_SENT, UPTIME};
use diagnostics::ring::Resolution;
use diagnostics::ring::page::{MAX_ROWS, Page, decode_content};
use diagnostics::ring::timeline::Anchor;
use diagnostics::sample::{BootId, Readings, Sample, Stamp};

/// Place of the content in a page.
const CONTENT: usize = 24;

/// Returns contents of pages, without their headers: the fuzzer could not make a right checksum.
pub fn seeds() -> Vec<Vec<u8>> {
    let row = |boot: u8, sequence: u64| {
        let mut readings = Readings::default();
        readings.add(&UPTIME, sequence as f64 * 10.0);
        readings.add_for(&NETWORK_SENT, "wlan0", 1e10 + sequence as f64);
        readings.add_for(&CUSTOM, "a{x=\"1\"}", 0.25);
        let stamp = Stamp { boot: BootId::new([boot; 16]), millis: sequence * 10_000 };
        Sample { stamp, sequence, readings }
    };
    let rows = vec![row(1, 1), row(1, 2), row(2, 3)];
    let anchors = vec![Anchor { stamp: rows[0].stamp, time: Time(1_800_000_000) }];
    let page = Page { resolution: Resolution::Minutes, number: 7, rows, anchors };
    let encoded = page.encode();
    let content = encoded.get(CONTENT..).unwrap_or_default();
    let zeros = content.iter().rev().take_while(|byte| **byte == 0).count();
    vec![content.iter().copied().take(content.len() - zeros).collect()]
}

/// Checks that a content that was read keeps the limits, and that the page is the same after writing and reading.
pub fn check(bytes: &[u8]) {
    let _ = Page::decode(bytes);
    let Some((rows, anchors)) = decode_content(bytes) else { return };
    assert!(rows.len() <= MAX_ROWS && anchors.len() <= MAX_ROWS);
    assert!(rows.iter().flat_map(|row| row.readings.iter()).all(|reading| reading.value.is_finite()));
    let page = Page { resolution: Resolution::Samples, number: 1, rows, anchors };
    // Rows of too many boots have no room in a page. They do not occur in a page of the history.
    if let Ok(Some(read)) = Page::decode(&page.encode()) {
        assert_eq!(read.rows.len(), page.rows.len());
        assert_eq!(Page::decode(&read.encode()), Ok(Some(read)));
    }
}
