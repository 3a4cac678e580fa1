//! Requests about the running swarm on the control socket: the records that this node signs and publishes, and the
//! swarm that it belongs to.

use control::Protocol;
use dcache::{BucketPath, Data, Item, Kind, PeerId, Signature, Statement, StatementError, Time};
use serde::{Deserialize, Serialize};

/// Maximum number of statements in one request. A request then stays far below the size limit of a frame.
pub const MAX_STATEMENTS: usize = 32;

/// The service `swarm`.
#[derive(Clone, Copy, Debug)]
pub struct SwarmProtocol;

impl Protocol for SwarmProtocol {
    const NAME: &'static str = "swarm";
    type Request = Request;
    type Answer = Answer;
}

/// A request to the service `swarm`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Asks for [`Answer::Status`].
    Status {},
    /// Signs statements with this node's key and publishes them.
    Publish {
        /// Statements to sign and publish.
        statements: Batch<StatementText>,
        /// Whether to publish also statements that do not count now.
        #[serde(default)]
        anyway: bool,
    },
    /// Asks for the facts that a signer needs before it signs. The answer is [`Answer::Prepared`].
    Prepare {
        /// Peer ID of the signer; this node if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signer: Option<PeerId>,
        /// Statements that the signer intends to make.
        intents: Batch<Intent>,
    },
    /// Publishes records that another key has signed.
    Admit {
        /// Signed statements to publish.
        records: Batch<SignedStatement>,
        /// Whether to publish also records that do not count now.
        #[serde(default)]
        anyway: bool,
    },
    /// Joins the swarm of a swarm file.
    Join {
        /// Text of the swarm file.
        swarm: String,
    },
    /// Leaves the swarm for the open one.
    Leave {},
}

/// An answer of the service `swarm`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// The change is on the disk.
    Done {},
    /// Answer to [`Request::Status`]: the state of this node.
    Status(Status),
    /// Answer to [`Request::Prepare`]: the facts for the signer.
    Prepared(Prepared),
    /// Answer to [`Request::Publish`] and [`Request::Admit`]: the records are on the disk and published.
    Published {
        /// One outcome for each statement, in the same order.
        outcomes: Vec<Outcome>,
    },
}

/// One to [`MAX_STATEMENTS`] values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<T>", into = "Vec<T>", bound(serialize = "T: Clone + Serialize"))]
pub struct Batch<T>(Vec<T>);

/// The number of values does not fit into a [`Batch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a request has 1 to {MAX_STATEMENTS} statements, not {0}")]
pub struct BatchError(usize);

impl<T> TryFrom<Vec<T>> for Batch<T> {
    type Error = BatchError;
    fn try_from(values: Vec<T>) -> Result<Self, BatchError> {
        match values.len() {
            1..=MAX_STATEMENTS => Ok(Self(values)),
            number => Err(BatchError(number)),
        }
    }
}

impl<T> From<Batch<T>> for Vec<T> {
    fn from(batch: Batch<T>) -> Self {
        batch.0
    }
}

/// An intended statement, before its validity is decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// Proposal or dismissal.
    pub kind: Kind,
    /// Bucket of the item.
    pub bucket: BucketPath,
    /// Data of the item.
    pub data: Data,
}

impl Intent {
    /// Returns the item that the intent is about.
    pub fn item(&self) -> Item {
        Item { bucket: self.bucket.clone(), data: self.data.clone() }
    }
}

/// A statement. In JSON it is the payload's text, since a signature covers exactly these bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StatementText(pub Statement);

impl TryFrom<String> for StatementText {
    type Error = StatementError;
    fn try_from(payload: String) -> Result<Self, StatementError> {
        Statement::parse(&payload).map(Self)
    }
}

impl From<StatementText> for String {
    fn from(text: StatementText) -> Self {
        text.0.payload().into_owned()
    }
}

/// A statement with its signature, which is not verified yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedStatement {
    /// Text of the statement.
    pub payload: StatementText,
    /// Signature of the text.
    pub signature: Signature,
}

/// State of this node in its swarm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// Peer ID of this node.
    pub peer: PeerId,
    /// Version of the daemon.
    pub version: String,
    /// Text of the swarm file; absent in the open swarm.
    pub swarm: Option<String>,
    /// Current time according to the node, in seconds since the Unix epoch.
    pub time: Time,
    /// Whether `time` is certain; otherwise it is only a lower bound.
    pub is_time_certain: bool,
}

/// The facts that a signer needs before it signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prepared {
    /// Peer ID of the signer.
    pub signer: PeerId,
    /// Highest sequence number of the signer that the node knows; 0 if it knows none.
    pub sequence: u64,
    /// Current time according to the node, in seconds since the Unix epoch.
    pub time: Time,
    /// Whether `time` is certain; otherwise it is only a lower bound.
    pub is_time_certain: bool,
    /// One history for each intent, in the same order.
    pub histories: Vec<ItemHistory>,
}

/// The earlier statements about an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemHistory {
    /// Time until which the signer's own earlier record about the item has to be kept; absent if there is none.
    pub former: Option<Expiry>,
    /// End of the last of all proposals of the item; absent if no peer proposes it.
    pub proposed: Option<Expiry>,
}

/// The end of a proposal, or of the time for which a record is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expiry {
    /// Time in seconds since the Unix epoch; absent for never.
    pub at: Option<Time>,
}

/// The effect of a statement that was published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// Whether the item is in its bucket now.
    pub is_in_bucket: bool,
    /// Some of the peers whose records count now and state the opposite.
    pub others: Vec<PeerId>,
}

#[cfg(test)]
mod tests;
