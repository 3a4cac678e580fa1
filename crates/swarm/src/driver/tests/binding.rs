//! Tests of records and the swarm in which they were signed.

use super::*;

/// Returns the policy of a swarm whose root is this node, with signatures bound to an ID of this byte.
fn bound(byte: u8) -> Policy {
    let roots = [Keypair::from_seed([1; 32]).peer_id()].into();
    let binding = dcache::Binding { id: dcache::SwarmId::from_bytes([byte; 16]), from: Time::default() };
    dcache::SwarmFile::new("class", roots).unwrap().with_binding(binding).policy()
}

async fn held(swarm: &Swarm) -> Vec<String> {
    let data = |set: &Set| set.records().map(|record| record.item().data.as_str().to_owned()).collect();
    swarm.read(move |set, _| data(set)).await.unwrap()
}

#[tokio::test]
async fn records_signed_in_another_swarm_are_dropped_in_memory_and_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("records.redb");
    let begin = |policy| Life::in_swarm(&file, Faults::default(), system_clock, policy);
    let life = begin(Policy::default());
    let now = life.swarm.read(|_, now| now).await.unwrap();
    life.swarm.say(proposal("open", now)).await.unwrap();
    let mut clock_sets = life.swarm.clock_sets();
    clock_sets.borrow_and_update();
    life.swarm.adopt(bound(7)).await.unwrap();
    assert!(clock_sets.has_changed().unwrap(), "services make their statements again");
    assert_eq!(held(&life.swarm).await, Vec::<String>::new());
    life.swarm.say(proposal("seven", now)).await.unwrap();
    assert_eq!(held(&life.swarm).await, ["seven"]);
    life.end().await;
    // The daemon starts with the swarm of the last run, and with a swarm file that was changed while it did not run.
    for (policy, expected) in [(bound(7), vec!["seven"]), (bound(7), vec!["seven"]), (bound(8), vec![])] {
        let life = begin(policy);
        assert_eq!(held(&life.swarm).await, expected);
        life.end().await;
    }
    let life = begin(bound(7));
    assert_eq!(held(&life.swarm).await, Vec::<String>::new(), "the record is gone from the disk, too");
    life.end().await;
}

#[tokio::test]
async fn a_record_that_waits_for_the_disk_does_not_enter_another_swarm() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("records.redb");
    let life = Life::begin(&file);
    let now = life.swarm.read(|_, now| now).await.unwrap();
    // Both commands wait when the driver takes the first one, so the change comes while the record is written.
    let (said, adopted) = tokio::join!(life.swarm.say(proposal("open", now)), life.swarm.adopt(bound(7)));
    adopted.unwrap();
    assert!(matches!(said, Err(SayError::OtherSwarm)), "{said:?}");
    assert_eq!(held(&life.swarm).await, Vec::<String>::new());
    life.swarm.say(proposal("open", now)).await.unwrap();
    life.end().await;
    let life = Life::in_swarm(&file, Faults::default(), system_clock, bound(7));
    assert_eq!(held(&life.swarm).await, ["open"]);
    life.end().await;
}

#[tokio::test]
async fn a_swarm_that_gets_an_id_keeps_records_that_began_before() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("records.redb");
    let life = Life::in_swarm(&file, Faults::default(), system_clock, policy());
    let now = life.swarm.read(|_, now| now).await.unwrap();
    life.swarm.say(proposal("before", now)).await.unwrap();
    let id = dcache::SwarmId::from_bytes([7; 16]);
    let with_id = |from| policy().bound(Some(dcache::Binding { id, from }));
    life.swarm.adopt(with_id(now.plus(3600))).await.unwrap();
    assert_eq!(held(&life.swarm).await, ["before"]);
    life.end().await;
    let life = Life::in_swarm(&file, Faults::default(), system_clock, with_id(now.plus(3600)));
    assert_eq!(held(&life.swarm).await, ["before"]);
    life.end().await;
}
