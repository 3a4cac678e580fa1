//! Target: a line of the line protocol, and the message in it.

use crate::samples::{peer, record};
use dcache::{Fingerprint, Time, Validity};
use routing::{
    Address, Beacon, Carried, Envelope, MAX_LINE_BYTES, MAX_PATTERNS, MAX_RECORDS, MAX_SALT, MAX_SIGNATURES,
    MAX_SYMBOLS, MAX_WANTED, Message, Repair, Sketch, Status, Want,
};

/// Returns the seed inputs, from which the fuzzer starts.
pub fn seeds() -> Vec<Vec<u8>> {
    vec![
        Envelope::record(Address::brain(peer()), Address::every_brain(), &record()).encode().into(),
        with_status().encode().into(),
        with_beacon_and_records().encode().into(),
        with_step(sketch()).encode().into(),
        with_step(Repair::More { salt: 7, have: 12 }).encode().into(),
        with_step(Repair::Want(Want { salt: MAX_SALT, ids: vec![1, u64::MAX] })).encode().into(),
        Message::req(&["*/summaries", "/share/{a,b}*"], Validity::ALWAYS).into(),
        Message::ping(Validity::ALWAYS).into(),
        br#"{"mtype":"command","command":"quit","parameters":{"a":[1]},"validity":[1,2]}"#.to_vec(),
        br#"{"mtype":"signature","data":"a","signer":"b","signature":"c"}"#.to_vec(),
    ]
}

/// Checks the limits of an envelope, and that the envelope and its message are the same after encoding and parsing.
pub fn check(bytes: &[u8]) {
    // The input is also checked as a message alone. Inside an envelope a message is escaped, so the fuzzer would rarely
    // produce a valid one.
    if let Ok(text) = std::str::from_utf8(bytes) {
        check_payload(text);
    }
    let Ok(envelope) = Envelope::decode(bytes) else { return };
    assert!(envelope.signatures.len() <= MAX_SIGNATURES && envelope.records.len() <= MAX_RECORDS);
    match &envelope.repair {
        Some(Repair::Sketch(sketch)) => {
            assert!(sketch.symbols.len() <= MAX_SYMBOLS && sketch.salt <= MAX_SALT);
        }
        Some(Repair::Want(want)) => assert!(want.ids.len() <= MAX_WANTED && want.salt <= MAX_SALT),
        Some(Repair::More { .. }) | None => {}
    }
    let line = envelope.encode();
    assert!(!line.contains('\n'));
    // Omitted keys are written with their defaults, so the line may be longer than the input.
    if line.len() <= MAX_LINE_BYTES {
        assert_eq!(Envelope::decode(line.as_bytes()).as_ref(), Ok(&envelope));
    }
    check_payload(&envelope.payload);
}

fn check_payload(payload: &str) {
    match Message::parse(payload) {
        Ok(Message::Statement(statement)) => assert_eq!(statement.payload(), payload),
        Ok(Message::Request { patterns, .. }) => {
            assert!(patterns.read().map_or(0, |patterns| patterns.len()) <= MAX_PATTERNS);
        }
        Ok(Message::Ping { validity }) => {
            let again = Message::parse(&Message::ping(validity));
            assert!(matches!(again, Ok(Message::Ping { validity: read }) if read == validity));
        }
        Ok(Message::Pong { validity }) => {
            let again = Message::parse(&Message::pong(validity));
            assert!(matches!(again, Ok(Message::Pong { validity: read }) if read == validity));
        }
        Ok(Message::Command { .. } | Message::Signature) | Err(_) => {}
    }
}

fn pong() -> Envelope {
    let message = Message::pong(Validity::starting(Time(1), 9));
    Envelope::new(Address::brain(peer()), Address::every_brain(), message)
}

fn with_beacon_and_records() -> Envelope {
    let mut envelope = pong();
    envelope.beacon = Some(Beacon { bound: Time(60), fingerprint: Fingerprint { count: 3, sum: u128::MAX } });
    envelope.records = vec![Carried::from(&record())];
    envelope
}

fn with_step(step: Repair) -> Envelope {
    let mut envelope = pong();
    envelope.repair = Some(step);
    envelope
}

fn sketch() -> Repair {
    let symbols = sketch::Encoder::new([1, 2, 3]).symbols(12);
    Repair::Sketch(Sketch { bound: Time(60), count: 3, salt: 7, first: 0, symbols })
}

fn with_status() -> Envelope {
    let mut envelope = pong();
    let counters = [("Forged".to_owned(), 3)].into();
    envelope.status = Some(Status { version: "0.1.0".into(), counters, ..Status::default() });
    envelope.comment = Some("hello".into());
    envelope
}
