//! A line of the protocol, and the message in it.

use crate::samples::{peer, record};
use dcache::{Time, Validity};
use routing::{Address, Envelope, MAX_LINE_BYTES, MAX_PATTERNS, MAX_SIGNATURES, Message, Status};

/// Inputs to begin with.
pub fn seeds() -> Vec<Vec<u8>> {
    vec![
        Envelope::record(Address::brain(peer()), Address::every_brain(), &record()).encode().into(),
        with_status().encode().into(),
        Message::req(&["*/summaries", "/share/{a,b}*"], Validity::ALWAYS).into(),
        Message::ping(Validity::ALWAYS).into(),
        br#"{"mtype":"command","command":"quit","parameters":{"a":[1]},"validity":[1,2]}"#.to_vec(),
        br#"{"mtype":"signature","data":"a","signer":"b","signature":"c"}"#.to_vec(),
    ]
}

/// What must hold of any bytes.
pub fn check(bytes: &[u8]) {
    // A message by itself as well: inside an envelope it is escaped, and the fuzzer would seldom get so far.
    if let Ok(text) = std::str::from_utf8(bytes) {
        check_payload(text);
    }
    let Ok(envelope) = Envelope::decode(bytes) else { return };
    assert!(envelope.signatures.len() <= MAX_SIGNATURES);
    let line = envelope.encode();
    assert!(!line.contains('\n'));
    // Written out, what was left to its default stands there, and the line may be longer.
    if line.len() <= MAX_LINE_BYTES {
        assert_eq!(Envelope::decode(line.as_bytes()).as_ref(), Ok(&envelope));
    }
    check_payload(&envelope.payload);
}

fn check_payload(payload: &str) {
    match Message::parse(payload) {
        Ok(Message::Statement(statement)) => assert_eq!(statement.payload(), payload),
        Ok(Message::Request { patterns, .. }) => assert!(patterns.len() <= MAX_PATTERNS),
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

fn with_status() -> Envelope {
    let mut envelope = Envelope::new(
        Address::brain(peer()),
        Address::every_brain(),
        Message::pong(Validity::starting(Time(1), 9)),
    );
    let counters = [("Forged".to_owned(), 3)].into();
    envelope.status = Some(Status { version: "0.1.0".into(), counters, ..Status::default() });
    envelope.comment = Some("hello".into());
    envelope
}
