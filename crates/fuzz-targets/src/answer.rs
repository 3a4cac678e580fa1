//! An answer of the daemon's local socket, as the command line reads it.

use crate::samples;
use control::{
    Answer, Ending, Failure, FailureKind, Limit, Limits, LinkRate, Outcome, Piece, Prepared, SourceRate,
    Standing, Status, Transfer, TransferState,
};
use dcache::Time;

/// What is read is written so that it reads back the same.
pub fn check(bytes: &[u8]) {
    let Ok(read) = serde_json::from_slice::<Answer>(bytes) else { return };
    let written = read.encode();
    assert!(!written.contains('\n'));
    assert_eq!(serde_json::from_str::<Answer>(&written).ok(), Some(read), "{written}");
}

/// One of each kind.
pub fn seeds() -> Vec<Vec<u8>> {
    let (peer, time) = (samples::peer(), Time(1_511_000_000));
    let standing = Standing { former: Some(Ending { at: None }), proposed: Some(Ending { at: Some(time) }) };
    let link = LinkRate { peer, is_near: true, sent: 7, up: 6, received: 5, down: 4 };
    let answers = [
        Answer::Done {},
        Answer::Status(Status {
            peer,
            version: "0.1.0".to_owned(),
            swarm: Some("name = 'class'".to_owned()),
            time,
            is_time_certain: true,
        }),
        Answer::Prepared(Prepared {
            signer: peer,
            sequence: 7,
            time,
            is_time_certain: false,
            standings: vec![standing],
        }),
        Answer::Said { outcomes: vec![Outcome { is_in_bucket: true, others: vec![peer] }] },
        Answer::Failure(Failure::new(FailureKind::NotAllowed, "no")),
        Answer::Transfer(transfer()),
        Answer::Transfers { transfers: vec![transfer()], links: vec![link] },
        Answer::Piece { data: Piece(b"part".to_vec()) },
        Answer::Limits {
            now: Limits { lan_up: Limit::Rate(2_000_000), wan_up: Limit::None, ..Limits::default() },
            set: Limits::default(),
        },
    ];
    answers.map(|answer| answer.encode().into_bytes()).to_vec()
}

fn transfer() -> Transfer {
    Transfer {
        download: Some(7),
        cid: "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku".to_owned(),
        name: "a.bag".to_owned(),
        priority: -1,
        state: TransferState::Waiting,
        reason: Some("nobody is connected".to_owned()),
        destination: Some("/data/a.bag".into()),
        is_written_by_daemon: true,
        bytes: 1,
        size: Some(868_400),
        rate: 2,
        sources: vec![SourceRate { peer: samples::peer(), bytes: 1, rate: 2 }],
    }
}
