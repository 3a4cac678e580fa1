//! The attacks that TUF lists, and those of Uptane that apply to a robot, each with and without a clock.
//!
//! The mirrors of a robot are its peers, so every mirror is hostile here. `forge` signs with stolen keys.
#![expect(clippy::unwrap_used, reason = "a panic fails the test with a message")]

mod common;

use common::*;
use dcache::Time;
use serde_json::json;
use std::time::Duration;
use tuf::edit::{Delegation, EditError, TopRole};
use tuf::limits::{FETCH_SECONDS, MAX_NEW_ROOTS, MAX_TIMESTAMP_BYTES, TOTAL_SECONDS};
use tuf::{
    Cause, Client, ClientError, ContentError, FileName, MetadataStore, Mirror, MirrorError, Now, TargetsRole,
    VerifyError,
};

fn cause(error: VerifyError) -> Cause {
    match error {
        VerifyError::Refused { cause, .. } => cause,
        other => panic!("{other}"),
    }
}

fn is_unsigned(error: VerifyError) -> bool {
    matches!(cause(error), Cause::Signatures { .. })
}

fn is_older(error: VerifyError) -> bool {
    matches!(cause(error), Cause::Older { .. })
}

fn is_mismatch(error: VerifyError) -> bool {
    matches!(cause(error), Cause::Mismatch(_))
}

/// Replaces one file of a mirror.
fn with(files: &Files, name: &str, content: Vec<u8>) -> Files {
    let mut files = files.clone();
    files.insert(name.to_owned(), content);
    files
}

/// TUF 1, arbitrary installation: the mirror offers software of its own.
mod arbitrary_installation {
    use super::*;

    #[test]
    fn other_content_is_refused_by_length_and_hash() {
        for now in BOTH {
            let publisher = Publisher::new();
            let target = publisher.node().app(&publisher.files, now);
            let read = |text: &str| {
                let mut check = target.check();
                check.update(text.as_bytes())?;
                check.finish()
            };
            assert_eq!(read("version 1"), Ok(()));
            assert!(matches!(read("version 2"), Err(ContentError::Hash { .. })));
            assert!(matches!(read("version"), Err(ContentError::Length { found: 7, .. })));
            assert!(matches!(read("version 1!"), Err(ContentError::Length { found: 10, .. })));
        }
    }

    #[test]
    fn an_entry_that_the_mirror_changed_or_signed_is_refused() {
        for now in BOTH {
            let publisher = Publisher::new();
            let targets = &publisher.files["1.targets.json"];
            let set = |signed: &mut serde_json::Value| signed["targets"]["app"]["length"] = json!(1);
            // Without signatures, with keys of nobody, and with keys of other roles.
            for signers in [&[][..], &[90, 91], &[6, 7]] {
                let mirror = with(&publisher.files, "1.targets.json", forge(targets, signers, set));
                assert!(is_mismatch(publisher.node().refuses(&mirror, now)));
                let mirror = renamed_targets(&publisher, forge(targets, signers, set));
                assert!(is_unsigned(publisher.node().refuses(&mirror, now)));
            }
        }
    }

    /// The attacker has the keys of the snapshot and the timestamp as well.
    fn renamed_targets(publisher: &Publisher, targets: Vec<u8>) -> Files {
        let mut files = publisher.files.clone();
        let snapshot =
            forge(&files["1.snapshot.json"], &[6], |signed| signed["meta"]["targets.json"] = entry(&targets));
        let timestamp = forge(&files["timestamp.json"], &[7], |signed| {
            signed["meta"]["snapshot.json"] = entry(&snapshot)
        });
        files.extend([
            (name("1.targets.json"), targets),
            (name("1.snapshot.json"), snapshot),
            (name("timestamp.json"), timestamp),
        ]);
        files
    }
}

/// TUF 2, endless data: the mirror sends more than was asked for.
mod endless_data {
    use super::*;

    #[test]
    fn a_file_over_its_limit_is_refused_before_it_is_parsed() {
        for now in BOTH {
            let publisher = Publisher::new();
            for file in ["timestamp.json", "2.root.json"] {
                let mirror = with(&publisher.files, file, vec![b' '; 200_000]);
                let refused = publisher.node().refuses(&mirror, now);
                assert!(matches!(&refused, VerifyError::TooLong { .. }), "{refused}");
            }
            // The timestamp names the length of the snapshot, and the snapshot that of the targets.
            for file in ["1.snapshot.json", "1.targets.json"] {
                let mut content = publisher.files[file].clone();
                content.push(b' ');
                assert!(is_mismatch(publisher.node().refuses(&with(&publisher.files, file, content), now)));
            }
        }
    }

    #[test]
    fn deeply_nested_metadata_is_refused() {
        let publisher = Publisher::new();
        let nested = "[".repeat(MAX_TIMESTAMP_BYTES as usize).into_bytes();
        for now in BOTH {
            let refused =
                publisher.node().refuses(&with(&publisher.files, "timestamp.json", nested.clone()), now);
            assert!(matches!(cause(refused), Cause::Malformed(_)));
        }
    }

    #[test]
    fn roots_are_followed_in_bounded_steps() {
        let mut publisher = Publisher::new();
        let mut node = publisher.node();
        for days in 0..u64::from(MAX_NEW_ROOTS) + 2 {
            publisher.repository.renew(&tuf::Role::Root, NOW.days(400 + days)).unwrap();
        }
        publisher.publish();
        // A draft that is renewed many times is one version.
        let newest = publisher.root(2);
        let mut files = publisher.files.clone();
        for version in 3..u64::from(MAX_NEW_ROOTS) + 4 {
            let root = forge(&newest, &[1, 2], |signed| signed["version"] = json!(version));
            files.insert(root_name(version), root);
        }
        assert!(matches!(node.refuses(&files, WITH_CLOCK), VerifyError::TooManyRoots));
        // The next refresh goes on.
        let verified = node.refresh(&files, WITH_CLOCK).unwrap();
        assert_eq!(verified.versions().root, u64::from(MAX_NEW_ROOTS) + 3);
    }
}

/// TUF 3, extraneous dependencies: the mirror adds software that the publisher did not add.
mod extraneous_dependencies {
    use super::*;

    #[test]
    fn custom_data_such_as_dependencies_is_signed() {
        for now in BOTH {
            let publisher = Publisher::new();
            let targets = forge(&publisher.files["1.targets.json"], &[4], |signed| {
                signed["targets"]["app"]["custom"] = json!({"depends": ["spy"]});
            });
            assert!(is_mismatch(
                publisher.node().refuses(&with(&publisher.files, "1.targets.json", targets), now)
            ));
        }
    }
}

/// TUF 4, fast-forward: a thief of online keys publishes the highest version, so that nodes refuse everything later.
mod fast_forward {
    use super::*;

    #[test]
    fn new_keys_make_nodes_forget_the_version() {
        for now in BOTH {
            let mut publisher = Publisher::new();
            let mut node = publisher.node();
            let forged =
                forge(&publisher.files["timestamp.json"], &[7], |signed| signed["version"] = json!(u64::MAX));
            node.refresh(&with(&publisher.files, "timestamp.json", forged), now).unwrap();
            // All later versions are refused, until the key is replaced.
            publisher.release("version 2");
            assert!(is_older(node.refuses(&publisher.files, now)));
            publisher.rotate(TopRole::Timestamp, &[17], 1);
            assert_eq!(node.refresh(&publisher.files, now).unwrap().versions().timestamp, 3);
        }
    }

    #[test]
    fn new_keys_of_snapshot_and_timestamp_make_nodes_forget_both() {
        for now in BOTH {
            let mut publisher = Publisher::new();
            let mut node = publisher.node();
            let mut files = publisher.files.clone();
            let snapshot =
                forge(&files["1.snapshot.json"], &[6], |signed| signed["version"] = json!(u64::MAX));
            let timestamp = forge(&files["timestamp.json"], &[7], |signed| {
                signed["version"] = json!(u64::MAX);
                signed["meta"]["snapshot.json"] = entry(&snapshot);
            });
            files.extend([
                (format!("{}.snapshot.json", u64::MAX), snapshot),
                (name("timestamp.json"), timestamp),
            ]);
            node.refresh(&files, now).unwrap();
            publisher.rotate(TopRole::Snapshot, &[16], 1);
            assert!(is_older(node.refuses(&publisher.files, now)));
            publisher.rotate(TopRole::Timestamp, &[17], 1);
            node.refresh(&publisher.files, now).unwrap();
        }
    }
}

/// TUF 5, indefinite freeze: the mirror hides all newer metadata.
mod indefinite_freeze {
    use super::*;

    #[test]
    fn with_a_clock_old_metadata_expires() {
        let publisher = Publisher::new();
        let mut node = publisher.node();
        node.refresh(&publisher.files, WITH_CLOCK).unwrap();
        let later = Now::Known(NOW.days(8));
        let refused = node.refuses(&publisher.files, later);
        assert!(matches!(&refused, VerifyError::Expired { role, .. } if role == "timestamp"), "{refused}");
        assert!(matches!(node.offline(later), Err(VerifyError::Expired { .. })));
        // A new node has no timestamp to keep.
        assert!(matches!(cause(publisher.node().refuses(&publisher.files, later)), Cause::Expired(_)));
    }

    #[test]
    fn a_time_floor_is_enough_to_know_that_metadata_expired() {
        let publisher = Publisher::new();
        let floor = Now::AtLeast(NOW.days(8));
        assert!(matches!(cause(publisher.node().refuses(&publisher.files, floor)), Cause::Expired(_)));
    }

    #[test]
    fn without_a_clock_only_newer_metadata_permits_an_installation() {
        let mut publisher = Publisher::new();
        let mut node = publisher.node();
        let old = publisher.files.clone();
        // Nothing is installed, so anything is newer.
        let first = node.app(&old, WITHOUT_CLOCK);
        assert!(first.may_replace(None).is_ok());
        let installed = first.provenance;
        // The same metadata again permits nothing, however old it is.
        let again = node.app(&old, WITHOUT_CLOCK);
        let refused = again.may_replace(Some(&installed)).unwrap_err();
        assert!(refused.to_string().contains("the time is unknown"), "{refused}");
        let new = publisher.release("version 2");
        let target = node.app(&new, WITHOUT_CLOCK);
        assert!(target.may_replace(Some(&installed)).is_ok());
        // Also on a node that lost its metadata, nothing older than the installed version is accepted.
        let target_again = publisher.node().app(&old, WITHOUT_CLOCK);
        assert!(target_again.may_replace(Some(&target.provenance)).is_err());
        // With a clock, the same metadata is fresh.
        assert!(node.app(&new, WITH_CLOCK).may_replace(Some(&target.provenance)).is_ok());
    }

    #[test]
    fn metadata_that_expires_after_a_refresh_permits_no_search() {
        let publisher = Publisher::new();
        let mut node = publisher.node();
        let mut verified = node.refresh(&publisher.files, WITH_CLOCK).unwrap();
        assert!(verified.search(path("app"), WITH_CLOCK).is_ok());
        for later in [Now::Known(NOW.days(8)), Now::AtLeast(NOW.days(8))] {
            let refused = verified.search(path("app"), later).unwrap_err();
            assert!(matches!(refused, VerifyError::Expired { .. }), "{refused}");
        }
    }

    #[test]
    fn each_role_can_expire() {
        for role in ["root", "snapshot", "targets"] {
            let mut publisher = Publisher::new();
            publisher.online_until = NOW.days(1000);
            match role {
                "root" => publisher.repository.renew(&tuf::Role::Root, NOW.days(8)).unwrap(),
                "targets" => {
                    publisher.repository.renew(&tuf::Role::Targets(TargetsRole::Top), NOW.days(8)).unwrap()
                }
                _ => {}
            }
            publisher.sign().unwrap();
            let until = if role == "snapshot" { NOW.days(8) } else { NOW.days(1000) };
            publisher.repository.make_snapshot(until).unwrap();
            publisher.sign().unwrap();
            publisher.publish_timestamp().unwrap();
            let mut node = publisher.node();
            node.refresh(&publisher.files, Now::Known(NOW.days(7))).unwrap();
            node.refresh(&publisher.files, WITHOUT_CLOCK).unwrap();
            for later in [Now::Known(NOW.days(9)), Now::AtLeast(NOW.days(9))] {
                let refused = node.refuses(&publisher.files, later).to_string();
                assert!(refused.contains("expired at") && refused.contains(role), "{role}: {refused}");
            }
        }
    }
}

/// TUF 6, malicious mirrors: a mirror can do no more than to send nothing.
mod malicious_mirrors {
    use super::*;

    #[test]
    fn a_refused_mirror_does_not_stop_another_one() {
        for now in BOTH {
            let mut publisher = Publisher::new();
            let mut node = publisher.node();
            node.refresh(&publisher.files, now).unwrap();
            publisher.rotate(TopRole::Root, &[11, 12], 2);
            let files = publisher.release("version 2");
            for file in ["2.root.json", "timestamp.json", "3.snapshot.json", "2.targets.json"] {
                let answers = [Some(b"".to_vec()), Some(b"{}".to_vec()), Some(b"\xff\xfe".to_vec()), None];
                for answer in answers {
                    let mut mirror = files.clone();
                    mirror.remove(file);
                    let is_missing = answer.is_none();
                    mirror.extend(answer.map(|content| (name(file), content)));
                    let mut victim = node.clone();
                    let refused = victim.refresh(&mirror, now);
                    // Only a root can be missing: the mirror then hides that there is a newer one.
                    assert!(refused.is_err() || (is_missing && file == "2.root.json"), "{file}");
                    assert_eq!(victim.app(&files, now).length, 9);
                }
            }
        }
    }

    #[test]
    fn every_byte_of_every_file_matters() {
        let publisher = Publisher::new();
        for (file, content) in publisher.files.iter().filter(|(file, _)| *file != "1.root.json") {
            for position in (0..content.len()).step_by(23) {
                let mut changed = content.clone();
                changed[position] ^= 1;
                let mirror = with(&publisher.files, file, changed.clone());
                let accepted = publisher.node().refresh(&mirror, WITH_CLOCK);
                // In a timestamp, of which nobody names the hash, the signature permits other white space and the like.
                let is_same = || {
                    let signed = |content: &[u8]| serde_json::from_slice::<serde_json::Value>(content).ok();
                    signed(&changed).map(|value| value["signed"].clone())
                        == signed(content).map(|value| value["signed"].clone())
                };
                assert!(accepted.is_err() || is_same(), "{file} at {position}");
            }
        }
    }
}

/// TUF 7, mix and match: the mirror combines files of different releases.
mod mix_and_match {
    use super::*;

    #[test]
    fn all_files_are_those_of_one_snapshot() {
        for now in BOTH {
            let mut publisher = Publisher::new();
            let old = publisher.files.clone();
            publisher.set("driver", "version 1");
            let new = publisher.release("version 2");
            let node = publisher.node();
            for (file, other) in
                [("2.targets.json", "1.targets.json"), ("2.snapshot.json", "1.snapshot.json")]
            {
                let mirror = with(&new, file, old[other].clone());
                assert!(is_mismatch(node.clone().refuses(&mirror, now)));
            }
            // All targets of a release come from one snapshot.
            let (app, driver) =
                (node.clone().app(&new, now), node.clone().find(&new, "driver", now).unwrap().unwrap());
            assert_eq!(app.provenance, driver.provenance);
        }
    }
}

/// TUF 8, rollback: the mirror offers older metadata than the node has seen.
mod rollback {
    use super::*;

    #[test]
    fn an_older_timestamp_is_refused() {
        for now in BOTH {
            let mut publisher = Publisher::new();
            let old = publisher.files.clone();
            let new = publisher.release("version 2");
            let mut node = publisher.node();
            node.refresh(&new, now).unwrap();
            assert!(is_older(node.refuses(&old, now)));
            assert_eq!(node.offline(now).unwrap().versions().timestamp, 2);
        }
    }

    #[test]
    fn stolen_online_keys_cannot_roll_back_the_targets() {
        for now in BOTH {
            let mut publisher = Publisher::new();
            let old = publisher.files.clone();
            let new = publisher.release("version 2");
            let mut node = publisher.node();
            node.refresh(&new, now).unwrap();
            assert!(is_older(node.refuses(&stolen(&old, &new, 3), now)));
            // The publisher goes on with a higher version than the thief.
            publisher.release("version 3");
            assert_eq!(node.app(&publisher.release("version 4"), now).provenance.version, 4);
        }
    }

    /// The thief first names a snapshot that no mirror has, so that the snapshot of the node and its timestamp no longer
    /// belong together. The versions in it must count all the same, also after a restart.
    #[test]
    fn a_hidden_snapshot_does_not_make_a_node_forget_versions() {
        for now in BOTH {
            let mut publisher = Publisher::new();
            let old = publisher.files.clone();
            let new = publisher.release("version 2");
            let mut node = publisher.node();
            node.refresh(&new, now).unwrap();
            let bait = forge(&new["timestamp.json"], &[7], |signed| {
                signed["version"] = json!(3);
                signed["meta"]["snapshot.json"] = json!({"version": 3});
            });
            let missing = node.refuses(&with(&new, "timestamp.json", bait), now);
            assert!(matches!(&missing, VerifyError::Missing { .. }), "{missing}");
            assert!(is_older(node.refuses(&stolen(&old, &new, 4), now)));
        }
    }

    /// Signs a snapshot with the old targets, and a timestamp that names it.
    fn stolen(old: &Files, new: &Files, version: u64) -> Files {
        let mut files = new.clone();
        let snapshot = forge(&new["2.snapshot.json"], &[6], |signed| {
            signed["version"] = json!(version);
            signed["meta"]["targets.json"] = entry(&old["1.targets.json"]);
        });
        let timestamp = forge(&new["timestamp.json"], &[7], |signed| {
            signed["version"] = json!(version);
            signed["meta"]["snapshot.json"] = entry(&snapshot);
        });
        files.extend([(format!("{version}.snapshot.json"), snapshot), (name("timestamp.json"), timestamp)]);
        files
    }

    #[test]
    fn a_role_cannot_vanish_from_the_snapshot() {
        for now in BOTH {
            let mut publisher = Publisher::new();
            publisher.repository.delegate(&TargetsRole::Top, &delegation("lab", 8), NOW.days(90)).unwrap();
            publisher.signers.push(8);
            let new = publisher.release("version 2");
            let mut node = publisher.node();
            node.refresh(&new, now).unwrap();
            let snapshot = forge(&new["2.snapshot.json"], &[6], |signed| {
                signed["version"] = json!(3);
                signed["meta"].as_object_mut().unwrap().remove("lab.json");
            });
            let timestamp = forge(&new["timestamp.json"], &[7], |signed| {
                signed["version"] = json!(3);
                signed["meta"]["snapshot.json"] = entry(&snapshot);
            });
            let mut mirror = with(&new, "3.snapshot.json", snapshot);
            mirror.insert(name("timestamp.json"), timestamp);
            assert!(is_mismatch(node.refuses(&mirror, now)));
            // The publisher removes a delegation without that.
            publisher.repository.remove_delegation(&TargetsRole::Top, &"lab".parse().unwrap()).unwrap();
            publisher.publish();
            node.refresh(&publisher.files, now).unwrap();
        }
    }

    #[test]
    fn a_root_is_never_taken_back() {
        for now in BOTH {
            let mut publisher = Publisher::new();
            publisher.rotate(TopRole::Root, &[11, 12], 2);
            let mut node = publisher.node();
            node.refresh(&publisher.files, now).unwrap();
            // The old keys sign another root 3.
            let mirror = with(
                &publisher.files,
                "3.root.json",
                forge(&publisher.root(1), &[1, 2, 3], |signed| signed["version"] = json!(3)),
            );
            assert!(is_unsigned(node.refuses(&mirror, now)));
            let mirror = with(&publisher.files, "3.root.json", publisher.root(1));
            assert!(matches!(cause(node.refuses(&mirror, now)), Cause::RootOrder { trusted: 2, offered: 1 }));
        }
    }
}

fn delegation(name: &str, number: u8) -> Delegation {
    let paths = vec![format!("{name}/*")];
    Delegation { name: name.parse().unwrap(), keys: keys(&[number], 1), paths, terminating: false }
}

/// TUF 9, slow retrieval: the mirror sends so slowly that nothing is ever installed.
mod slow_retrieval {
    use super::*;
    use std::sync::Arc;
    use store::Store;

    /// A mirror that needs a time for each file.
    struct Slow(Files, Duration);

    impl Mirror for Slow {
        async fn fetch(&self, name: &FileName, _: u64) -> Result<Option<Vec<u8>>, MirrorError> {
            tokio::time::sleep(self.1).await;
            Ok(self.0.get(name.as_ref()).cloned())
        }
    }

    fn client(publisher: &Publisher, files: Files, seconds: u64) -> (tempfile::TempDir, Client<Slow>) {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&folder.path().join("store")).unwrap().0);
        let store = MetadataStore::new(&store, "releases");
        (folder, Client::new(Slow(files, Duration::from_secs(seconds)), store, publisher.root(1)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_mirror_that_sends_nothing_is_left_after_a_limited_time() {
        let publisher = Publisher::new();
        let (_folder, client) = client(&publisher, publisher.files.clone(), FETCH_SECONDS + 1);
        for now in BOTH {
            let begun = tokio::time::Instant::now();
            let slow = client.refresh(now).await.unwrap_err();
            assert!(matches!(slow, ClientError::Slow { .. }), "{slow}");
            assert!(begun.elapsed().as_secs() <= FETCH_SECONDS + 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_mirror_that_sends_each_file_just_in_time_is_left_as_well() {
        let publisher = Publisher::new();
        let mut files = publisher.files.clone();
        for version in 2..100 {
            let root = forge(&publisher.root(1), &[1, 2], |signed| signed["version"] = json!(version));
            files.insert(root_name(version), root);
        }
        let (_folder, client) = client(&publisher, files, FETCH_SECONDS - 1);
        let begun = tokio::time::Instant::now();
        let slow = client.refresh(WITH_CLOCK).await.unwrap_err();
        assert!(matches!(slow, ClientError::Slow { .. }), "{slow}");
        assert!(begun.elapsed().as_secs() <= TOTAL_SECONDS + 1);
    }

    #[tokio::test]
    async fn the_client_finds_a_target_and_remembers_it_without_the_mirror() {
        let publisher = Publisher::new();
        let (_folder, client) = client(&publisher, publisher.files.clone(), 0);
        assert!(matches!(client.offline(WITH_CLOCK), Err(ClientError::Verify(VerifyError::Incomplete))));
        let mut verified = client.refresh(WITH_CLOCK).await.unwrap();
        let target = client.find(&mut verified, path("app"), WITH_CLOCK).await.unwrap().unwrap();
        assert_eq!(client.find(&mut verified, path("none"), WITH_CLOCK).await.unwrap(), None);
        let mut verified = client.offline(WITH_CLOCK).unwrap();
        let again = client.find(&mut verified, path("app"), WITH_CLOCK).await.unwrap().unwrap();
        assert_eq!((again, verified.paths().collect::<Vec<_>>()), (target, vec![path("app")]));
    }
}

/// TUF 10, vulnerability to key compromise: fewer stolen keys than the threshold can do nothing.
mod key_compromise {
    use super::*;

    #[test]
    fn one_of_two_target_keys_cannot_sign_targets() {
        for now in BOTH {
            let publisher = Publisher::new();
            let mut files = publisher.files.clone();
            let targets = forge(&files["1.targets.json"], &[4], |signed| signed["version"] = json!(2));
            let snapshot = forge(&files["1.snapshot.json"], &[6], |signed| {
                signed["version"] = json!(2);
                signed["meta"]["targets.json"] = entry(&targets);
            });
            let timestamp = forge(&files["timestamp.json"], &[7], |signed| {
                signed["version"] = json!(2);
                signed["meta"]["snapshot.json"] = entry(&snapshot);
            });
            files.extend([
                (name("2.targets.json"), targets),
                (name("2.snapshot.json"), snapshot),
                (name("timestamp.json"), timestamp),
            ]);
            assert!(is_unsigned(publisher.node().refuses(&files, now)));
        }
    }

    #[test]
    fn a_key_that_signs_twice_counts_once() {
        for now in BOTH {
            let publisher = Publisher::new();
            let root = forge(&publisher.root(1), &[1, 1], |signed| signed["version"] = json!(2));
            assert!(publisher.node().refresh(&with(&publisher.files, "2.root.json", root), now).is_err());
        }
    }

    #[test]
    fn one_root_key_cannot_make_a_root() {
        for now in BOTH {
            let publisher = Publisher::new();
            // The thief names only its own key in the new root.
            let mine = key(90).public_key_json();
            let root = forge(&publisher.root(1), &[1, 90], |signed| {
                signed["version"] = json!(2);
                signed["keys"][mine.0.as_str()] = mine.1.clone();
                signed["roles"]["root"] = json!({"keyids": [mine.0], "threshold": 1});
            });
            assert!(is_unsigned(publisher.node().refuses(&with(&publisher.files, "2.root.json", root), now)));
        }
    }

    #[test]
    fn a_root_without_the_signatures_of_its_own_new_keys_is_refused() {
        for now in BOTH {
            let publisher = Publisher::new();
            let mine = key(90).public_key_json();
            let root = forge(&publisher.root(1), &[1, 2], |signed| {
                signed["version"] = json!(2);
                signed["keys"][mine.0.as_str()] = mine.1.clone();
                signed["roles"]["root"] = json!({"keyids": [mine.0], "threshold": 1});
            });
            assert!(is_unsigned(publisher.node().refuses(&with(&publisher.files, "2.root.json", root), now)));
        }
    }

    #[test]
    fn a_key_that_was_taken_away_counts_no_more() {
        for now in BOTH {
            let mut publisher = Publisher::new();
            let old = publisher.files.clone();
            let mut node = publisher.node();
            node.refresh(&old, now).unwrap();
            publisher.rotate(TopRole::Targets, &[14, 15], 2);
            node.refresh(&publisher.files, now).unwrap();
            let targets = forge(&old["1.targets.json"], &[4, 5], |signed| signed["version"] = json!(3));
            let snapshot = forge(&publisher.files["2.snapshot.json"], &[6], |signed| {
                signed["version"] = json!(3);
                signed["meta"]["targets.json"] = entry(&targets);
            });
            let timestamp = forge(&publisher.files["timestamp.json"], &[7], |signed| {
                signed["version"] = json!(3);
                signed["meta"]["snapshot.json"] = entry(&snapshot);
            });
            let mut mirror = publisher.files.clone();
            mirror.extend([
                (name("3.targets.json"), targets),
                (name("3.snapshot.json"), snapshot),
                (name("timestamp.json"), timestamp),
            ]);
            assert!(is_unsigned(node.refuses(&mirror, now)));
        }
    }

    #[test]
    fn a_node_that_skipped_many_roots_follows_all_of_them() {
        for now in BOTH {
            let mut publisher = Publisher::new();
            let mut node = publisher.node();
            node.refresh(&publisher.files, now).unwrap();
            for number in 0..5 {
                // Each root has other keys, and the old keys no longer sign.
                let new = [20 + 3 * number, 21 + 3 * number, 22 + 3 * number];
                publisher.rotate(TopRole::Root, &new, 2);
                publisher.signers = [&new[..], &[4, 5, 6, 7]].concat();
            }
            assert_eq!(node.refresh(&publisher.files, now).unwrap().versions().root, 6);
            assert_eq!(node.app(&publisher.files, now).length, 9);
            // A gap cannot be skipped.
            let mut mirror = publisher.files.clone();
            mirror.remove("4.root.json");
            let (mut late, expected) = (publisher.node(), 3);
            match late.refresh(&mirror, now) {
                Ok(verified) => assert_eq!(verified.versions().root, expected),
                Err(refused) => panic!("{refused}"),
            }
        }
    }

    #[test]
    fn only_the_last_root_must_not_have_expired() {
        let mut publisher = Publisher::new();
        publisher.repository.renew(&tuf::Role::Root, NOW.days(1)).unwrap();
        publisher.publish();
        publisher.repository.renew(&tuf::Role::Root, NOW.days(900)).unwrap();
        publisher.online_until = NOW.days(900);
        publisher.repository.renew(&tuf::Role::Targets(TargetsRole::Top), NOW.days(900)).unwrap();
        publisher.publish();
        // The first root expired as well.
        publisher.node().refresh(&publisher.files, Now::Known(NOW.days(500))).unwrap();
    }

    #[test]
    fn the_editor_does_not_publish_with_too_few_signatures() {
        let mut publisher = Publisher::new();
        publisher.set("app", "version 2");
        publisher.signers = vec![1, 2, 4, 6, 7];
        let refused = publisher.try_publish().unwrap_err();
        assert!(matches!(&refused, EditError::Unsigned(missing) if missing.len() == 1), "{refused}");
        assert!(refused.to_string().contains("targets has 1 of 2"), "{refused}");
        publisher.signers = vec![5];
        publisher.sign().unwrap();
        publisher.signers = vec![6, 7];
        publisher.publish();
    }

    trait KeyJson {
        fn public_key_json(&self) -> (String, serde_json::Value);
    }

    impl KeyJson for tuf::edit::SecretKey {
        fn public_key_json(&self) -> (String, serde_json::Value) {
            use tuf::edit::Signer as _;
            let key = self.public_key();
            let value =
                json!({"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": key.to_string()}});
            (key.id().to_string(), value)
        }
    }
}

/// TUF 11, wrong software installation: another target or repository than the node asked for.
mod wrong_software {
    use super::*;

    #[test]
    fn a_repository_of_another_publisher_is_refused() {
        for now in BOTH {
            let (publisher, other) =
                (Publisher::new(), Publisher::with_keys(&[31, 32, 33], &[34, 35], 36, 37));
            assert!(is_unsigned(publisher.node().refuses(&other.files, now)));
            // Also when the root is not of the same version.
            let mut other = other;
            other.rotate(TopRole::Timestamp, &[38], 1);
            assert!(is_unsigned(publisher.node().refuses(&other.files, now)));
        }
    }

    #[test]
    fn a_delegated_role_cannot_list_targets_outside_its_paths() {
        for now in BOTH {
            let mut publisher = Publisher::new();
            publisher.repository.delegate(&TargetsRole::Top, &delegation("lab", 8), NOW.days(90)).unwrap();
            publisher.signers.push(8);
            // The editor refuses it, and the holder of the key writes it all the same.
            let refused =
                publisher.repository.set_target(&role("lab"), &path("sensors/a"), content("x")).unwrap_err();
            assert!(matches!(refused, EditError::NotDelegated { .. }), "{refused}");
            publisher.repository.set_target(&role("lab"), &path("lab/a"), content("x")).unwrap();
            publisher.publish();
            let mut files = publisher.files.clone();
            let lab = forge(&files["1.lab.json"], &[8], |signed| {
                let entry = signed["targets"]["lab/a"].clone();
                signed["targets"]["sensors/a"] = entry.clone();
                signed["targets"]["app"] = entry;
            });
            let snapshot =
                forge(&files["2.snapshot.json"], &[6], |signed| signed["meta"]["lab.json"] = entry(&lab));
            let timestamp = forge(&files["timestamp.json"], &[7], |signed| {
                signed["meta"]["snapshot.json"] = entry(&snapshot)
            });
            files.extend([
                (name("1.lab.json"), lab),
                (name("2.snapshot.json"), snapshot),
                (name("timestamp.json"), timestamp),
            ]);
            let mut node = publisher.node();
            assert_eq!(node.find(&files, "sensors/a", now).unwrap(), None);
            assert_eq!(node.find(&files, "lab/a", now).unwrap().unwrap().provenance.role, "lab");
            assert_eq!(node.app(&files, now).provenance.role, "targets");
        }
    }

    #[test]
    fn a_delegated_role_needs_the_keys_of_its_delegator() {
        for now in BOTH {
            let mut publisher = Publisher::new();
            publisher.repository.delegate(&TargetsRole::Top, &delegation("lab", 8), NOW.days(90)).unwrap();
            publisher.signers.push(8);
            publisher.repository.set_target(&role("lab"), &path("lab/a"), content("x")).unwrap();
            publisher.publish();
            let mut files = publisher.files.clone();
            // The keys of the top role do not suffice for it.
            let lab = forge(&files["1.lab.json"], &[4, 5], |signed| {
                signed["targets"]["lab/a"]["length"] = json!(2)
            });
            let snapshot =
                forge(&files["2.snapshot.json"], &[6], |signed| signed["meta"]["lab.json"] = entry(&lab));
            let timestamp = forge(&files["timestamp.json"], &[7], |signed| {
                signed["meta"]["snapshot.json"] = entry(&snapshot)
            });
            files.extend([
                (name("1.lab.json"), lab),
                (name("2.snapshot.json"), snapshot),
                (name("timestamp.json"), timestamp),
            ]);
            assert!(is_unsigned(publisher.node().find(&files, "lab/a", now).unwrap_err()));
            // Other targets are not affected.
            assert!(publisher.node().find(&files, "app", now).unwrap().is_some());
        }
    }

    #[test]
    fn searches_are_bounded_in_depth_and_number() {
        let chain = |count: usize| {
            let mut publisher = Publisher::new();
            let mut from = TargetsRole::Top;
            for number in 0..count {
                let new =
                    Delegation { paths: vec!["deep/*".to_owned()], ..delegation(&format!("d{number}"), 8) };
                publisher.repository.delegate(&from, &new, NOW.days(90)).unwrap();
                from = role(&format!("d{number}"));
            }
            publisher.repository.set_target(&from, &path("deep/a"), content("x")).unwrap();
            publisher.signers.push(8);
            publisher.publish();
            publisher.node().find(&publisher.files, "deep/a", WITH_CLOCK)
        };
        assert!(chain(8).unwrap().is_some());
        assert!(matches!(chain(9), Err(VerifyError::TooManyRoles { .. })));
        let wide = |count: usize| {
            let mut publisher = Publisher::new();
            for number in 0..count {
                let new =
                    Delegation { paths: vec!["deep/*".to_owned()], ..delegation(&format!("d{number}"), 8) };
                publisher.repository.delegate(&TargetsRole::Top, &new, NOW.days(90)).unwrap();
            }
            publisher.signers.push(8);
            publisher.publish();
            publisher.node().find(&publisher.files, "deep/a", WITH_CLOCK)
        };
        assert_eq!(wide(31).unwrap(), None);
        assert!(matches!(wide(32), Err(VerifyError::TooManyRoles { .. })));
    }
}

/// Attacks that Uptane adds. It names four groups: reading updates, which are public here; denying them; denying
/// functions, which are arbitrary, mixed and partial installations; and control, which needs the keys.
mod uptane {
    use super::*;

    #[test]
    fn a_node_without_any_mirror_keeps_what_it_has() {
        for now in BOTH {
            let mut publisher = Publisher::new();
            let mut node = publisher.node();
            let nothing = Files::new();
            assert!(matches!(node.refuses(&nothing, now), VerifyError::Missing { .. }));
            assert!(matches!(node.offline(now), Err(VerifyError::Incomplete)));
            node.refresh(&publisher.files, now).unwrap();
            let files = publisher.release("version 2");
            for _ in 0..3 {
                assert!(matches!(node.refuses(&nothing, now), VerifyError::Missing { .. }));
            }
            assert_eq!(node.offline(now).unwrap().versions().timestamp, 1);
            assert_eq!(node.app(&files, now).provenance.timestamp, 2);
        }
    }

    /// A partial bundle: the mirror has some files of a release only.
    #[test]
    fn a_release_of_which_files_are_missing_is_not_used_in_part() {
        for now in BOTH {
            let mut publisher = Publisher::new();
            let mut node = publisher.node();
            node.refresh(&publisher.files, now).unwrap();
            let new = publisher.release("version 2");
            for file in ["2.snapshot.json", "2.targets.json"] {
                let mut partial = new.clone();
                partial.remove(file);
                let mut victim = node.clone();
                assert!(matches!(victim.refuses(&partial, now), VerifyError::Missing { .. }));
                // The new timestamp is trusted, so the old files are not complete any more.
                assert!(victim.offline(now).is_err());
                assert_eq!(victim.app(&new, now).provenance.version, 2);
            }
        }
    }

    /// A clock that goes back must not make old metadata fresh: the caller passes the time floor of its store.
    #[test]
    fn a_clock_that_was_set_back_does_not_bring_old_metadata_back() {
        let mut publisher = Publisher::new();
        let old = publisher.files.clone();
        let mut node = publisher.node();
        node.refresh(&publisher.release("version 2"), WITH_CLOCK).unwrap();
        for now in [Now::Known(Time(0)), Now::AtLeast(Time(0))] {
            assert!(is_older(node.refuses(&old, now)));
        }
    }

    #[test]
    fn a_root_of_another_repository_on_the_disk_is_ignored() {
        for now in BOTH {
            let (publisher, other) =
                (Publisher::new(), Publisher::with_keys(&[31, 32, 33], &[34, 35], 36, 37));
            let mut node = publisher.node();
            node.refresh(&publisher.files, now).unwrap();
            // The owner of the node changes the repository.
            node.bootstrap = other.root(1);
            assert_eq!(node.app(&other.files, now).length, 9);
            assert!(is_unsigned(node.refuses(&publisher.files, now)));
        }
    }
}
