//! What the daemon answers.

use crate::content::{FileRow, Freed, PinRow, Pinned, Progress, Storage};
use crate::{Limits, LinkRate, Piece, Transfer};
use dcache::{PeerId, Time};
use routing::{Address, Rule};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The most bytes of an answer, its line end not counted: a swarm file's text, escaped, fits.
pub const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// One line from the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// What was asked for is done, and on the disk.
    Done {},
    /// To [`crate::Request::Status`].
    Status(Status),
    /// To [`crate::Request::Prepare`].
    Prepared(Prepared),
    /// To [`crate::Request::Say`] and [`crate::Request::Admit`]: it is said, and on the disk.
    Said {
        /// What came of each word.
        outcomes: Vec<Outcome>,
    },
    /// To [`crate::Request::Routes`].
    Routes {
        /// The rules, in the order in which they are tried.
        rules: Vec<Rule>,
        /// By which channels peers were heard.
        learned: Vec<Learned>,
        /// Chains of channels that are used as one.
        paths: Vec<Address>,
        /// Whether lines are passed on for others.
        forwards: bool,
    },
    /// To [`crate::Request::Explain`].
    Explained {
        /// Each step, for people.
        words: String,
        /// Each step, for programs.
        steps: serde_json::Value,
        /// By which channel it would leave, in words.
        last: String,
    },
    /// To [`crate::Request::Fetch`] and [`crate::Request::Download`]: what is to be fetched is on the disk.
    Transfer(Transfer),
    /// To [`crate::Request::Transfers`].
    Transfers {
        /// What was ordered, and what is fetched besides.
        transfers: Vec<Transfer>,
        /// What passes between this node and others.
        links: Vec<LinkRate>,
    },
    /// To [`crate::Request::Read`]; empty at the end.
    Piece {
        /// The part.
        data: Piece,
    },
    /// To [`crate::Request::Limits`] and [`crate::Request::SetLimits`].
    Limits {
        /// What holds now.
        now: Limits,
        /// What was set; where it says `default`, the configuration holds.
        set: Limits,
    },
    /// To [`crate::Request::Add`] and [`crate::Request::Pin`]: it is begun.
    Begun {
        /// The number of the piece of work.
        work: u64,
    },
    /// To [`crate::Request::Look`]: it is not done yet.
    Working(Progress),
    /// To [`crate::Request::Look`]: it is done.
    Pinned(Pinned),
    /// To [`crate::Request::CollectGarbage`].
    Freed(Freed),
    /// To [`crate::Request::Storage`].
    Storage(Storage),
    /// To [`crate::Request::Pins`].
    Pins {
        /// The next ones; none after the last.
        pins: Vec<PinRow>,
    },
    /// To [`crate::Request::Files`].
    Files {
        /// The next ones; none after the last.
        files: Vec<FileRow>,
    },
    /// It was not done.
    Failure(Failure),
}

/// By which channel a peer was heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Learned {
    /// Who.
    pub peer: PeerId,
    /// The channel.
    pub via: Address,
    /// What a byte costs there, compared with other channels.
    pub cost: u8,
    /// How many seconds ago.
    pub seconds: u64,
}

/// How this node stands in its swarm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// Who it is.
    pub peer: PeerId,
    /// The daemon's version.
    pub version: String,
    /// The text of its swarm file; `None` in the open swarm.
    pub swarm: Option<String>,
    /// What time it believes it is.
    pub time: Time,
    /// Whether that is more than a lower bound.
    pub is_time_certain: bool,
}

/// What somebody has to know before he says something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prepared {
    /// Who is going to sign.
    pub signer: PeerId,
    /// The highest sequence number heard of him; 0 when none.
    pub sequence: u64,
    /// What time this node believes it is.
    pub time: Time,
    /// Whether that is more than a lower bound.
    pub is_time_certain: bool,
    /// How each item stands, in the order of the intents.
    pub standings: Vec<Standing>,
}

/// What was said about an item so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    /// Until when the signer's own former word about it has to be remembered, if there is one.
    pub former: Option<Ending>,
    /// Until when the last of all proposals of it lasts, if there is any.
    pub proposed: Option<Ending>,
}

/// When something ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ending {
    /// When; `None` for never.
    pub at: Option<Time>,
}

/// What came of a word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// Whether the item is in its bucket now.
    pub is_in_bucket: bool,
    /// Some of those whose word counts now and says otherwise.
    pub others: Vec<PeerId>,
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(deny_unknown_fields)]
#[error("{words}")]
pub struct Failure {
    /// Which kind of reason.
    pub kind: FailureKind,
    /// The reason, in words for people.
    pub words: String,
}

/// Kinds of reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The signer has no role that would make it count.
    NotAllowed,
    /// The node does not take it: it is over, too long, too much, or not signed by whom it says. Of several words those
    /// that it does take are said.
    Refused,
    /// The request makes no sense, or none here.
    Wrong,
    /// It was tried, and did not come off.
    Failed,
    /// It could not be put on the disk.
    Disk,
    /// The daemon is stopping, or beginning anew.
    Stopped,
}

impl Failure {
    /// A failure of this kind, in these words.
    pub fn new(kind: FailureKind, words: impl fmt::Display) -> Self {
        Self { kind, words: words.to_string() }
    }
}

impl Answer {
    /// The line, without its end.
    #[expect(clippy::expect_used, reason = "structs of texts and numbers always have a JSON form")]
    pub fn encode(&self) -> String {
        serde_json::to_string(self).expect("an answer has a JSON form")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::Keypair;

    #[test]
    fn each_is_one_line_that_reads_back() {
        let peer = Keypair::from_seed([1; 32]).peer_id();
        let (version, swarm) = ("0.1.0".to_owned(), Some("name = 'a'\n".to_owned()));
        let (never, soon) = (Some(Ending { at: None }), Some(Ending { at: Some(Time(9)) }));
        let standings =
            vec![Standing { former: None, proposed: never }, Standing { former: soon, proposed: None }];
        let (path, state) = ("/a".to_owned(), crate::FileState::Gone);
        let file = FileRow { path, bytes: 1, blocks: 1, missing_blocks: 0, state };
        for answer in [
            Answer::Done {},
            Answer::Status(Status { peer, version, swarm, time: Time(7), is_time_certain: false }),
            Answer::Prepared(Prepared {
                signer: peer,
                sequence: 3,
                time: Time(7),
                is_time_certain: true,
                standings,
            }),
            Answer::Said { outcomes: vec![Outcome { is_in_bucket: true, others: vec![peer] }] },
            Answer::Begun { work: 1 },
            Answer::Working(Progress { done: 1, total: None }),
            Answer::Pinned(Pinned { cid: "bafy".into(), bytes: 2 }),
            Answer::Freed(Freed { blocks: 1, bytes: 2, files: 3 }),
            Answer::Files { files: vec![file] },
            Answer::Failure(Failure::new(FailureKind::NotAllowed, "no\nrole")),
        ] {
            let line = answer.encode();
            assert!(!line.contains('\n'));
            assert_eq!(serde_json::from_str::<Answer>(&line).unwrap(), answer);
            let longer = line.replacen('{', "{\"more\":1,", 1);
            assert!(serde_json::from_str::<Answer>(&longer).is_err(), "{longer}");
        }
        let piece = Answer::Piece { data: Piece(vec![0xff; crate::MAX_PIECE_BYTES]) };
        assert!(piece.encode().len() <= MAX_ANSWER_BYTES);
        assert_eq!(serde_json::from_str::<Answer>(&piece.encode()).unwrap(), piece);
        let refused = Answer::Failure(Failure::new(FailureKind::NotAllowed, "x")).encode();
        assert_eq!(refused, r#"{"answer":"failure","kind":"not_allowed","words":"x"}"#);
    }
}
