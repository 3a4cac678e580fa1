//! Chooses which own files are proposed when their records would exceed the record quota of this node.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::buckets::{self, LIFETIME, Station};
use crate::index::SharedFile;
use crate::info::Description;
use dcache::{Item, PeerId, Room, Set, Time};
use ipfs::Cid;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Maximum fraction of a signer's record quota that own files may use. Files of other peers may use the same fraction.
/// So neither own files nor files of other peers can use up the whole quota.
const PART: (usize, usize) = (3, 4);
/// Maximum number of own files about which a robot makes single records. Its catalogue lists all of them. With this and
/// [`MOST_OF_OTHERS`], the records of 45 robots fit into the sets of the swarm.
pub(crate) const MOST_OWN: usize = 256;
/// Number of own files that the catalogue does not list yet about which a robot with many files makes single records in
/// any case. A version of the catalogue may wait for minutes, and new files are to be found at once.
const MOST_NEW: usize = 64;
/// Lifetime, in seconds, of statements about own files of a robot with many files. Its catalogue soon states the same. So
/// the records of at most a few times [`MOST_NEW`] files are valid at a time.
const NEW_LIFETIME: u64 = 1800;
/// Maximum number of files of other peers about which a robot states by single records that it keeps them.
pub(crate) const MOST_OF_OTHERS: usize = 512;
/// Number of records about an own file: one each in `share/files`, `share/info/CID` and `share/safe`.
const RECORDS_OF_OWN: usize = 3;
/// Maximum fraction of the free quota that one kind of files may use: of the quota that all other kinds leave free. A
/// kind is a folder and a file extension. A folder of many images thus leaves quota for the logs beside it.
const PART_OF_KIND: (usize, usize) = (7, 8);
/// Maximum fraction that all small files together may use of the quota that large files leave free. The limit per kind
/// alone leaves no quota for a later log: a thousand folders with one small file each are a thousand kinds.
const PART_OF_SMALL: (usize, usize) = (15, 16);
/// Size, in bytes, below which a file is small. A log of a few seconds of driving is larger; images and notes are
/// smaller.
const LARGE: u64 = 1_000_000;
/// Minimum age, in seconds, of a record that is renewed early to free quota.
const JUST_RENEWED: u64 = 3600;

/// Files that are left out because the record quota is used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shortage {
    /// Number of files.
    pub(crate) left_out: usize,
    /// Whether the whole quota is used. Otherwise the rest of it is reserved for other kinds of files.
    pub(crate) is_short: bool,
}

impl Shortage {
    /// Adds a file that exceeds the quota.
    pub(crate) fn add(&mut self, is_short: bool) {
        self.left_out += 1;
        self.is_short |= is_short;
    }
}

/// The properties of an own file that matter for the choice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OwnFile {
    /// Folder and extension of the file, joined by `/`.
    pub(crate) kind: String,
    /// Time of the last change, in nanoseconds since the epoch.
    pub(crate) modified: u64,
    /// Size of the file in bytes.
    pub(crate) size: u64,
}

impl OwnFile {
    /// Describes the file at a path relative to the shared folder.
    pub(crate) fn at(path: &str, modified: u64) -> Self {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        Self { kind: format!("{folder}/{extension}"), modified, size: 0 }
    }

    /// Returns this file with its size in bytes.
    #[must_use]
    pub(crate) fn of_size(self, size: u64) -> Self {
        Self { size, ..self }
    }

    fn is_small(&self) -> bool {
        self.size < LARGE
    }
}

/// Returns the maximum number of own files that `me` may propose.
fn most_own(set: &Set, me: PeerId) -> usize {
    (set.capacity(me) * PART.0 / PART.1 / RECORDS_OF_OWN).min(MOST_OWN)
}

/// Returns the maximum number of files of other peers that `me` may state to keep.
pub(crate) fn most_of_others(set: &Set, me: PeerId) -> usize {
    (set.capacity(me) * PART.0 / PART.1).min(MOST_OF_OTHERS)
}

/// Returns the lifetime of statements about own files of a robot. `has_many` tells whether it shares so many files that its
/// catalogue lists them.
pub(crate) fn lifetime_of_own(has_many: bool) -> u64 {
    if has_many { NEW_LIFETIME } else { LIFETIME }
}

/// Returns the items about which the uploader of a file makes statements while the file is shared.
pub(crate) fn items_of_own(cid: &Cid, description: Option<&Description>) -> Vec<Item> {
    let data = description.and_then(|description| description.to_data().ok()).unwrap_or_default();
    let info = Item { bucket: buckets::info(cid), data };
    vec![Station::Files.item(cid), info, Station::Safe.item(cid)]
}

/// Chooses the own files that are proposed. Files that the swarm already knows come first, so that no choice is
/// reversed. Then come the newest files. `listed` has the files in the catalogue of a robot that shares many files. Some
/// files that it does not list have places beyond the limit.
pub(crate) fn choose(
    own: &BTreeMap<Cid, OwnFile>,
    files: &BTreeMap<Cid, SharedFile>,
    listed: Option<&BTreeSet<Cid>>,
    (set, me, now): (&Set, PeerId, Time),
) -> (Vec<Cid>, Shortage) {
    let (most, mut room) = (most_own(set, me), Room::new(set, me, now));
    let is_unlisted = |cid: &Cid| listed.is_some_and(|listed| !listed.contains(cid));
    let (mut begun, mut new): (Vec<_>, Vec<_>) = own.iter().partition(|(cid, _)| files.contains_key(cid));
    begun.sort_by_cached_key(|(cid, _)| {
        let progress = files.get(cid).map(|file| (file.state, file.holders.len()));
        Reverse((is_unlisted(cid), progress))
    });
    new.sort_by_key(|(_, file)| Reverse(file.modified));
    let mut places_of_new = MOST_NEW.saturating_sub(begun.iter().filter(|(cid, _)| is_unlisted(cid)).count());
    let (mut kinds, mut small): (BTreeMap<&str, usize>, usize) = (BTreeMap::new(), 0);
    let beyond = begun.iter().skip(most).filter(|(cid, _)| listed.is_none_or(|listed| !listed.contains(cid)));
    let mut shortage = Shortage { left_out: beyond.count(), is_short: false };
    let mut chosen = Vec::new();
    for (cid, file) in begun.into_iter().take(most) {
        room.reserve(&items_of_own(cid, files.get(cid).and_then(|file| file.description.as_ref())));
        *kinds.entry(&file.kind).or_default() += 1;
        small += usize::from(file.is_small());
        chosen.push(*cid);
    }
    for (cid, file) in new {
        let of_kind = kinds.get(file.kind.as_str()).copied().unwrap_or_default();
        let of_others = chosen.len() - of_kind;
        let of_large = chosen.len() - small;
        let is_within = !file.is_small() || small < part(most.saturating_sub(of_large), PART_OF_SMALL);
        let may_begin = is_within && of_kind < part(most.saturating_sub(of_others), PART_OF_KIND);
        let has_place = may_begin || is_unlisted(cid) && places_of_new > 0;
        if has_place && room.reserve(&items_of_own(cid, None)) {
            places_of_new = places_of_new.saturating_sub(usize::from(is_unlisted(cid)));
            *kinds.entry(&file.kind).or_default() += 1;
            small += usize::from(file.is_small());
            chosen.push(*cid);
        } else {
            shortage.add(may_begin);
        }
    }
    (chosen, shortage)
}

/// Returns a fraction of a number, rounded up.
fn part(whole: usize, (numerator, denominator): (usize, usize)) -> usize {
    (whole * numerator).div_ceil(denominator)
}

/// Returns the renewal edge: own statements that expire before it are renewed now. Usually it is half a lifetime ahead.
/// When files are left out because the quota is used up, the edge is later. A statement that expires soon can keep the
/// quota of withdrawn statements from being reused, and is then renewed early.
pub(crate) fn renewal_edge(set: &Set, me: PeerId, lifetime: u64, is_short: bool, now: Time) -> Time {
    let half = now.plus(lifetime / 2);
    let stations = [Station::Files, Station::Safe].into_iter().filter(|_| is_short);
    let edge = stations.filter_map(|station| set.spent_until(me, &station.bucket(), now)).max();
    let latest = now.plus(lifetime.saturating_sub(JUST_RENEWED));
    edge.map_or(half, |edge| edge.min(latest).max(half))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buckets::LIFETIME;
    use crate::index::index;
    use crate::index::tests::{NOW, peer, say};
    use dcache::{Kind, Limits, Policy};

    /// Returns a set that takes 40 records of each signer, which is enough for 10 own files.
    fn set() -> Set {
        Set::new(Policy::default(), Limits { stranger: 40, ..Limits::default() })
    }

    fn numbered(number: u64) -> Cid {
        let mut bytes = crate::index::tests::cid().to_bytes();
        let end = bytes.len() - 8;
        bytes[end..].copy_from_slice(&number.to_be_bytes());
        Cid::try_from(bytes.as_slice()).unwrap()
    }

    fn own(files: &[(u64, &str)]) -> BTreeMap<Cid, OwnFile> {
        files.iter().map(|(number, path)| (numbered(*number), OwnFile::at(path, *number))).collect()
    }

    fn numbers(chosen: &[Cid], most: u64) -> Vec<u64> {
        let mut numbers: Vec<u64> = (0..most).filter(|number| chosen.contains(&numbered(*number))).collect();
        numbers.sort_unstable();
        numbers
    }

    #[test]
    fn the_newest_of_too_many_files_are_chosen_and_the_choice_stays() {
        let mut set = set();
        let images: Vec<(u64, &str)> = (0..30).map(|number| (number, "imgs/a.png")).collect();
        let (chosen, shortage) = choose(&own(&images), &BTreeMap::new(), None, (&set, peer(1), NOW));
        let left_out = |left_out, is_short| Shortage { left_out, is_short };
        assert_eq!((numbers(&chosen, 30), shortage), ((21..30).collect(), left_out(21, false)));
        for cid in &chosen {
            say(&mut set, 1, Kind::Propose, Station::Files.item(cid), LIFETIME);
        }
        let files = index(&set, NOW);
        let more: Vec<(u64, &str)> = (0..40).map(|number| (number, "imgs/a.png")).collect();
        let (chosen, shortage) = choose(&own(&more), &files, None, (&set, peer(1), NOW));
        assert_eq!(
            (numbers(&chosen, 40), shortage),
            ((21..30).collect(), left_out(31, false)),
            "files that are proposed already precede newer files"
        );
        let log = [&more[..], &[(50, "new.bag")]].concat();
        let (chosen, _) = choose(&own(&log), &files, None, (&set, peer(1), NOW));
        assert!(chosen.contains(&numbered(50)), "the images leave quota for another kind");
    }

    #[test]
    fn small_files_of_many_folders_leave_quota_for_a_later_large_log() {
        // The set takes 400 records of each signer, which is enough for 100 own files.
        let mut set = Set::new(Policy::default(), Limits { stranger: 400, ..Limits::default() });
        let mut own: BTreeMap<Cid, OwnFile> = (0..200)
            .map(|number| (numbered(number), OwnFile::at(&format!("run{number}/a.txt"), number)))
            .collect();
        let (chosen, shortage) = choose(&own, &BTreeMap::new(), None, (&set, peer(1), NOW));
        assert_eq!((chosen.len(), shortage.left_out), (94, 106));
        for cid in &chosen {
            say(&mut set, 1, Kind::Propose, Station::Files.item(cid), LIFETIME);
        }
        own.insert(numbered(300), OwnFile::at("drive.bag", 0).of_size(LARGE));
        let (chosen, shortage) = choose(&own, &index(&set, NOW), None, (&set, peer(1), NOW));
        assert!(chosen.contains(&numbered(300)), "the large log is chosen although it is the oldest file");
        assert_eq!((chosen.len(), shortage.left_out), (95, 106));
        let large = |number| (numbered(number), OwnFile::at("drive.bag", number).of_size(LARGE));
        let own: BTreeMap<Cid, OwnFile> = (0..200).map(large).collect();
        let (chosen, _) = choose(&own, &BTreeMap::new(), None, (&set, peer(2), NOW));
        assert_eq!(chosen.len(), 88, "the rest is for files of other kinds");
    }

    #[test]
    fn files_that_the_catalogue_does_not_list_yet_have_places_beyond_the_limit() {
        let mut set = Set::default();
        let many = MOST_OWN as u64 + 100;
        let files: Vec<(u64, &str)> = (0..many).map(|number| (number, "a.bag")).collect();
        let (mut files, listed) = (own(&files), own(&files).into_keys().collect());
        for cid in files.keys().take(MOST_OWN) {
            say(&mut set, 1, Kind::Propose, Station::Files.item(cid), LIFETIME);
        }
        files.extend(own(&(1000..1100).map(|number| (number, "a.bag")).collect::<Vec<_>>()));
        let news = |set: &Set, listed: &BTreeSet<Cid>| {
            let in_motion =
                files.iter().filter(|(cid, _)| index(set, NOW).contains_key(*cid) || !listed.contains(*cid));
            let in_motion = in_motion.map(|(cid, file)| (*cid, file.clone())).collect();
            let (chosen, shortage) = choose(&in_motion, &index(set, NOW), Some(listed), (set, peer(1), NOW));
            let new: BTreeSet<Cid> = chosen.into_iter().filter(|cid| !listed.contains(cid)).collect();
            (new, shortage.left_out)
        };
        let (new, left_out) = news(&set, &listed);
        assert_eq!((new.len(), left_out), (MOST_NEW, 100 - MOST_NEW));
        assert!(new.contains(&numbered(1099)), "the newest come first");
        for cid in &new {
            say(&mut set, 1, Kind::Propose, Station::Files.item(cid), NEW_LIFETIME);
        }
        assert_eq!(news(&set, &listed), (new, 100 - MOST_NEW), "the places are taken");
        let all: BTreeSet<Cid> = files.keys().copied().collect();
        assert_eq!(news(&set, &all), (BTreeSet::new(), 0), "the catalogue lists all files now");
    }

    #[test]
    fn files_of_other_peers_leave_quota_for_own_files() {
        let mut set = set();
        for number in 100..130 {
            say(&mut set, 1, Kind::Propose, Station::Safe.item(&numbered(number)), LIFETIME);
        }
        assert_eq!(most_of_others(&set, peer(1)), 30);
        let (chosen, shortage) = choose(
            &own(&[(1, "a.bag"), (2, "b.bag"), (3, "c.bag"), (4, "d.bag")]),
            &BTreeMap::new(),
            None,
            (&set, peer(1), NOW),
        );
        assert_eq!(
            (numbers(&chosen, 9), shortage),
            (vec![2, 3, 4], Shortage { left_out: 1, is_short: true })
        );
    }

    #[test]
    fn statements_are_renewed_early_only_where_this_frees_quota() {
        let mut set = set();
        let edge = |set: &Set, is_short, now| renewal_edge(set, peer(1), LIFETIME, is_short, now);
        let half = NOW.plus(LIFETIME / 2);
        assert_eq!(edge(&set, true, NOW), half);
        say(&mut set, 1, Kind::Dismiss, Station::Safe.item(&numbered(1)), LIFETIME - 7200);
        assert_eq!(edge(&set, false, NOW), half);
        assert_eq!(edge(&set, true, NOW), NOW.plus(LIFETIME - 7200));
        say(&mut set, 1, Kind::Dismiss, Station::Safe.item(&numbered(2)), LIFETIME);
        assert_eq!(
            edge(&set, true, NOW),
            NOW.plus(LIFETIME - JUST_RENEWED),
            "a new record is not renewed again at once"
        );
    }
}
