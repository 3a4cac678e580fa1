//! The editor: several signers, drafts in a folder, interrupted publications, and mistakes that it refuses.
#![expect(clippy::unwrap_used, reason = "a panic fails the test with a message")]

mod common;

use common::*;
use dcache::Time;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use store::Store;
use tuf::edit::{Delegation, EditError, Folder, FolderError, KeySet, NewTarget, Repository, TopRole};
use tuf::{Client, ClientError, FileName, FolderMirror, MetadataStore, Now, Role, TargetsRole, VerifyError};

fn sets() -> BTreeMap<TopRole, KeySet> {
    [
        (TopRole::Root, keys(&[1, 2, 3], 2)),
        (TopRole::Targets, keys(&[4, 5], 2)),
        (TopRole::Snapshot, keys(&[6], 1)),
        (TopRole::Timestamp, keys(&[7], 1)),
    ]
    .into()
}

fn delegation(name: &str, number: u8) -> Delegation {
    let paths = vec![format!("{name}/*")];
    Delegation { name: name.parse().unwrap(), keys: keys(&[number], 1), paths, terminating: false }
}

fn lab() -> TargetsRole {
    role("lab")
}

fn missing(repository: &Repository) -> Vec<(String, usize, usize)> {
    let missing = repository.missing().unwrap();
    missing.into_iter().map(|missing| (missing.role.to_string(), missing.have, missing.need)).collect()
}

fn roles(names: &[&str]) -> Vec<Role> {
    let role = |name: &&str| match *name {
        "root" => Role::Root,
        "timestamp" => Role::Timestamp,
        "snapshot" => Role::Snapshot,
        "targets" => Role::Targets(TargetsRole::Top),
        other => Role::Targets(role(other)),
    };
    names.iter().map(role).collect()
}

#[test]
fn several_people_sign_one_after_the_other() {
    let mut repository = Repository::create(&sets(), NOW.days(365)).unwrap();
    assert_eq!(missing(&repository), [(name("root"), 0, 2), (name("targets"), 0, 2)]);
    assert_eq!(repository.sign(&key(1)).unwrap(), roles(&["root"]));
    // The same key twice counts once.
    repository.sign(&key(1)).unwrap();
    assert_eq!(missing(&repository)[0], (name("root"), 1, 2));
    repository.sign(&key(3)).unwrap();
    assert_eq!(repository.sign(&key(4)).unwrap(), roles(&["targets"]));
    let refused = repository.make_snapshot(NOW.days(7)).unwrap_err();
    assert!(refused.to_string().starts_with("signatures are missing: targets has 1 of 2;"), "{refused}");
    repository.sign(&key(5)).unwrap();
    assert!(matches!(repository.make_timestamp(NOW.days(7)), Err(EditError::Outdated(Role::Snapshot))));
    repository.make_snapshot(NOW.days(7)).unwrap();
    assert!(matches!(repository.make_timestamp(NOW.days(7)), Err(EditError::Unsigned(_))));
    repository.sign(&key(6)).unwrap();
    assert!(matches!(repository.publish(), Err(EditError::Outdated(Role::Timestamp))));
    repository.make_timestamp(NOW.days(1)).unwrap();
    // A stranger signs nothing.
    assert_eq!(repository.sign(&key(90)).unwrap(), []);
    assert!(matches!(repository.publish(), Err(EditError::Unsigned(_))));
    repository.sign(&key(7)).unwrap();
    let names: Vec<_> = repository.publish().unwrap().into_iter().map(|file| file.name.to_string()).collect();
    assert_eq!(names, ["1.root.json", "1.targets.json", "1.snapshot.json", "timestamp.json"]);
    // Nothing is left to publish.
    assert_eq!(repository.publish().unwrap(), []);
}

#[test]
fn a_change_drops_signatures_and_is_one_version_until_it_is_published() {
    let mut publisher = Publisher::new();
    publisher.set("app", "version 2");
    publisher.sign().unwrap();
    publisher.set("app", "version 3");
    assert_eq!(missing(&publisher.repository), [(name("targets"), 0, 2)]);
    publisher.publish();
    assert!(
        publisher.files.contains_key("2.targets.json") && !publisher.files.contains_key("3.targets.json")
    );
    // Only the timestamp is renewed.
    publisher.publish_timestamp().unwrap();
    assert!(!publisher.files.contains_key("3.snapshot.json"));
    assert_eq!(publisher.node().refresh(&publisher.files, WITH_CLOCK).unwrap().versions().timestamp, 3);
}

#[test]
fn the_old_and_the_new_keys_of_a_root_must_sign() {
    let mut publisher = Publisher::new();
    publisher.repository.set_keys(TopRole::Root, &keys(&[11, 12], 2)).unwrap();
    publisher.signers = vec![11, 12, 6, 7];
    publisher.sign().unwrap();
    assert_eq!(missing(&publisher.repository), [(name("root"), 0, 2)]);
    publisher.signers = vec![1, 12, 6, 7];
    publisher.repository.renew(&Role::Root, NOW.days(9)).unwrap();
    publisher.sign().unwrap();
    assert_eq!(missing(&publisher.repository), [(name("root"), 1, 2)]);
    publisher.signers = vec![2, 11, 6, 7];
    publisher.publish();
    // Now the new ones suffice, and the old ones sign nothing.
    publisher.repository.renew(&Role::Root, NOW.days(10)).unwrap();
    assert_eq!(publisher.repository.sign(&key(1)).unwrap(), []);
    publisher.signers = vec![11, 12, 6, 7];
    publisher.publish();
    assert_eq!(publisher.node().refresh(&publisher.files, WITH_CLOCK).unwrap().versions().root, 3);
}

#[test]
fn a_third_party_signs_its_own_targets_only() {
    let mut publisher = Publisher::new();
    let top = TargetsRole::Top;
    publisher.repository.delegate(&top, &delegation("lab", 8), NOW.days(30)).unwrap();
    let again = publisher.repository.delegate(&top, &delegation("lab", 8), NOW.days(30));
    assert!(matches!(again, Err(EditError::RoleExists(_))));
    publisher.signers.push(8);
    publisher.publish();
    // Later the third party changes its own file alone; the others only renew snapshot and timestamp.
    publisher.repository.set_target(&lab(), &path("lab/a"), content("a")).unwrap();
    assert_eq!(publisher.repository.paths(&lab()).unwrap(), ["lab/a"]);
    assert_eq!(publisher.repository.sign(&key(8)).unwrap(), roles(&["lab"]));
    publisher.signers = vec![6, 7];
    publisher.publish();
    let mut node = publisher.node();
    assert_eq!(node.find(&publisher.files, "lab/a", WITH_CLOCK).unwrap().unwrap().provenance.version, 2);
    // New keys sign a new version, and the delegator signs that.
    publisher.repository.set_delegation_keys(&top, &"lab".parse().unwrap(), &keys(&[9], 1)).unwrap();
    publisher.signers = vec![4, 5, 8, 6, 7];
    assert!(matches!(publisher.try_publish(), Err(EditError::Unsigned(_))));
    publisher.signers.push(9);
    publisher.publish();
    assert_eq!(node.find(&publisher.files, "lab/a", WITH_CLOCK).unwrap().unwrap().provenance.version, 3);
    // Its targets are gone with the delegation, and come back with another one.
    publisher.repository.remove_delegation(&top, &"lab".parse().unwrap()).unwrap();
    publisher.publish();
    assert_eq!(node.find(&publisher.files, "lab/a", WITH_CLOCK).unwrap(), None);
    publisher.repository.delegate(&top, &delegation("lab", 10), NOW.days(30)).unwrap();
    publisher.signers.push(10);
    publisher.publish();
    assert_eq!(node.find(&publisher.files, "lab/a", WITH_CLOCK).unwrap().unwrap().provenance.version, 4);
}

#[test]
fn mistakes_are_named_with_a_way_out() {
    let mut publisher = Publisher::new();
    let (top, repository) = (TargetsRole::Top, &mut publisher.repository);
    let cases = [
        (repository.remove_target(&top, &path("none")).unwrap_err(), "lists no target none"),
        (
            repository.set_target(&lab(), &path("lab/a"), content("")).unwrap_err(),
            "is not delegated to the role lab",
        ),
        (repository.remove_delegation(&top, &"lab".parse().unwrap()).unwrap_err(), "has no role lab"),
        (
            repository.set_delegation_keys(&top, &"lab".parse().unwrap(), &keys(&[1], 1)).unwrap_err(),
            "has no role lab",
        ),
        (repository.renew(&Role::Targets(lab()), NOW).unwrap_err(), "has no role lab"),
        (
            repository
                .delegate(&top, &Delegation { paths: vec![name("a[")], ..delegation("lab", 8) }, NOW)
                .unwrap_err(),
            "patterns",
        ),
        (Repository::create(&BTreeMap::new(), NOW).unwrap_err(), "1 to 32 different keys"),
    ];
    for (error, part) in cases {
        let sentence = error.to_string();
        assert!(sentence.contains(part) && (sentence.contains(';') || sentence.contains(':')), "{sentence}");
    }
    // Nothing was changed.
    assert_eq!(publisher.repository.publish().unwrap(), []);
}

#[test]
fn a_file_that_clients_would_refuse_is_not_published() {
    let mut publisher = Publisher::new();
    let custom = serde_json::json!({"text": "x".repeat(500_000)}).as_object().unwrap().clone();
    let large = NewTarget { custom, ..content("") };
    publisher.repository.set_target(&TargetsRole::Top, &path("large"), large).unwrap();
    let refused = publisher.try_publish().unwrap_err();
    assert!(matches!(refused, EditError::TooLarge { .. }), "{refused}");
    let fraction = serde_json::json!({"share": 0.5}).as_object().unwrap().clone();
    let fraction = NewTarget { custom: fraction, ..content("") };
    publisher.repository.set_target(&TargetsRole::Top, &path("large"), fraction).unwrap();
    assert!(matches!(publisher.try_publish(), Err(EditError::NotCanonical(_))));
}

fn write(folder: &Path, name: &FileName, content: &[u8]) {
    std::fs::create_dir_all(folder.join("metadata")).unwrap();
    std::fs::write(folder.join("metadata").join(name.as_ref()), content).unwrap();
}

#[test]
fn a_publication_that_was_interrupted_is_continued() {
    let top = TargetsRole::Top;
    let make = |place: &Path| {
        let folder = Folder::new(place);
        assert!(matches!(folder.load(), Err(FolderError::Empty(_))));
        let mut publisher = Publisher::new();
        for (name, content) in &publisher.files {
            std::fs::create_dir_all(place.join("metadata")).unwrap();
            std::fs::write(place.join("metadata").join(name), content).unwrap();
        }
        let repository = &mut publisher.repository;
        repository.set_keys(TopRole::Root, &keys(&[11, 12], 2)).unwrap();
        repository.delegate(&top, &delegation("lab", 8), NOW.days(30)).unwrap();
        repository.set_target(&lab(), &path("lab/a"), content("a")).unwrap();
        publisher.signers.extend([8, 11, 12]);
        publisher.sign().unwrap();
        publisher.repository.make_snapshot(NOW.days(7)).unwrap();
        publisher.sign().unwrap();
        publisher.repository.make_timestamp(NOW.days(7)).unwrap();
        publisher.sign().unwrap();
        folder.save_drafts(&publisher.repository).unwrap();
        (folder, publisher)
    };
    let mirror = |place: &Path| -> Files {
        let read = |entry: std::fs::DirEntry| {
            (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
        };
        std::fs::read_dir(place.join("metadata")).unwrap().map(|entry| read(entry.unwrap())).collect()
    };
    for written in 0..=5 {
        let place = tempfile::tempdir().unwrap();
        let (folder, publisher) = make(place.path());
        let files = publisher.repository.clone().publish().unwrap();
        assert_eq!(files.len(), 5);
        for file in &files[..written] {
            write(place.path(), &file.name, &file.content);
        }
        // A client of a mirror at this moment has the old or the new release.
        let timestamp =
            publisher.node().refresh(&mirror(place.path()), WITH_CLOCK).unwrap().versions().timestamp;
        assert_eq!(timestamp, if written == 5 { 2 } else { 1 });
        let mut repository = folder.load().unwrap();
        folder.publish(&mut repository).unwrap();
        let mut node = publisher.node();
        let target = node.find(&mirror(place.path()), "lab/a", WITH_CLOCK).unwrap().unwrap();
        assert_eq!((target.provenance.timestamp, target.provenance.root), (2, 2));
        assert_eq!(std::fs::read_dir(place.path().join("drafts")).unwrap().count(), 0);
        // It is the same repository after loading it again.
        assert_eq!(folder.load().unwrap().publish().unwrap(), []);
    }
}

#[tokio::test]
async fn a_folder_is_a_mirror() {
    let place = tempfile::tempdir().unwrap();
    let folder = Folder::new(place.path());
    let publisher = Publisher::new();
    std::fs::create_dir_all(folder.metadata()).unwrap();
    for (name, content) in &publisher.files {
        std::fs::write(folder.metadata().join(name), content).unwrap();
    }
    let store = Arc::new(Store::open(&place.path().join("store")).unwrap().0);
    let store = MetadataStore::new(&store, "releases");
    let client = Client::new(FolderMirror(folder.metadata()), store, publisher.root(1));
    let mut verified = client.refresh(WITH_CLOCK).await.unwrap();
    assert!(client.find(&mut verified, path("app"), WITH_CLOCK).await.unwrap().is_some());
    std::fs::write(folder.metadata().join("timestamp.json"), vec![b' '; 1 << 20]).unwrap();
    let refused = client.refresh(WITH_CLOCK).await.unwrap_err();
    assert!(matches!(&refused, ClientError::Verify(VerifyError::TooLong { .. })), "{refused}");
    std::fs::remove_file(folder.metadata().join("timestamp.json")).unwrap();
    std::fs::create_dir(folder.metadata().join("timestamp.json")).unwrap();
    let refused = client.refresh(WITH_CLOCK).await.unwrap_err();
    assert!(matches!(&refused, ClientError::Mirror { .. }), "{refused}");
}

#[test]
fn a_repository_of_which_a_file_is_missing_is_not_changed() {
    let place = tempfile::tempdir().unwrap();
    let publisher = Publisher::new();
    std::fs::create_dir_all(place.path().join("metadata")).unwrap();
    for (name, content) in publisher.files.iter().filter(|(name, _)| *name != "1.targets.json") {
        std::fs::write(place.path().join("metadata").join(name), content).unwrap();
    }
    let refused = Folder::new(place.path()).load().unwrap_err();
    assert!(matches!(&refused, FolderError::Edit(EditError::Absent(_))), "{refused}");
}

#[test]
fn a_repository_can_be_used_for_years() {
    let mut publisher = Publisher::new();
    let mut node = publisher.node();
    let mut late = publisher.node();
    for year in 1..=10u8 {
        let now = Time(NOW.0 + u64::from(year) * 365 * DAY);
        publisher.online_until = now.days(7);
        publisher.repository.renew(&Role::Root, now.days(400)).unwrap();
        publisher.repository.renew(&Role::Targets(TargetsRole::Top), now.days(400)).unwrap();
        publisher.rotate(TopRole::Targets, &[4, 40 + year], 2);
        publisher.release(&format!("version {year}"));
        let verified = node.refresh(&publisher.files, Now::Known(now)).unwrap();
        assert_eq!(verified.versions().root, u64::from(year) + 1);
    }
    let now = Now::Known(Time(NOW.0 + 10 * 365 * DAY));
    assert_eq!(late.app(&publisher.files, now), node.app(&publisher.files, now));
}
