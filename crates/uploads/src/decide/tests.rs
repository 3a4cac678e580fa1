//! Tests of the decider. In the swarm of these tests, peer 1 is the root, and so are peers 11 and 12, which upload as well.

mod catalogs;

use super::*;
use dcache::{Key, Keypair, Limits, Policy, Record, Statement, Statements, Validity};
use logs::buckets::{Station, info};
use logs::{Description, Receipt};
use std::num::NonZeroU8;
use std::sync::LazyLock;

pub(crate) const NOW: Time = Time(1_800_000_000);
/// A robot without a role.
const ROBOT: u8 = 2;
const STORAGE: &str = "s3://logs/swarm";

pub(crate) fn peer(seed: u8) -> PeerId {
    Keypair::from_seed([seed; 32]).peer_id()
}

pub(crate) fn cid(number: u8) -> Cid {
    let mut bytes = logs::buckets::parse("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku")
        .unwrap()
        .to_bytes();
    if let Some(last) = bytes.last_mut() {
        *last = number;
    }
    Cid::try_from(bytes.as_slice()).unwrap()
}

/// Catalogues of no robot.
static NONE: LazyLock<Catalogs> = LazyLock::new(Catalogs::default);

/// Returns the statements in no catalogues that count.
pub(crate) fn counting(set: &Set) -> Counting<'_> {
    Counting::new(set, &NONE, None, NOW)
}

fn kept(cids: impl IntoIterator<Item = Cid>) -> Arc<BTreeSet<Cid>> {
    Arc::new(cids.into_iter().collect())
}

/// Returns the empty set of a swarm with roles.
pub(crate) fn swarm() -> Set {
    let roots = [1, 11, 12].map(peer).into();
    Set::new(Policy::new(roots, Vec::new(), NonZeroU8::MIN), Limits::default())
}

/// Publishes statements as a daemon does, but also those that do not count. Returns their number.
pub(crate) fn publish(set: &mut Set, seed: u8, statements: Statements, now: Time) -> usize {
    let signable: Vec<Statement> = statements.into_signable().unwrap();
    let number = signable.len();
    for statement in signable {
        let key = Key { item: statement.item().clone(), signer: peer(seed) };
        let former = set.get(&key).map(Record::keep).unwrap_or_default();
        let sequence = set.latest_sequence(peer(seed)) + 1;
        let record = Record::sign(statement, &Keypair::from_seed([seed; 32]), sequence, former);
        // A set may refuse a record that does not count.
        let _ = set.admit_verified(record, now);
    }
    number
}

fn propose(set: &mut Set, seed: u8, item: Item) {
    let mut statements = Statements::new();
    statements.propose(item, Validity::stated(NOW, 7 * 24 * 3600));
    publish(set, seed, statements, NOW);
}

fn permit(set: &mut Set, seed: u8, is_allowed: bool, destination: Option<&str>) {
    let terms = Terms { is_allowed, destination: destination.map(str::to_owned) };
    let former = state_terms(&terms, false, (set, peer(seed)), NOW);
    publish(set, seed, former, NOW);
    let data = Data::new(&serde_json::to_string(&terms).unwrap()).unwrap();
    propose(set, seed, Item { bucket: buckets::UPLOAD_TERMS.of(peer(seed)), data });
}

/// Makes a robot share the file with this number.
fn share(set: &mut Set, seed: u8, number: u8) {
    let (filename, uploader) = (format!("{number}.bag"), peer(seed));
    let description =
        Description { filename, path: None, size: 100, changed: NOW, uploader, recording: None };
    propose(set, seed, Station::Files.item(&cid(number)));
    let data = description.to_data().unwrap();
    propose(set, seed, Item { bucket: info(&cid(number)), data });
}

fn receipt(number: u8) -> Receipt {
    Receipt { place: format!("{STORAGE}/logs/{}", cid(number)), time: NOW, bytes: 100 }
}

fn uploader_rules() -> UploadRules {
    UploadRules { destination: Some(STORAGE.to_owned()), max_carried: 1000, ..UploadRules::default() }
}

fn mule_rules() -> UploadRules {
    UploadRules { carries: true, max_carried: 1000, ..UploadRules::default() }
}

/// Returns the uploads, the carried files and the releases of a decision.
fn decide(uploading: &mut Uploading, set: &Set, now: Time) -> (Vec<Cid>, Vec<Cid>, Vec<Cid>) {
    let decision = uploading.decide(set, Moment::certain(now));
    let mut named = (Vec::new(), Vec::new(), Vec::new());
    for action in decision.actions {
        match action {
            Action::Upload(file) => named.0.push(file.cid),
            Action::Carry(cid, _) => named.1.push(cid),
            Action::Release(cid) => named.2.push(cid),
            Action::Cancel(..) | Action::Forget(_) => {}
        }
    }
    named
}

fn cancels(uploading: &mut Uploading, set: &Set) -> Vec<(Cid, CancelReason)> {
    let actions = uploading.decide(set, Moment::certain(NOW)).actions.into_iter();
    let cancel = |action| match action {
        Action::Cancel(cid, reason) => Some((cid, reason)),
        _ => None,
    };
    actions.filter_map(cancel).collect()
}

fn forgotten(uploading: &mut Uploading, set: &Set, now: Time) -> Vec<Cid> {
    let actions = uploading.decide(set, Moment::certain(now)).actions.into_iter();
    actions.filter_map(|action| if let Action::Forget(cid) = action { Some(cid) } else { None }).collect()
}

fn reason(uploading: &Uploading, number: u8) -> Option<WaitReason> {
    uploading.waiting().get(&cid(number)).map(|waiting| waiting.reason)
}

#[test]
fn a_permitted_file_is_fetched_then_uploaded_then_released() {
    let mut set = swarm();
    share(&mut set, ROBOT, 1);
    permit(&mut set, ROBOT, true, None);
    let mut uploading = Uploading::new(peer(1), uploader_rules());
    assert_eq!(decide(&mut uploading, &set, NOW), (vec![], vec![cid(1)], vec![]));
    assert_eq!(reason(&uploading, 1), Some(WaitReason::NotHere));
    uploading.set_kept(kept([cid(1)]));
    let carried = CarriedFile { name: "1.bag".into(), bytes: 100, uploader: peer(ROBOT), is_released: false };
    uploading.set_carried([(cid(1), carried)].into());
    assert_eq!(decide(&mut uploading, &set, NOW), (vec![cid(1)], vec![cid(1)], vec![]));
    assert_eq!(reason(&uploading, 1), None);
    uploading.set_done(ReceiptMap::from_iter([(cid(1), receipt(1))]));
    let decision = uploading.decide(&set, Moment::certain(NOW));
    publish(&mut set, 1, decision.statements, NOW);
    assert!(is_uploaded(&counting(&set), &cid(1)));
    assert_eq!(decide(&mut uploading, &set, NOW), (vec![], vec![], vec![cid(1)]));
}

#[test]
fn without_permission_nothing_is_uploaded_or_carried() {
    for rules in [uploader_rules(), mule_rules()] {
        let mut set = swarm();
        share(&mut set, ROBOT, 1);
        let mut uploading = Uploading::new(peer(1), rules);
        uploading.set_kept(kept([cid(1)]));
        assert_eq!(decide(&mut uploading, &set, NOW), (vec![], vec![], vec![]));
        assert_eq!(reason(&uploading, 1), Some(WaitReason::NotPermitted));
        permit(&mut set, ROBOT, true, None);
        permit(&mut set, ROBOT, false, None);
        assert_eq!(decide(&mut uploading, &set, NOW), (vec![], vec![], vec![]), "a denial counts");
    }
}

#[test]
fn another_robot_cannot_permit_the_upload_of_a_file() {
    let mut set = swarm();
    share(&mut set, ROBOT, 1);
    permit(&mut set, 7, true, None);
    let mut uploading = Uploading::new(peer(1), uploader_rules());
    uploading.set_kept(kept([cid(1)]));
    assert_eq!(decide(&mut uploading, &set, NOW).0, []);
    // It claims to be the uploader, so only the content could tell.
    share(&mut set, 7, 1);
    assert_eq!(decide(&mut uploading, &set, NOW).0, []);
}

#[test]
fn in_the_open_swarm_and_without_the_role_nothing_is_uploaded() {
    let mut open = Set::default();
    share(&mut open, ROBOT, 1);
    permit(&mut open, ROBOT, true, None);
    let mut uploading = Uploading::new(peer(1), UploadRules { carries: true, ..uploader_rules() });
    uploading.set_kept(kept([cid(1)]));
    assert_eq!(decide(&mut uploading, &open, NOW), (vec![], vec![], vec![]));
    let mut set = swarm();
    share(&mut set, ROBOT, 1);
    permit(&mut set, ROBOT, true, None);
    let mut without = Uploading::new(peer(5), uploader_rules());
    without.set_kept(kept([cid(1)]));
    assert_eq!(decide(&mut without, &set, NOW), (vec![], vec![], vec![]));
    assert!(!without.has_role());
}

#[test]
fn own_files_are_uploaded_with_the_own_permission_and_not_carried() {
    let mut set = swarm();
    share(&mut set, 1, 1);
    let mut uploading = Uploading::new(peer(1), uploader_rules());
    uploading.set_kept(kept([cid(1)]));
    assert_eq!(decide(&mut uploading, &set, NOW).0, []);
    uploading.set_permission(true, false);
    assert_eq!(decide(&mut uploading, &set, NOW), (vec![cid(1)], vec![], vec![]));
}

#[test]
fn of_several_uploaders_one_begins_and_the_others_wait_their_turns() {
    let uploaders = [1, 11, 12];
    let mut set = swarm();
    for seed in uploaders {
        permit(&mut set, seed, false, Some(STORAGE));
        propose(&mut set, seed, Item { bucket: buckets::PEER.path(), data: peer(seed).into() });
    }
    permit(&mut set, ROBOT, true, None);
    share(&mut set, ROBOT, 1);
    let mut all = uploaders.map(|seed| Uploading::new(peer(seed), uploader_rules()));
    all.iter_mut().for_each(|uploading| uploading.set_kept(kept([cid(1)])));
    let mut begun = Vec::new();
    for step in 0..=2 * TURN / 60 {
        let now = NOW.plus(step * 60);
        begun.push(all.iter_mut().filter_map(|one| decide(one, &set, now).0.first().copied()).count());
    }
    let turn = usize::try_from(TURN / 60).unwrap();
    assert_eq!([begun[0], begun[turn - 1], begun[turn], begun[2 * turn]], [1, 1, 2, 3]);
}

#[test]
fn a_mule_keeps_files_within_its_limit_until_they_are_uploaded() {
    let mut set = swarm();
    permit(&mut set, ROBOT, true, None);
    (1..=12).for_each(|number| share(&mut set, ROBOT, number));
    let mut mule = Uploading::new(peer(11), mule_rules());
    let (uploads, carried, _) = decide(&mut mule, &set, NOW);
    assert_eq!((uploads.len(), carried.len()), (0, 10), "10 files of 100 bytes");
    let full = mule.waiting().values().filter(|file| file.reason == WaitReason::LimitReached).count();
    assert_eq!(full, 2);
    let row = |number: u8| {
        let name = format!("{number}.bag");
        (cid(number), CarriedFile { name, bytes: 100, uploader: peer(ROBOT), is_released: false })
    };
    let on_board: BTreeMap<Cid, CarriedFile> = (1..=10).map(row).collect();
    mule.set_kept(kept(on_board.keys().copied()));
    mule.set_carried(on_board.clone());
    propose(&mut set, 1, receipt(3).item(&cid(3)).unwrap());
    let (_, carried, released) = decide(&mut mule, &set, NOW);
    assert_eq!(released, [cid(3)]);
    assert_eq!(carried.len(), 10, "another file takes its place");
    assert!(!carried.contains(&cid(3)));
    // The robot is away for so long that its terms expire.
    let later = NOW.plus(6 * 24 * 3600);
    let mut away = swarm();
    share(&mut away, ROBOT, 1);
    mule.set_carried([row(1)].into());
    assert_eq!(decide(&mut mule, &away, later).1, [cid(1)]);
    permit(&mut away, ROBOT, true, None);
    permit(&mut away, ROBOT, false, None);
    assert_eq!(decide(&mut mule, &away, later), (vec![], vec![], vec![cid(1)]), "the robot denies it");
}

#[test]
fn an_upload_is_cancelled_when_it_is_not_wanted_any_more() {
    let mut set = swarm();
    (1..=4).for_each(|number| share(&mut set, ROBOT, number));
    permit(&mut set, ROBOT, true, None);
    let mut uploading = Uploading::new(peer(1), uploader_rules());
    let begun: BTreeSet<Cid> = (1..=5).map(cid).collect();
    uploading.set_kept(kept((1..=4).map(cid)));
    uploading.set_begun(begun);
    assert_eq!(cancels(&mut uploading, &set), [(cid(5), CancelReason::Gone)]);
    propose(&mut set, 11, receipt(2).item(&cid(2)).unwrap());
    propose(&mut set, 11, Station::Discard.item(&cid(3)));
    let mut expected =
        vec![(cid(2), CancelReason::Uploaded), (cid(3), CancelReason::Gone), (cid(5), CancelReason::Gone)];
    expected.sort_by_key(|(cid, _)| *cid);
    assert_eq!(cancels(&mut uploading, &set), expected);
    permit(&mut set, ROBOT, false, None);
    assert!(cancels(&mut uploading, &set).contains(&(cid(1), CancelReason::Denied)));
}

#[test]
fn receipts_are_renewed_while_their_files_are_listed_and_forgotten_afterwards() {
    let mut set = swarm();
    share(&mut set, ROBOT, 1);
    let mut uploading = Uploading::new(peer(1), UploadRules::default());
    uploading.set_done(ReceiptMap::from_iter([(cid(1), receipt(1)), (cid(2), receipt(2))]));
    let decision = uploading.decide(&set, Moment::certain(NOW));
    assert_eq!(publish(&mut set, 1, decision.statements, NOW), 2);
    let day = NOW.plus(24 * 3600);
    assert!(uploading.decide(&set, Moment::certain(day)).statements.is_empty());
    let half = NOW.plus(buckets::UPLOADS.lifetime() / 2);
    let decision = uploading.decide(&set, Moment::certain(half));
    assert_eq!(publish(&mut set, 1, decision.statements, half), 1, "nobody lists file 2");
    let later = Counting::new(&set, &NONE, None, NOW.plus(buckets::UPLOADS.lifetime()));
    assert!(is_uploaded(&later, &cid(1)));
    // Time without decisions does not count, so the robots that list file 2 may have been away as well.
    assert_eq!(forgotten(&mut uploading, &set, half), []);
    uploading.stopwatch.elapsed += 30 * 24 * 3600;
    assert_eq!(forgotten(&mut uploading, &set, half), [cid(2)]);
}

#[test]
fn files_go_in_the_order_of_the_priorities_and_then_of_their_age() {
    let mut set = swarm();
    permit(&mut set, ROBOT, true, None);
    let name = |number: u8, path: &str| {
        let description = Description {
            filename: path.rsplit('/').next().unwrap().to_owned(),
            path: path.parse().ok(),
            size: 100,
            changed: NOW,
            uploader: peer(ROBOT),
            recording: None,
        };
        Item { bucket: info(&cid(number)), data: description.to_data().unwrap() }
    };
    let paths = [(1, "notes.txt"), (2, "run/a.bag"), (3, "important/b.txt"), (4, "important/c.bag")];
    for (number, path) in paths {
        propose(&mut set, ROBOT, Station::Files.item(&cid(number)));
        propose(&mut set, ROBOT, name(number, path));
    }
    let priorities = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    let order = |texts: &[&str]| {
        let rules = UploadRules { priorities: priorities(texts), ..uploader_rules() };
        let mut uploading = Uploading::new(peer(1), rules);
        uploading.set_kept(kept((1..=4).map(cid)));
        decide(&mut uploading, &set, NOW).0
    };
    let mut by_cid: Vec<Cid> = (1..=4).map(cid).collect();
    by_cid.sort();
    assert_eq!(order(&[]), by_cid, "without priorities the age decides, and then the CID");
    assert_eq!(order(&["kind:ros2"]), by_cid);
    let found = order(&["important/*", "*.bag"]);
    assert_eq!(found[..2].iter().collect::<BTreeSet<_>>(), BTreeSet::from([&cid(3), &cid(4)]));
    assert_eq!(found[2..], [cid(2), cid(1)]);
    // A mule with little room carries the first ones.
    let rules = UploadRules { priorities: priorities(&["important/*"]), max_carried: 200, ..mule_rules() };
    let (_, carried, _) = decide(&mut Uploading::new(peer(11), rules), &set, NOW);
    assert_eq!(carried.into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([cid(3), cid(4)]));
}
