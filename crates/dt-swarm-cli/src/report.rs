//! The shared files, as the records of the `share` buckets tell them. Pure.
//!
//! `share/files`, `share/verified`, `share/safe` and `share/discard` hold CIDs; `share/info/CID` holds what the file is,
//! a JSON object: `{"filename":"example.bag","size":868400,"changed":1511000000,"uploader":"12D3Koo…"}`, size in
//! bytes, time of change in seconds since the Unix epoch. Keys that are not known are ignored.

use dcache::{BucketPath, PeerId, Set, Time, View};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most bytes of a CID; those in use have about 60.
const MAX_CID_BYTES: usize = 128;

/// How far a file has come. What comes later in this list has the last word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Its uploader says that it is a log.
    Shared,
    /// Somebody looked at it and found it good.
    Verified,
    /// Somebody keeps a copy.
    Safe,
    /// Somebody looked at it and found it bad.
    Discarded,
}

impl State {
    /// In order.
    pub const ALL: [Self; 4] = [Self::Shared, Self::Verified, Self::Safe, Self::Discarded];

    /// The second name of the bucket that says so.
    const fn bucket(self) -> &'static str {
        match self {
            Self::Shared => "files",
            Self::Verified => "verified",
            Self::Safe => "safe",
            Self::Discarded => "discard",
        }
    }

    /// As it is shown.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Verified => "verified",
            Self::Safe => "safe",
            Self::Discarded => "discarded",
        }
    }
}

/// What somebody says that a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Its name. It comes from the network: it may hold any character, also `/`.
    pub filename: String,
    /// Its length in bytes, as it is said to be.
    pub size: u64,
    /// When it was changed last.
    pub changed: Option<Time>,
    /// Who shared it.
    pub uploader: PeerId,
    /// Whether that peer signed this description; otherwise only others say so.
    pub is_signed_by_uploader: bool,
}

/// A file that the swarm knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedFile {
    /// What it is called in IPFS; ASCII letters, digits, `-` and `_`.
    pub cid: String,
    /// How far it has come.
    pub state: State,
    /// What it is; `None` when nobody says, or not in the shape above.
    pub description: Option<Description>,
    /// Who says of himself that he keeps a copy.
    pub holders: Vec<PeerId>,
}

/// The files that are known at `now`, by name and CID, those without a name last.
pub fn report(set: &Set, now: Time) -> Vec<SharedFile> {
    let states = states(set, now);
    let mut files: Vec<SharedFile> = states
        .into_iter()
        .map(|(cid, (state, holders))| SharedFile {
            description: description(set, &cid, now),
            cid,
            state,
            holders,
        })
        .collect();
    files.sort_by_cached_key(|file| {
        let name = file.description.as_ref().map(|known| known.filename.clone());
        (name.is_none(), name, file.cid.clone())
    });
    files
}

/// Each CID's furthest state, and its holders.
fn states(set: &Set, now: Time) -> BTreeMap<String, (State, Vec<PeerId>)> {
    let mut states = BTreeMap::new();
    for state in State::ALL {
        let Ok(bucket) = BucketPath::new(&["share", state.bucket()]) else {
            continue;
        };
        for view in set.bucket(&bucket, now) {
            let cid = view.item.data.as_str();
            if !is_cid(cid) {
                continue;
            }
            let known = states.entry(cid.to_owned()).or_insert((state, Vec::new()));
            known.0 = state;
            if state == State::Safe {
                known.1 = signers(&view).collect();
            }
        }
    }
    states
}

fn signers<'a>(view: &'a View<'_>) -> impl Iterator<Item = PeerId> + 'a {
    view.proposals.iter().map(|record| record.signer())
}

/// Whether the text may be a CID: enough to tell it from rubbish, and harmless to print.
fn is_cid(text: &str) -> bool {
    let is_usual = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=MAX_CID_BYTES).contains(&text.len()) && text.bytes().all(is_usual)
}

/// The shape of a description's data.
#[derive(Deserialize)]
struct Shape {
    filename: String,
    size: u64,
    #[serde(default)]
    changed: Option<Time>,
    uploader: PeerId,
}

/// The description to believe: one that its own uploader signed, and among equals the one that most peers signed.
fn description(set: &Set, cid: &str, now: Time) -> Option<Description> {
    let bucket = BucketPath::new(&["share", "info", cid]).ok()?;
    let mut best: Option<((bool, usize), Description)> = None;
    for view in set.bucket(&bucket, now) {
        let Some(description) = read(&view) else { continue };
        let weight = (description.is_signed_by_uploader, view.proposals.len());
        // Of equals the first stays, so that all nodes show the same one.
        if best.as_ref().is_none_or(|(before, _)| weight > *before) {
            best = Some((weight, description));
        }
    }
    best.map(|(_, description)| description)
}

fn read(view: &View<'_>) -> Option<Description> {
    let shape: Shape = serde_json::from_str(view.item.data.as_str()).ok()?;
    Some(Description {
        filename: shape.filename,
        size: shape.size,
        changed: shape.changed,
        uploader: shape.uploader,
        is_signed_by_uploader: signers(view).any(|signer| signer == shape.uploader),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::{Data, Item, Keypair, Kind, Record, Statement, Validity};

    const NOW: Time = Time(1000);

    #[derive(Default)]
    struct Swarm {
        set: Set,
        sequence: u64,
    }

    impl Swarm {
        fn say(&mut self, kind: Kind, who: u8, bucket: &str, data: &str, validity: Validity) {
            let item = Item { bucket: bucket.parse().unwrap(), data: Data::new(data).unwrap() };
            let statement = Statement::new(kind, item, validity).unwrap();
            self.sequence += 1;
            let record = Record::sign(statement.into(), &Keypair::from_seed([who; 32]), self.sequence);
            self.set.admit_verified(record, Time(0)).unwrap();
        }

        fn propose(&mut self, who: u8, bucket: &str, data: &str) {
            self.say(Kind::Propose, who, bucket, data, Validity::starting(Time(900), 200));
        }

        fn report(&self) -> Vec<SharedFile> {
            report(&self.set, NOW)
        }

        fn only(&self) -> SharedFile {
            let files = self.report();
            assert_eq!(files.len(), 1);
            files.into_iter().next().unwrap()
        }
    }

    fn peer(who: u8) -> PeerId {
        Keypair::from_seed([who; 32]).peer_id()
    }

    fn info(name: &str, uploader: u8) -> String {
        let uploader = peer(uploader);
        format!(r#"{{"filename":"{name}","size":7,"changed":5,"uploader":"{uploader}","later":[1]}}"#)
    }

    #[test]
    fn a_file_goes_its_way() {
        let mut swarm = Swarm::default();
        let stations = [
            ("files", State::Shared),
            ("verified", State::Verified),
            ("safe", State::Safe),
            ("discard", State::Discarded),
        ];
        for (bucket, state) in stations {
            swarm.propose(1, &format!("share/{bucket}"), "cid");
            assert_eq!(swarm.only().state, state);
        }
        assert_eq!(swarm.only().holders, [peer(1)]);
    }

    #[test]
    fn the_furthest_bucket_decides_even_alone() {
        let mut swarm = Swarm::default();
        swarm.propose(1, "share/safe", "cid");
        assert_eq!(swarm.only().state, State::Safe);
    }

    #[test]
    fn holders_are_those_whose_word_holds_now() {
        let mut swarm = Swarm::default();
        swarm.propose(1, "share/safe", "cid");
        swarm.propose(2, "share/safe", "cid");
        let over = Validity::starting(Time(900), 50);
        swarm.say(Kind::Propose, 3, "share/safe", "cid", over);
        let mut expected = vec![peer(1), peer(2)];
        expected.sort();
        assert_eq!(swarm.only().holders, expected);
    }

    #[test]
    fn what_is_over_or_dismissed_is_not_shown() {
        let mut swarm = Swarm::default();
        let over = Validity::starting(Time(900), 50);
        swarm.say(Kind::Propose, 1, "share/files", "old", over);
        swarm.propose(1, "share/files", "dismissed");
        let holds = Validity::starting(Time(900), 200);
        swarm.say(Kind::Dismiss, 2, "share/files", "dismissed", holds);
        assert_eq!(swarm.report(), []);
    }

    #[test]
    fn the_uploaders_own_description_is_preferred_then_the_crowds() {
        let mut swarm = Swarm::default();
        swarm.propose(1, "share/files", "cid");
        assert_eq!(swarm.only().description, None);
        swarm.propose(3, "share/info/cid", &info("one", 1));
        let described = |swarm: &Swarm| {
            let description = swarm.only().description.unwrap();
            (description.filename, description.is_signed_by_uploader)
        };
        assert_eq!(described(&swarm), ("one".to_owned(), false));
        swarm.propose(3, "share/info/cid", &info("two", 1));
        swarm.propose(4, "share/info/cid", &info("two", 1));
        assert_eq!(described(&swarm), ("two".to_owned(), false));
        swarm.propose(1, "share/info/cid", &info("mine", 1));
        assert_eq!(described(&swarm), ("mine".to_owned(), true));
    }

    #[test]
    fn a_description_is_read_whole() {
        let mut swarm = Swarm::default();
        swarm.propose(1, "share/files", "cid");
        swarm.propose(1, "share/info/cid", &info("a.bag", 1));
        let expected = Description {
            filename: "a.bag".to_owned(),
            size: 7,
            changed: Some(Time(5)),
            uploader: peer(1),
            is_signed_by_uploader: true,
        };
        assert_eq!(swarm.only().description, Some(expected));
    }

    #[test]
    fn rubbish_is_no_description_and_no_cid() {
        let mut swarm = Swarm::default();
        swarm.propose(1, "share/files", "cid");
        let long = "c".repeat(MAX_CID_BYTES + 1);
        for no_cid in ["", "a b", "cid\u{1b}[2J", "../x", "é", &long] {
            swarm.propose(1, "share/files", no_cid);
        }
        for no_info in ["", "{}", "[1]", r#"{"filename":"a","size":-1,"uploader":"x"}"#, &"[".repeat(1000)] {
            swarm.propose(1, "share/info/cid", no_info);
        }
        assert_eq!((swarm.only().cid.as_str(), swarm.only().description), ("cid", None));
    }

    #[test]
    fn a_cid_too_long_for_a_bucket_is_still_listed() {
        let mut swarm = Swarm::default();
        swarm.propose(1, "share/files", &"c".repeat(MAX_CID_BYTES));
        assert_eq!(swarm.only().description, None);
    }

    #[test]
    fn sorted_by_name_then_cid_the_nameless_last() {
        let mut swarm = Swarm::default();
        for (cid, name) in [("c1", Some("b")), ("c2", Some("a")), ("c3", Some("a")), ("c0", None)] {
            swarm.propose(1, "share/files", cid);
            if let Some(name) = name {
                swarm.propose(1, &format!("share/info/{cid}"), &info(name, 1));
            }
        }
        let cids: Vec<String> = swarm.report().into_iter().map(|file| file.cid).collect();
        assert_eq!(cids, ["c2", "c3", "c1", "c0"]);
    }
}
