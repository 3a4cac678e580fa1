//! What a node can be told to do.

use crate::{Limits, Order};
use dcache::{BucketPath, Data, Item, Kind, PeerId, Signature, Statement, StatementError};
use routing::{Address, Rule};
use serde::{Deserialize, Serialize};

/// The most bytes of a request, its line end not counted.
pub const MAX_REQUEST_BYTES: usize = 64 * 1024;
/// The most words in one request.
pub const MAX_WORDS: usize = 32;

/// One line to the daemon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Who are you, in which swarm, and what time is it?
    Status {},
    /// Sign this and say it.
    Say {
        /// What to say.
        words: Vec<Word>,
        /// Also when it does not count now.
        #[serde(default)]
        anyway: bool,
    },
    /// What has somebody to know before he says this? The answer is [`crate::Prepared`].
    Prepare {
        /// Who is going to sign; this node when not given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signer: Option<PeerId>,
        /// What it is going to be about.
        intents: Vec<Intent>,
    },
    /// Say this, which somebody else has signed.
    Admit {
        /// The signed words.
        records: Vec<SignedWord>,
        /// Also when it does not count now.
        #[serde(default)]
        anyway: bool,
    },
    /// Join the swarm of this file.
    Join {
        /// The text of a swarm file.
        swarm: String,
    },
    /// Leave the swarm, and be in the open one again.
    Leave {},
    /// How are addresses rewritten, and who was heard where?
    Routes {},
    /// Rewrite addresses so, from now on and after a restart.
    AddRoute {
        /// How.
        rule: Rule,
    },
    /// Do not rewrite them so any more.
    RemoveRoute {
        /// How they were.
        rule: Rule,
    },
    /// Add this file, and pin it. The answer names a piece of work, see [`Request::Look`].
    Add {
        /// Where it is: an absolute path.
        path: String,
        /// Whether it is copied into the store, and not served where it is.
        #[serde(default)]
        copy: bool,
    },
    /// Keep this content, after fetching what is missing. The answer names a piece of work, see [`Request::Look`].
    Pin {
        /// Its root.
        cid: String,
    },
    /// How far is this piece of work? The answer comes when it is done, or after a moment. A piece of work at which nobody
    /// looks for ten seconds is given up.
    Look {
        /// Its number.
        work: u64,
    },
    /// Do not keep this content any more.
    Unpin {
        /// Its root.
        cid: String,
    },
    /// Throw away what nobody keeps.
    CollectGarbage {},
    /// How full is the store?
    Storage {},
    /// What is pinned? In parts.
    Pins {
        /// How many were told already.
        from: usize,
    },
    /// Which files are served where they are? In parts.
    Files {
        /// How many were told already.
        from: usize,
    },
    /// Where would a line go that is addressed so?
    Explain {
        /// The address.
        address: Address,
    },
    /// Fetch this, and go on until it is here, whatever comes. The answer is [`crate::Answer::Transfer`].
    Fetch(Order),
    /// How far is this download?
    Download {
        /// Its number.
        number: u64,
    },
    /// What comes and goes?
    Transfers {},
    /// Do not fetch this any more.
    Cancel {
        /// The number of a download, or a CID.
        download: String,
    },
    /// A part of a download that is whole; parts are asked for one after the other.
    Read {
        /// Its number.
        number: u64,
        /// Where the part begins.
        offset: u64,
    },
    /// A download that is whole was read, and need not be held any more.
    Collected {
        /// Its number.
        number: u64,
    },
    /// How fast may bytes come and go?
    Limits {},
    /// From now on they may go so fast, also after a restart.
    SetLimits(Limits),
}

/// What somebody wants to say, when it is not decided yet for when it is to hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// Whether the item is to be in its bucket.
    pub kind: Kind,
    /// The bucket.
    pub bucket: BucketPath,
    /// The item's data.
    pub data: Data,
}

impl Intent {
    /// The item that it is about.
    pub fn item(&self) -> Item {
        Item { bucket: self.bucket.clone(), data: self.data.clone() }
    }
}

/// Something to be said: a payload, read. On the wire it is the payload's text, whose very bytes are signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Word(pub Statement);

impl TryFrom<String> for Word {
    type Error = StatementError;
    fn try_from(payload: String) -> Result<Self, StatementError> {
        Statement::parse(&payload).map(Self)
    }
}

impl From<Word> for String {
    fn from(word: Word) -> Self {
        word.0.payload().into_owned()
    }
}

/// A word with a signature under it, not yet verified.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedWord {
    /// What is said.
    pub payload: Word,
    /// By whom.
    pub signature: Signature,
}

/// Why a line is no request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Over the bound; not looked at.
    #[error("a request has at most {MAX_REQUEST_BYTES} bytes, not {0}")]
    Length(usize),
    /// Not JSON, or of no shape that is known.
    #[error("not a request: {0}")]
    Shape(String),
    /// None at all, or more than are taken at a time.
    #[error("a request has 1 to {MAX_WORDS} words, not {0}")]
    Words(usize),
}

/// Reads one line, given without its end.
///
/// # Errors
/// When it is too long, not JSON in UTF-8, of no known shape, or a part is out of its bounds.
pub fn parse_request(line: &[u8]) -> Result<Request, RequestError> {
    if line.len() > MAX_REQUEST_BYTES {
        return Err(RequestError::Length(line.len()));
    }
    let request = serde_json::from_slice(line).map_err(|error| RequestError::Shape(error.to_string()))?;
    let words = match &request {
        Request::Say { words, .. } => words.len(),
        Request::Prepare { intents, .. } => intents.len(),
        Request::Admit { records, .. } => records.len(),
        _ => 1,
    };
    match words {
        1..=MAX_WORDS => Ok(request),
        number => Err(RequestError::Words(number)),
    }
}

impl Request {
    /// The line, without its end. JSON escapes line ends inside texts, so it is always one.
    #[expect(clippy::expect_used, reason = "structs of texts and numbers always have a JSON form")]
    pub fn encode(&self) -> String {
        serde_json::to_string(self).expect("a request has a JSON form")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::{End, Keypair, Time, Validity};
    use proptest::prelude::*;

    fn word(data: &str) -> Word {
        let item = Item { bucket: "share/files".parse().unwrap(), data: Data::new(data).unwrap() };
        Word(Statement::new(Kind::Propose, item, Validity::starting(Time(1), 9)).unwrap())
    }

    fn intent() -> Intent {
        let Item { bucket, data } = word("a").0.item().clone();
        Intent { kind: Kind::Dismiss, bucket, data }
    }

    fn examples() -> Vec<Request> {
        let key = Keypair::from_seed([1; 32]);
        let payload = word("signed");
        let signature = key.sign(7, End::default(), &payload.0.payload());
        vec![
            Request::Status {},
            Request::Say { words: vec![word("a"), word("b\n\"é")], anyway: true },
            Request::Prepare { signer: Some(key.peer_id()), intents: vec![intent()] },
            Request::Prepare { signer: None, intents: vec![intent(), intent()] },
            Request::Admit { records: vec![SignedWord { payload, signature }], anyway: false },
            Request::Join { swarm: "name = 'class'\n".into() },
            Request::Leave {},
            Request::Add { path: "/a b".into(), copy: true },
            Request::Pin { cid: "bafy".into() },
            Request::Look { work: 7 },
            Request::Unpin { cid: "bafy".into() },
            Request::CollectGarbage {},
            Request::Storage {},
            Request::Pins { from: 5 },
            Request::Files { from: 0 },
            Request::Fetch(order()),
            Request::Download { number: 7 },
            Request::Transfers {},
            Request::Cancel { download: "7".into() },
            Request::Read { number: 7, offset: 1 << 40 },
            Request::Collected { number: 7 },
            Request::Limits {},
            Request::SetLimits(Limits { wan_up: crate::Limit::Rate(500_000), ..Limits::default() }),
        ]
    }

    fn order() -> Order {
        let path = "/data/a\n.bag".into();
        let destination = crate::Destination { path, folder: (1, 2), user: 1000, replace: false };
        Order {
            cid: "bafy".into(),
            name: "a.bag".into(),
            payload: Some("a.bag".into()),
            size: Some(9),
            destination: Some(destination),
            pin: false,
            priority: -1,
        }
    }

    #[test]
    fn each_is_one_line_that_reads_back() {
        for request in examples() {
            let line = request.encode();
            assert!(!line.contains('\n'));
            assert_eq!(parse_request(line.as_bytes()), Ok(request));
        }
    }

    #[test]
    fn the_shape_is_the_documented_one() {
        assert_eq!(Request::Status {}.encode(), r#"{"request":"status"}"#);
        let short = r#"{"request":"say","words":["{\"mtype\":\"dismiss\",\"bucket\":[\"a\"],\"data\":\"b\",\"validity\":[null,null]}"]}"#;
        let read = parse_request(short.as_bytes()).unwrap();
        assert!(matches!(read, Request::Say { words, anyway: false } if words[0].0.kind() == Kind::Dismiss));
    }

    #[test]
    fn what_is_out_of_bounds_is_refused() {
        let many = Request::Say { words: vec![word("a"); MAX_WORDS + 1], anyway: false };
        assert_eq!(parse_request(many.encode().as_bytes()), Err(RequestError::Words(MAX_WORDS + 1)));
        let none = Request::Say { words: Vec::new(), anyway: false };
        assert_eq!(parse_request(none.encode().as_bytes()), Err(RequestError::Words(0)));
        let long = vec![b' '; MAX_REQUEST_BYTES + 1];
        assert_eq!(parse_request(&long), Err(RequestError::Length(long.len())));
        for wrong in [
            r#"{"request":"status","more":1}"#.to_owned(),
            r#"{"request":"leave","request":"leave"}"#.to_owned(),
            r#"{"request":"quit"}"#.to_owned(),
            r#"{}"#.to_owned(),
            r#""status""#.to_owned(),
            r#"{"request":"say","words":["{}"]}"#.to_owned(),
            r#"{"request":"join"}"#.to_owned(),
            examples()[2].encode().replace("12D3", "12D4"),
            format!(r#"{{"request":"join","swarm":{}{}}}"#, "[".repeat(5000), "]".repeat(5000)),
        ] {
            assert!(matches!(parse_request(wrong.as_bytes()), Err(RequestError::Shape(_))), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_request(&bytes);
        }
    }
}
