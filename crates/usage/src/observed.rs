//! The facts of this robot from which a report is made, as values of the table.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::fields::{self, Field, class};
use dcache::{BucketPath, PeerId, Set, Time, buckets};
use serde::Deserialize;

/// Number of own items of one bucket that are read.
const MAX_READ: usize = 8;
/// Number of robots, and of files, that are counted. The largest class is reached far below it.
const MAX_COUNTED: usize = 20_000;
/// Limits of the classes of the number of robots.
const ROBOTS: [u64; 4] = [1, 5, 20, 100];
/// Limits of the classes of the number of shared files.
const LOGS: [u64; 3] = [0, 10, 100];

/// Facts that do not come from the set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LocalPart {
    /// Version of dt-swarm.
    pub(crate) version: String,
    /// Whether the swarm has a key.
    pub(crate) has_key: bool,
}

/// The facts of this robot at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Observed {
    profile: OwnProfile,
    local: LocalPart,
    has_roots: bool,
    robots: u64,
    logs: u64,
    is_keeping: bool,
    is_uploading: bool,
}

/// The part of the robot's profile that a report uses. The profile also has the device ID, which is not read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct OwnProfile {
    #[serde(rename = "type")]
    robot_type: Option<String>,
    configuration: Option<String>,
    hardware: Option<String>,
    distro: Option<String>,
}

/// The part of the terms about uploads that a report uses.
#[derive(Deserialize)]
struct OwnTerms {
    to: Option<String>,
}

/// The part of the offer to keep files that a report uses.
#[derive(Deserialize)]
struct OwnOffer {
    bytes: u64,
}

impl Observed {
    /// Reads the facts from the set.
    pub(crate) fn of(set: &Set, me: PeerId, now: Time, local: &LocalPart) -> Self {
        let profile = first(set, &buckets::ROBOT.of(me), now).unwrap_or_default();
        let terms: Option<OwnTerms> = first(set, &buckets::UPLOAD_TERMS.of(me), now);
        let offer: Option<OwnOffer> = first(set, &buckets::KEEPS.of(me), now);
        Self {
            profile,
            local: local.clone(),
            has_roots: !set.policy().roots().is_empty(),
            robots: count(set.bucket(&buckets::PEER.path(), now).take(MAX_COUNTED)),
            logs: shared_files(set, me, now),
            is_keeping: offer.is_some_and(|offer| offer.bytes > 0),
            is_uploading: terms.is_some_and(|terms| terms.to.is_some()),
        }
    }

    /// Returns the value of a field. Fields about the whole week have no value here.
    pub(crate) fn value(&self, field: &'static Field) -> Option<&'static str> {
        let yes_no = |is_so| field.value(if is_so { "yes" } else { "no" });
        match field.name {
            "robot_type" => Some(field.known(self.profile.robot_type.as_deref())),
            "configuration" => Some(field.known(self.profile.configuration.as_deref())),
            "hardware" => Some(field.known(self.profile.hardware.as_deref())),
            "distribution" => Some(field.known(self.profile.distro.as_deref())),
            "version" => Some(field.known(Some(&self.local.version))),
            "swarm" => field.value(self.swarm()),
            "robots" => Some(class(field.values, &ROBOTS, self.robots)),
            "logs" => Some(class(field.values, &LOGS, self.logs)),
            "keeps" => yes_no(self.is_keeping),
            "uploads" => yes_no(self.is_uploading),
            _ => None,
        }
    }

    fn swarm(&self) -> &'static str {
        match (self.local.has_key, self.has_roots) {
            (true, _) => "keyed",
            (false, true) => "roots",
            (false, false) => "open",
        }
    }
}

/// Returns the position of a value in its field. Values of fields with classes are in the order of their size.
pub(crate) fn rank(field: &Field, value: &str) -> usize {
    field.values.iter().position(|known| *known == value).unwrap_or_default()
}

/// Returns whether a report has the largest value of the week for this field, instead of the last one.
pub(crate) fn is_peak(field: &Field) -> bool {
    matches!(field.name, "robots" | "logs")
}

fn count(items: impl Iterator) -> u64 {
    u64::try_from(items.count()).unwrap_or(u64::MAX)
}

/// Returns the first item of an own bucket that can be read.
fn first<T: for<'a> Deserialize<'a>>(set: &Set, bucket: &BucketPath, now: Time) -> Option<T> {
    let stated = set.bucket(bucket, now).take(MAX_READ);
    stated.filter_map(|view| serde_json::from_str(view.item.data.as_str()).ok()).next()
}

/// Returns the number of files that a robot shares: those in records, or those that the record of its catalogue states.
fn shared_files(set: &Set, me: PeerId, now: Time) -> u64 {
    let is_own = |view: &dcache::View<'_>| view.proposals.iter().any(|record| record.signer() == me);
    let in_records = count(set.bucket(&buckets::SHARE_FILES.path(), now).take(MAX_COUNTED).filter(is_own));
    let catalogs = set.bucket(&buckets::CATALOG.of(me), now).take(MAX_READ);
    // The data is the CID, the number of files, and the size.
    let files = |view: dcache::View<'_>| view.item.data.as_str().split(' ').nth(1)?.parse::<u64>().ok();
    catalogs.filter_map(files).max().unwrap_or_default().max(in_records)
}

/// Returns the value of a field that describes the time of use.
pub(crate) fn time_of_use(field: &'static Field, hours: u64, days: u64) -> Option<&'static str> {
    match field.name {
        "days" => Some(class(field.values, &[1, 3], days)),
        "hours" => Some(class(field.values, &[5, 20, 60], hours)),
        _ => None,
    }
}

/// Returns a value for a field of which nothing is known: the one that says so, or the smallest class.
pub(crate) fn nothing_known(field: &'static Field) -> &'static str {
    let unknown = field.value(fields::UNKNOWN);
    unknown.or(field.values.first().copied()).unwrap_or(fields::OTHER)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::fields::FIELDS;
    use dcache::{Data, End, Item, Keypair, Kind, Limits, Policy, Record, Statement, Validity};
    use proptest::prelude::*;

    pub(crate) const NOW: Time = Time(1_796_050_800);

    /// Returns the set of an open swarm, without limits.
    pub(crate) fn open_swarm() -> Set {
        Set::new(Policy::default(), Limits::NONE)
    }

    /// Makes the peer with this key state an item.
    pub(crate) fn say(set: &mut Set, key: &Keypair, bucket: BucketPath, data: &str) {
        let item = Item { bucket, data: Data::new(data).unwrap() };
        let statement = Statement::new(Kind::Propose, item, Validity::starting(NOW, 4_000_000)).unwrap();
        let sequence = set.latest_sequence(key.peer_id()) + 1;
        set.admit_verified(Record::sign(statement, key, sequence, End::default()), NOW).unwrap();
    }

    fn value(observed: &Observed, name: &str) -> &'static str {
        observed.value(fields::field(name).unwrap().1).unwrap()
    }

    #[test]
    fn a_robot_is_described_by_rows_of_the_table() {
        let (me, other) = (Keypair::from_seed([1; 32]), Keypair::from_seed([2; 32]));
        let id = me.peer_id();
        let mut set = open_swarm();
        let profile =
            r#"{"type":"duckiebot","configuration":"DB99","hardware":"jetson_nano","device":"00044be5a1b2"}"#;
        say(&mut set, &me, buckets::ROBOT.of(id), profile);
        say(&mut set, &me, buckets::UPLOAD_TERMS.of(id), r#"{"allow":true,"to":"s3://secret/place"}"#);
        say(&mut set, &me, buckets::KEEPS.of(id), r#"{"copies":3,"bytes":0}"#);
        for key in [&me, &other] {
            say(&mut set, key, buckets::PEER.path(), &key.peer_id().to_string());
        }
        let cid = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
        say(&mut set, &me, buckets::SHARE_FILES.path(), cid);
        let local = LocalPart { version: "0.1.0".to_owned(), has_key: false };
        let observed = Observed::of(&set, id, NOW, &local);
        for (name, expected) in [
            ("robot_type", "duckiebot"),
            ("configuration", "other"),
            ("hardware", "jetson_nano"),
            ("distribution", "unknown"),
            ("version", "0.1.0"),
            ("swarm", "open"),
            ("robots", "2-5"),
            ("logs", "1-10"),
            ("keeps", "no"),
            ("uploads", "yes"),
        ] {
            assert_eq!(value(&observed, name), expected, "{name}");
        }
        say(&mut set, &me, buckets::CATALOG.of(id), &format!("{cid} 500 70000"));
        assert_eq!(value(&Observed::of(&set, id, NOW, &local), "logs"), "over 100");
        let keyed = LocalPart { version: "0.1.0-test".to_owned(), has_key: true };
        let observed = Observed::of(&set, id, NOW, &keyed);
        assert_eq!((value(&observed, "version"), value(&observed, "swarm")), ("other", "keyed"));
    }

    #[test]
    fn every_field_has_a_source() {
        for field in FIELDS {
            let sources = [Observed::default().value(field), time_of_use(field, 1, 1)];
            assert_eq!(sources.iter().flatten().count(), 1, "{}", field.name);
            assert!(field.values.contains(&nothing_known(field)));
        }
    }

    proptest! {
        #[test]
        fn no_text_of_the_robot_gets_into_a_report(texts in proptest::collection::vec("(?s).{0,60}", 5)) {
            let me = Keypair::from_seed([1; 32]);
            let mut set = open_swarm();
            let profile = serde_json::json!({
                "type": texts[0], "configuration": texts[1], "hardware": texts[2], "distro": texts[3],
            });
            say(&mut set, &me, buckets::ROBOT.of(me.peer_id()), &profile.to_string());
            let local = LocalPart { version: texts[4].clone(), has_key: false };
            let observed = Observed::of(&set, me.peer_id(), NOW, &local);
            for field in FIELDS {
                prop_assert!(observed.value(field).is_none_or(|value| field.values.contains(&value)));
            }
        }
    }
}
