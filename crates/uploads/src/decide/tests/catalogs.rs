//! Tests of the decider with files and receipts that only catalogues list.

use super::*;
use logs::{CatalogEntries, CatalogEntry, CatalogVersion, Precedence, StatedCatalog};

/// Returns the CID of the file with this number. Its digest is as random as a true one.
fn numbered(number: u32) -> Cid {
    let mut bytes = cid(0).to_bytes();
    let begin = bytes.len() - 32;
    let digest = Digest::of(&number.to_be_bytes());
    for (byte, hashed) in bytes[begin..].iter_mut().zip(digest.as_bytes().iter().cycle()) {
        *byte = *hashed;
    }
    Cid::try_from(bytes.as_slice()).unwrap()
}

/// Returns the entries of a robot that shares these files of 100 bytes.
fn shared(seed: u8, numbers: std::ops::Range<u32>) -> CatalogEntries {
    let (filename, uploader) = ("a.bag".to_owned(), peer(seed));
    let description =
        Description { filename, path: None, size: 100, changed: NOW, uploader, recording: None };
    let info = Some(description.to_data().unwrap());
    let entry = CatalogEntry { shares: true, info, ..CatalogEntry::default() };
    numbers.map(|number| (numbered(number), entry.clone())).collect()
}

/// Returns the entries of a node with these receipts.
fn uploaded(done: &ReceiptMap) -> CatalogEntries {
    let entry =
        |receipt: &Arc<Receipt>| CatalogEntry { receipt: Some(receipt.clone()), ..Default::default() };
    done.iter().map(|(cid, receipt)| (*cid, entry(receipt))).collect()
}

/// Makes a robot publish a catalogue, and adds it to `catalogs`.
fn list(set: &mut Set, catalogs: &Catalogs, seed: u8, entries: CatalogEntries) -> Catalogs {
    let root = numbered(1_000_000 + u32::from(seed) + entries.len() as u32);
    let stated = StatedCatalog { root, files: entries.len(), bytes: 9 };
    let data = Data::new(&stated.to_string()).unwrap();
    propose(set, seed, Item { bucket: buckets::CATALOG.of(peer(seed)), data });
    let version = CatalogVersion { root, sequence: set.latest_sequence(peer(seed)) };
    catalogs.with(peer(seed), version, Precedence::Member, entries).unwrap()
}

fn a_receipt() -> Receipt {
    Receipt { place: format!("{STORAGE}/logs/a"), time: NOW, bytes: 100 }
}

/// A node that fetches and uploads at once what its decider names, and counts the uploads of each file.
struct Node {
    decider: Uploading,
    done: ReceiptMap,
    carried: BTreeMap<Cid, CarriedFile>,
    uploads: BTreeMap<Cid, usize>,
    /// Largest number of files that were carried at a time.
    most_carried: usize,
    now: Time,
}

impl Node {
    fn new(seed: u8, rules: UploadRules, catalogs: &Catalogs) -> Self {
        let mut decider = Uploading::new(peer(seed), rules);
        decider.set_catalogs(Arc::new(catalogs.clone()));
        let (done, carried, uploads) = (ReceiptMap::default(), BTreeMap::new(), BTreeMap::new());
        Self { decider, done, carried, uploads, most_carried: 0, now: NOW }
    }

    fn steps(&mut self, set: &Set, number: usize) {
        for _ in 0..number {
            self.step(set);
        }
    }

    /// Decides, and carries the decision out. Returns whether the decider wants to decide again soon.
    fn step(&mut self, set: &Set) -> bool {
        self.decider.set_done(self.done.clone());
        self.decider.set_carried(self.carried.clone());
        self.decider.set_kept(kept(self.carried.keys().copied()));
        let decision = self.decider.decide(set, Moment::certain(self.now));
        for action in decision.actions {
            match action {
                Action::Upload(file) => {
                    *self.uploads.entry(file.cid).or_default() += 1;
                    self.done.insert(file.cid, a_receipt());
                }
                Action::Carry(cid, file) => drop(self.carried.insert(cid, file)),
                Action::Release(cid) => drop(self.carried.remove(&cid)),
                Action::Cancel(..) | Action::Forget(_) => panic!("{action:?}"),
            }
        }
        self.most_carried = self.most_carried.max(self.carried.len());
        self.now = self.now.plus(2);
        decision.wake.is_some_and(|wake| wake <= self.now)
    }
}

#[test]
fn all_files_of_a_catalogue_are_uploaded_once_and_not_again_after_a_restart() {
    let mut set = swarm();
    permit(&mut set, ROBOT, true, None);
    let catalogs = list(&mut set, &Catalogs::default(), ROBOT, shared(ROBOT, 0..2000));
    let rules = UploadRules { max_carried: 30_000, ..uploader_rules() };
    let mut node = Node::new(1, rules.clone(), &catalogs);
    node.steps(&set, 60);
    assert_eq!((node.uploads.len(), node.done.len()), (2000, 2000));
    assert!(node.uploads.values().all(|times| *times == 1), "no file is uploaded twice");
    assert!(node.most_carried <= 300, "{} files of 100 bytes", node.most_carried);
    assert!(node.carried.is_empty(), "{} files stay", node.carried.len());
    assert!(!node.step(&set), "nothing is left to search");
    let mut restarted = Node { done: node.done.clone(), ..Node::new(1, rules.clone(), &catalogs) };
    // A node that lost its disk reads its receipts in its catalogue, and so does another uploader.
    let catalogs = list(&mut set, &catalogs, 1, uploaded(&node.done));
    let mut others = [Node::new(1, rules.clone(), &catalogs), Node::new(11, rules, &catalogs)];
    for node in others.iter_mut().chain([&mut restarted]) {
        node.steps(&set, 20);
        assert!(node.uploads.is_empty() && node.carried.is_empty());
    }
}

#[test]
fn a_mule_carries_files_of_a_catalogue_within_its_limit_until_another_catalogue_has_their_receipts() {
    let mut set = swarm();
    permit(&mut set, ROBOT, true, None);
    let catalogs = list(&mut set, &Catalogs::default(), ROBOT, shared(ROBOT, 0..2000));
    let rules = UploadRules { max_carried: 50_000, ..mule_rules() };
    let mut mule = Node::new(11, rules, &catalogs);
    mule.steps(&set, 20);
    assert_eq!((mule.uploads.len(), mule.carried.len()), (0, 500), "500 files of 100 bytes");
    let first: BTreeSet<Cid> = mule.carried.keys().copied().collect();
    let done = first.iter().map(|cid| (*cid, a_receipt())).collect();
    let catalogs = list(&mut set, &catalogs, 1, uploaded(&done));
    mule.decider.set_catalogs(Arc::new(catalogs));
    mule.steps(&set, 20);
    assert_eq!(mule.carried.len(), 500, "others take their places");
    assert!(mule.carried.keys().all(|cid| !first.contains(cid)));
}

#[test]
fn the_few_files_without_a_receipt_are_found_among_many_in_little_time() {
    let mut set = swarm();
    permit(&mut set, ROBOT, true, None);
    let catalogs = list(&mut set, &Catalogs::default(), ROBOT, shared(ROBOT, 0..20_000));
    let done: ReceiptMap = (100..20_000).map(|number| (numbered(number), a_receipt())).collect();
    let catalogs = list(&mut set, &catalogs, 11, uploaded(&done));
    let mut node = Node::new(1, uploader_rules(), &catalogs);
    let mut decisions = 1;
    while node.step(&set) {
        decisions += 1;
        assert!(decisions < 30, "the search does not end");
    }
    // The node carries 10 files of 100 bytes at a time.
    node.steps(&set, 15);
    let expected: BTreeSet<Cid> = (0..100).map(numbered).collect();
    assert_eq!(node.uploads.keys().copied().collect::<BTreeSet<_>>(), expected);
    assert!(node.uploads.values().all(|times| *times == 1));
}

#[test]
fn a_catalogue_without_permission_costs_no_places_and_is_searched_when_its_robot_permits() {
    let mut set = swarm();
    permit(&mut set, 7, true, None);
    let catalogs = list(&mut set, &Catalogs::default(), ROBOT, shared(ROBOT, 0..3000));
    let catalogs = list(&mut set, &catalogs, 7, shared(7, 5000..5010));
    let mut node = Node::new(1, UploadRules { max_carried: 1_000_000, ..uploader_rules() }, &catalogs);
    while node.step(&set) {}
    node.steps(&set, 3);
    assert_eq!(node.uploads.len(), 10);
    permit(&mut set, ROBOT, true, None);
    assert!(node.step(&set), "the search begins anew");
    node.steps(&set, 60);
    assert_eq!(node.uploads.len(), 3010);
}

#[test]
fn files_that_cannot_be_fetched_do_not_block_those_of_others() {
    let mut set = swarm();
    for seed in [ROBOT, 7] {
        permit(&mut set, seed, true, None);
    }
    let catalogs = list(&mut set, &Catalogs::default(), ROBOT, shared(ROBOT, 0..600));
    let mut decider = Uploading::new(peer(1), UploadRules { max_carried: 10_000, ..uploader_rules() });
    decider.set_catalogs(Arc::new(catalogs.clone()));
    let mut carried: BTreeMap<Cid, CarriedFile> = BTreeMap::new();
    let mut step = |decider: &mut Uploading, set: &Set, now| {
        decider.set_carried(carried.clone());
        for action in decider.decide(set, Moment::certain(now)).actions {
            match action {
                Action::Carry(cid, file) => drop(carried.insert(cid, file)),
                Action::Release(cid) => drop(carried.remove(&cid)),
                _ => {}
            }
        }
        carried.clone()
    };
    // Robot 2 is away. Nothing is fetched.
    for number in 0..60 {
        step(&mut decider, &set, NOW.plus(number * 90));
    }
    let catalogs = list(&mut set, &catalogs, 7, shared(7, 5000..5010));
    decider.set_catalogs(Arc::new(catalogs));
    let mut seen = BTreeSet::new();
    for number in 60..180 {
        let carried = step(&mut decider, &set, NOW.plus(number * 90));
        assert!(carried.len() <= 100, "{}", carried.len());
        seen.extend(carried.into_iter().filter(|(_, file)| file.uploader == peer(7)).map(|(cid, _)| cid));
    }
    assert_eq!(seen.len(), 10, "all files of robot 7 were to be fetched within hours");
}

#[test]
fn only_the_newest_receipts_are_records_and_receipts_of_listed_files_stay() {
    let mut set = swarm();
    let catalogs = list(&mut set, &Catalogs::default(), ROBOT, shared(ROBOT, 0..1000));
    let at = |number: u32| Receipt { time: NOW.plus(u64::from(number)), ..a_receipt() };
    let done: ReceiptMap = (0..2000).map(|number| (numbered(number), at(number))).collect();
    let mut uploading = Uploading::new(peer(1), uploader_rules());
    uploading.set_catalogs(Arc::new(catalogs));
    uploading.set_done(done);
    let decision = uploading.decide(&set, Moment::certain(NOW));
    let stated: BTreeSet<String> = decision.statements.items().map(|item| item.bucket.to_string()).collect();
    let receipts = |number| stated.contains(&logs::receipts_of(&numbered(number)).to_string());
    assert!((1744..2000).all(receipts) && !(0..1744).any(receipts));
    let mut lost: BTreeSet<Cid> = BTreeSet::new();
    let mut forget = |uploading: &mut Uploading| {
        (0..16).for_each(|_| lost.extend(forgotten(uploading, &set, NOW)));
        lost.clone()
    };
    assert!(forget(&mut uploading).is_empty(), "all were examined, but not for long");
    uploading.stopwatch.elapsed += 30 * 24 * 3600;
    assert_eq!(forget(&mut uploading), (1000..2000).map(numbered).collect());
}

#[test]
fn too_many_receipts_are_forgotten_but_not_soon_after_the_start() {
    let set = swarm();
    let at = |number: u32| Receipt { time: Time(u64::from(number)), ..a_receipt() };
    let done: ReceiptMap = (0..50_010).map(|number| (numbered(number), at(number))).collect();
    let mut uploading = Uploading::new(peer(1), uploader_rules());
    uploading.set_done(done);
    assert_eq!(forgotten(&mut uploading, &set, NOW), []);
    uploading.stopwatch.elapsed += 3600;
    let first: BTreeSet<Cid> = (0..1010).map(numbered).collect();
    assert_eq!(forgotten(&mut uploading, &set, NOW).into_iter().collect::<BTreeSet<_>>(), first);
}
