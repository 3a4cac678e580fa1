//! Target: an answer of the daemon's control socket, as the CLI reads it.

use crate::samples;
use content::Content;
use control::{AnswerFrame, Failure, FailureKind, Protocol, raw};
use dcache::Time;
use logs::Logs;
use service::JobNumber;
use swarm::protocol::{Answer, Expiry, ItemHistory, Outcome, Prepared, Status, SwarmProtocol};
use swarm::route_protocol::RouteProtocol;
use transfers::{Limit, Limits, LinkRate, Piece, SourceRate, Transfer, TransferState, Transfers};

/// Checks that an answer of any service is the same after encoding and parsing.
pub fn check(bytes: &[u8]) {
    let Ok(frame) = AnswerFrame::parse(bytes) else { return };
    let written = frame.encode();
    assert!(!written.contains('\n'));
    assert_eq!(AnswerFrame::parse(written.as_bytes()).map(|frame| frame.encode()).ok(), Some(written));
    let AnswerFrame::Answer(answer) = frame else { return };
    reads_back::<SwarmProtocol>(answer.get());
    reads_back::<RouteProtocol>(answer.get());
    reads_back::<Logs>(answer.get());
    reads_back::<Content>(answer.get());
    reads_back::<Transfers>(answer.get());
}

fn reads_back<P: Protocol>(json: &str) {
    let Ok(read) = serde_json::from_str::<P::Answer>(json) else { return };
    let written = raw(&read);
    let again = serde_json::from_str::<P::Answer>(written.get()).map(|read| raw(&read));
    assert_eq!(again.ok().as_deref().map(|json| json.get()), Some(written.get()));
}

/// Returns one answer of each kind.
pub fn seeds() -> Vec<Vec<u8>> {
    let (peer, time) = (samples::peer(), Time(1_511_000_000));
    let history =
        ItemHistory { former: Some(Expiry { at: None }), proposed: Some(Expiry { at: Some(time) }) };
    let link = LinkRate { peer, is_near: true, sent: 7, up: 6, received: 5, down: 4 };
    let (version, swarm) = ("0.1.0".to_owned(), Some("name = 'class'".to_owned()));
    let about_swarm = [
        Answer::Done {},
        Answer::Status(Status { peer, version, swarm, time, is_time_certain: true }),
        Answer::Prepared(Prepared {
            signer: peer,
            sequence: 7,
            time,
            is_time_certain: false,
            histories: vec![history],
        }),
        Answer::Published { outcomes: vec![Outcome { is_in_bucket: true, others: vec![peer] }] },
    ];
    let about_transfers = [
        transfers::Answer::Transfer(transfer()),
        transfers::Answer::Transfers { transfers: vec![transfer()], links: vec![link] },
        transfers::Answer::Piece { data: Piece(b"part".to_vec()), is_archive: false },
        transfers::Answer::Limits {
            now: Limits { lan_up: Limit::Rate(2_000_000), wan_up: Limit::None, ..Limits::default() },
            set: Limits::default(),
        },
    ];
    let failure = AnswerFrame::Failure(Failure::new(FailureKind::NotAllowed, "no"));
    let mut seeds = vec![failure.encode().into_bytes()];
    seeds.extend(about_swarm.iter().map(|answer| AnswerFrame::Answer(raw(answer)).encode().into_bytes()));
    seeds.extend(about_transfers.iter().map(|answer| AnswerFrame::Answer(raw(answer)).encode().into_bytes()));
    seeds
}

fn transfer() -> Transfer {
    Transfer {
        download: Some(JobNumber(7)),
        cid: "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku".to_owned(),
        name: "a.bag".to_owned(),
        priority: -1,
        state: TransferState::Waiting,
        reason: Some("no peer is connected".to_owned()),
        destination: Some("/data/a.bag".into()),
        is_written_by_daemon: true,
        bytes: 1,
        size: Some(868_400),
        rate: 2,
        sources: vec![SourceRate { peer: samples::peer(), bytes: 1, rate: 2 }],
    }
}
