//! An answer of the daemon's local socket, as the command line reads it.

use crate::samples;
use control::{Answer, Ending, Failure, FailureKind, Outcome, Prepared, Standing, Status};
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
    ];
    answers.map(|answer| answer.encode().into_bytes()).to_vec()
}
