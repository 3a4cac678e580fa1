//! A request to the daemon's local socket.

use crate::samples;
use control::{
    Destination, Intent, Limit, Limits, MAX_REQUEST_BYTES, Order, Request, SignedWord, Word, parse_request,
};
use dcache::Kind;

/// What is read is written so that it reads back the same.
pub fn check(bytes: &[u8]) {
    let Ok(read) = parse_request(bytes) else { return };
    assert!(bytes.len() <= MAX_REQUEST_BYTES);
    let written = read.encode();
    assert!(!written.contains('\n'));
    // Written out, an escape may be longer than it was read.
    if written.len() <= MAX_REQUEST_BYTES {
        assert_eq!(parse_request(written.as_bytes()).as_ref(), Ok(&read));
    }
}

/// One of each kind.
pub fn seeds() -> Vec<Vec<u8>> {
    let record = samples::record();
    let (word, item) = (Word(record.statement().clone()), record.item().clone());
    let intent = Intent { kind: Kind::Dismiss, bucket: item.bucket, data: item.data };
    let signed = SignedWord { payload: word.clone(), signature: *record.signature() };
    let requests = [
        Request::Status {},
        Request::Say { words: vec![word], anyway: true },
        Request::Prepare { signer: Some(samples::peer()), intents: vec![intent] },
        Request::Admit { records: vec![signed], anyway: false },
        Request::Join { swarm: "name = 'class'".to_owned() },
        Request::Leave {},
        Request::Fetch(order()),
        Request::SetLimits(Limits { wan_up: Limit::Rate(1_500_000), ..Limits::default() }),
        Request::Read { number: 7, offset: 1 << 20 },
    ];
    requests.map(|request| request.encode().into_bytes()).to_vec()
}

fn order() -> Order {
    let path = "/data/a.bag".into();
    Order {
        cid: "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku".to_owned(),
        name: "a.bag".to_owned(),
        payload: Some("a.bag".to_owned()),
        size: Some(868_400),
        destination: Some(Destination { path, folder: (2049, 12), user: 1000, replace: true }),
        pin: false,
        priority: -1,
    }
}
