//! A publisher with its keys, and a node that takes metadata from files in memory.

#![allow(dead_code, unreachable_pub, reason = "each test program uses a part of this")]

use dcache::Time;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use tuf::edit::{EditError, KeySet, NewTarget, Repository, SecretKey, Signer as _, TopRole};
use tuf::{
    Changes, FileName, Now, Refresh, Role, Saved, Target, TargetPath, TargetsRole, Verified, VerifyError,
};

/// The present time of the tests.
pub const NOW: Time = Time(1_800_000_000);
pub const DAY: u64 = 86_400;
/// The time, if it is known.
pub const WITH_CLOCK: Now = Now::Known(NOW);
/// The time is unknown, as on a robot that never knew it.
pub const WITHOUT_CLOCK: Now = Now::AtLeast(Time(0));
pub const BOTH: [Now; 2] = [WITH_CLOCK, WITHOUT_CLOCK];

/// Files of a mirror.
pub type Files = BTreeMap<String, Vec<u8>>;

/// A publisher. Its keys are numbered.
#[derive(Clone, Debug)]
pub struct Publisher {
    pub repository: Repository,
    /// Keys that sign now.
    pub signers: Vec<u8>,
    /// All files that were published.
    pub files: Files,
    /// Time until which new timestamps and snapshots are valid.
    pub online_until: Time,
}

pub fn key(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number; 32])
}

pub fn keys(numbers: &[u8], threshold: usize) -> KeySet {
    KeySet::new(numbers.iter().map(|number| key(*number).public_key()), threshold).unwrap()
}

pub fn path(text: &str) -> TargetPath {
    text.parse().unwrap()
}

pub fn role(name: &str) -> TargetsRole {
    TargetsRole::Delegated(name.parse().unwrap())
}

pub fn content(text: &str) -> NewTarget {
    let sha256 = Sha256::digest(text.as_bytes()).into();
    NewTarget { length: text.len() as u64, sha256, cid: None, custom: serde_json::Map::new() }
}

pub fn name(text: &str) -> String {
    text.to_owned()
}

impl Publisher {
    /// Root keys 1, 2 and 3, of which two must sign; target keys 4 and 5, both of which must sign; 6 for snapshots, 7 for
    /// timestamps. Publishes a first version with one target, `app`.
    pub fn new() -> Self {
        Self::with_keys(&[1, 2, 3], &[4, 5], 6, 7)
    }

    pub fn with_keys(root: &[u8], targets: &[u8], snapshot: u8, timestamp: u8) -> Self {
        let sets = BTreeMap::from([
            (TopRole::Root, keys(root, 2)),
            (TopRole::Targets, keys(targets, targets.len())),
            (TopRole::Snapshot, keys(&[snapshot], 1)),
            (TopRole::Timestamp, keys(&[timestamp], 1)),
        ]);
        let repository = Repository::create(&sets, NOW.days(365)).unwrap();
        let signers = [root, targets, &[snapshot, timestamp]].concat();
        let online_until = NOW.days(7);
        let mut publisher = Self { repository, signers, files: Files::new(), online_until };
        publisher.set("app", "version 1");
        publisher.publish();
        publisher
    }

    pub fn set(&mut self, target: &str, text: &str) {
        self.repository.set_target(&TargetsRole::Top, &path(target), content(text)).unwrap();
    }

    /// Signs with all keys, makes a snapshot and a timestamp, and publishes.
    pub fn publish(&mut self) {
        self.try_publish().unwrap();
    }

    pub fn try_publish(&mut self) -> Result<(), EditError> {
        self.sign()?;
        self.repository.make_snapshot(self.online_until)?;
        self.sign()?;
        self.publish_timestamp()
    }

    /// Publishes with a new timestamp, but without a new snapshot.
    pub fn publish_timestamp(&mut self) -> Result<(), EditError> {
        self.repository.make_timestamp(self.online_until)?;
        self.sign()?;
        for file in self.repository.publish()? {
            self.files.insert(file.name.to_string(), file.content);
        }
        Ok(())
    }

    pub fn sign(&mut self) -> Result<(), EditError> {
        for number in self.signers.clone() {
            self.repository.sign(&key(number))?;
        }
        Ok(())
    }

    /// Publishes another version of `app`.
    pub fn release(&mut self, text: &str) -> Files {
        self.set("app", text);
        self.publish();
        self.files.clone()
    }

    /// Publishes a new root and a new timestamp.
    pub fn rotate(&mut self, role: TopRole, numbers: &[u8], threshold: usize) {
        self.repository.set_keys(role, &keys(numbers, threshold)).unwrap();
        self.signers.extend(numbers);
        self.publish();
    }

    pub fn root(&self, version: u64) -> Vec<u8> {
        self.files[&format!("{version}.root.json")].clone()
    }

    pub fn node(&self) -> Node {
        Node { bootstrap: self.root(1), saved: Saved::new() }
    }
}

/// Days after a time.
pub trait Days {
    fn days(self, days: u64) -> Time;
}

impl Days for Time {
    fn days(self, days: u64) -> Time {
        self.plus(days * DAY)
    }
}

/// A node, with its metadata store in memory.
#[derive(Clone, Debug)]
pub struct Node {
    pub bootstrap: Vec<u8>,
    pub saved: Saved,
}

impl Node {
    pub fn keep(&mut self, changes: Changes) {
        self.saved.extend(changes);
    }

    pub fn refresh(&mut self, mirror: &Files, now: Now) -> Result<Verified, VerifyError> {
        let mut refresh = Refresh::begin(&self.bootstrap, self.saved.clone(), now)?;
        while let Some(request) = refresh.request() {
            let changes = refresh.supply(mirror.get(request.name.as_ref()).map(Vec::as_slice))?;
            self.keep(changes);
        }
        refresh.finish()
    }

    pub fn offline(&self, now: Now) -> Result<Verified, VerifyError> {
        Refresh::begin(&self.bootstrap, self.saved.clone(), now)?.offline()
    }

    pub fn find_in(
        &mut self,
        verified: &mut Verified,
        mirror: &Files,
        target: &str,
        now: Now,
    ) -> Result<Option<Target>, VerifyError> {
        let mut search = verified.search(path(target), now)?;
        while let Some(request) = search.request() {
            let changes = search.supply(mirror.get(request.name.as_ref()).map(Vec::as_slice))?;
            self.saved.extend(changes);
        }
        Ok(search.finish())
    }

    pub fn find(&mut self, mirror: &Files, target: &str, now: Now) -> Result<Option<Target>, VerifyError> {
        let mut verified = self.refresh(mirror, now)?;
        self.find_in(&mut verified, mirror, target, now)
    }

    /// Returns the target `app` of a mirror that must be accepted.
    pub fn app(&mut self, mirror: &Files, now: Now) -> Target {
        self.find(mirror, "app", now).unwrap().unwrap()
    }

    /// Returns the reason why a mirror is refused. The files that it trusted before stay trusted.
    pub fn refuses(&mut self, mirror: &Files, now: Now) -> VerifyError {
        self.refresh(mirror, now).unwrap_err()
    }
}

/// Changes a member of a file that an attacker signs again with these keys.
pub fn forge(file: &[u8], signers: &[u8], change: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
    let mut value: serde_json::Value = serde_json::from_slice(file).unwrap();
    change(&mut value["signed"]);
    let bytes = tuf::canonical::canonical(&value["signed"]).unwrap();
    let sign = |number: &u8| {
        let signature: String = key(*number).sign(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        serde_json::json!({"keyid": key(*number).public_key().id(), "sig": signature})
    };
    value["signatures"] = signers.iter().map(sign).collect();
    serde_json::to_vec(&value).unwrap()
}

/// Makes the entry of a file, for a forged snapshot or timestamp.
pub fn entry(file: &[u8]) -> serde_json::Value {
    let value: serde_json::Value = serde_json::from_slice(file).unwrap();
    serde_json::json!({"version": value["signed"]["version"]})
}

pub fn root_name(version: u64) -> String {
    FileName::versioned(&Role::Root, version).to_string()
}
