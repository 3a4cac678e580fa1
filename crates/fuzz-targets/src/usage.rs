//! Target: the messages about usage statistics, which a collector reads from robots, and its answers.

use ::usage::wire::{MAX_LINE_BYTES, Message, Reply};
use ::usage::{FIELDS, MAX_PAYLOAD_BYTES, Payload};

/// Returns a report, a request to delete it, and an answer.
pub fn seeds() -> Vec<Vec<u8>> {
    let fields: Vec<String> = FIELDS
        .iter()
        .map(|field| format!("\"{}\":\"{}\"", field.name, field.values.last().unwrap_or(&"")))
        .collect();
    let id = "0123456789abcdef".repeat(4);
    let payload = format!(r#"{{"list":1,"week":"2026-W49","id":"{id}","fields":{{{}}}}}"#, fields.join(","));
    vec![
        format!("report {payload}").into_bytes(),
        format!("forget {id} {payload}").into_bytes(),
        br#"{"refused":{"reason":"too_many"}}"#.to_vec(),
    ]
}

/// Checks that a message that was read is the only one with its meaning, and says nothing that is not in the table.
pub fn check(bytes: &[u8]) {
    if let Ok(reply) = Reply::decode(bytes) {
        let line = reply.encode();
        assert!(Reply::decode(line.trim_ascii_end()).is_ok_and(|again| again == reply));
    }
    let Ok(message) = Message::decode(bytes) else { return };
    assert_eq!(message.encode(), [bytes, b"\n"].concat());
    assert!(bytes.len() <= MAX_LINE_BYTES);
    let (Message::Report(payload) | Message::Forget(_, payload)) = message;
    only_rows(&payload);
}

fn only_rows(payload: &Payload) {
    assert!(payload.to_string().len() <= MAX_PAYLOAD_BYTES);
    assert!(payload.values().all(|(field, value)| field.values.contains(&value)));
    assert_eq!(payload.values().count(), FIELDS.iter().filter(|field| field.since <= payload.list()).count());
}
