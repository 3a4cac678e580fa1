//! Target: the texts of the buckets of batches: announcements, receipts and keys of collectors; and the state that a robot
//! keeps.

use dcache::Data;
use diagnostics::batch::decide::Batching;
use diagnostics::batch::state::{BatchState, MAX_OUTSTANDING};
use diagnostics::batch::stated::{StatedBatch, StatedReceipt};
use diagnostics::batch::{HistoryId, SealingPublicKey};
use std::fmt::Display;
use std::str::FromStr;

/// Returns a text of each bucket, and a state.
pub fn seeds() -> Vec<Vec<u8>> {
    let cid = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
    let peer = "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5";
    let texts = [
        format!("0a0b0c0d0e0f0102 5 360 21000 {cid}"),
        "0a0b0c0d0e0f0102 360".to_owned(),
        format!("x25519 {}", "Ab-_".repeat(10) + "AbA"),
        format!(
            r#"{{"history":"0a0b0c0d0e0f0102","base":5,"outstanding":[{{"cid":"{cid}","after":5,"first":6,"last":9,"rows":4,"bytes":9,"sealed_for":["{peer}"]}}],"lost":0}}"#
        ),
    ];
    texts.map(String::into_bytes).to_vec()
}

/// Checks that a text that was read is the only one with its meaning, and that a state keeps the limits.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(batch) = only_text::<StatedBatch>(text) {
        assert!(batch.after < batch.last && batch.bytes > 0);
    }
    let _ = only_text::<StatedReceipt>(text);
    let _ = only_text::<SealingPublicKey>(text);
    let _ = only_text::<HistoryId>(text);
    let Ok(state) = serde_json::from_str::<BatchState>(text) else { return };
    let robot = dcache::Keypair::from_seed([1; 32]).peer_id();
    let batching = Batching::new(robot, Some(state), HistoryId::from_bytes([1; 8]));
    let state = batching.state();
    assert!(state.outstanding.len() <= MAX_OUTSTANDING && state.base <= state.batched());
    assert!(state.outstanding.iter().all(|batch| batch.after < batch.last));
}

/// Reads a text, and checks that it is the same after writing, and fits into a record.
fn only_text<T: FromStr + Display>(text: &str) -> Result<T, T::Err> {
    let read: T = text.parse()?;
    assert_eq!(read.to_string(), text);
    assert!(Data::new(text).is_ok() && text.len() <= 160);
    Ok(read)
}
