//! Target: a request to the daemon's control socket: its frame, and the request of each service in it.

use crate::samples;
use content::Content;
use control::{MAX_REQUEST_BYTES, Protocol, RequestFrame};
use dcache::Kind;
use logs::Logs;
use service::JobNumber;
use swarm::protocol::{Batch, Intent, Request, SignedStatement, StatementText, SwarmProtocol};
use swarm::route_protocol::{RouteProtocol, RouteRequest};
use transfers::{Destination, Limit, Limits, Order, Transfers};

/// Checks that a request of any service is the same after encoding and parsing.
pub fn check(bytes: &[u8]) {
    let Ok(frame) = RequestFrame::parse(bytes) else { return };
    assert!(bytes.len() <= MAX_REQUEST_BYTES);
    let written = frame.encode();
    assert!(!written.contains('\n'));
    // An escape sequence may be longer when it is encoded again.
    if written.len() <= MAX_REQUEST_BYTES {
        assert_eq!(RequestFrame::parse(written.as_bytes()).map(|frame| frame.encode()).ok(), Some(written));
    }
    let request = frame.request.get();
    reads_back::<SwarmProtocol>(request);
    reads_back::<RouteProtocol>(request);
    reads_back::<Logs>(request);
    reads_back::<Content>(request);
    reads_back::<Transfers>(request);
}

fn reads_back<P: Protocol>(json: &str) {
    let Ok(read) = serde_json::from_str::<P::Request>(json) else { return };
    let written = control::raw(&read);
    let again = serde_json::from_str::<P::Request>(written.get()).map(|read| control::raw(&read));
    assert_eq!(again.ok().as_deref().map(|json| json.get()), Some(written.get()));
}

/// Returns one request of each kind.
pub fn seeds() -> Vec<Vec<u8>> {
    let record = samples::record();
    let (text, item) = (StatementText(record.statement().clone()), record.item().clone());
    let intent = Intent { kind: Kind::Dismiss, bucket: item.bucket, data: item.data };
    let signed = SignedStatement { payload: text.clone(), signature: *record.signature() };
    let about_swarm = [
        Request::Status {},
        Request::Publish { statements: one(text), anyway: true },
        Request::Prepare { signer: Some(samples::peer()), intents: one(intent) },
        Request::Admit { records: one(signed), anyway: false },
        Request::Join { swarm: "name = 'class'".to_owned() },
        Request::Leave {},
    ];
    let job = JobNumber(7);
    let about_transfers = [
        transfers::Request::Fetch(order()),
        transfers::Request::SetLimits(Limits { wan_up: Limit::Rate(1_500_000), ..Limits::default() }),
        transfers::Request::Read { job, offset: 1 << 20 },
    ];
    let about_content = [content::Request::Pin { cid: order().cid }, content::Request::Job { job }];
    let mut seeds: Vec<Vec<u8>> = about_swarm.iter().map(seed::<SwarmProtocol>).collect();
    seeds.extend(about_transfers.iter().map(seed::<Transfers>));
    seeds.extend(about_content.iter().map(seed::<Content>));
    seeds.push(seed::<RouteProtocol>(&RouteRequest::List {}));
    seeds.push(seed::<Logs>(&logs::Request::Names { cids: vec![order().cid] }));
    seeds
}

fn seed<P: Protocol>(request: &P::Request) -> Vec<u8> {
    RequestFrame::of::<P>(request).encode().into_bytes()
}

#[expect(clippy::expect_used, reason = "a batch may have one value")]
fn one<T: std::fmt::Debug>(value: T) -> Batch<T> {
    vec![value].try_into().expect("a batch of one")
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
