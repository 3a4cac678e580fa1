//! The peers that may use this node as a relay. In a swarm with roots, these are the holders of a role and the robots
//! that state their presence, as the policy of the swarm counts them. In the open swarm, everybody may.

use dcache::{Moment, Role, Set, SwarmFile, Time, buckets};
use ipfs::PeerId;
use ipfs::node::Admission;
use service::{Decide, Decision, DecisionLoop};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use swarm::{Stopped, Swarm};
use tokio::sync::watch;

/// Maximum number of peers that may use the relay. More than its connections is of no use, but strangers can state
/// their presence too, and must not displace robots easily.
const MAX_USERS: usize = 16_384;
/// Time in which arriving records are gathered for one decision.
const GATHER: Duration = Duration::from_millis(500);

/// The peers that may use the relay; `None` stands for everybody.
pub(crate) type Users = Option<Arc<BTreeSet<PeerId>>>;

/// Returns the rule for the relay of this node.
pub(crate) fn admission(users: watch::Receiver<Users>) -> Admission {
    Admission::new(move |peer| users.borrow().as_ref().is_none_or(|users| users.contains(peer)))
}

/// Decider that reads who holds a role and who is present.
struct RelayUsers;

impl Decide for RelayUsers {
    type Action = PeerId;

    fn decide(&mut self, set: &Set, now: Moment) -> Decision<PeerId> {
        let wake = set.next_edge(&[buckets::PEER.matcher()], now.time);
        Decision { actions: users(set, now.time), wake, ..Decision::default() }
    }
}

/// Returns the holders of a role, and then the peers that are present.
fn users(set: &Set, now: Time) -> Vec<PeerId> {
    let given = [Role::Root, Role::Admin, Role::Trusted].into_iter().flat_map(|role| set.holders(role, now));
    let given = given.map(|peer| peer.to_string());
    let bucket = buckets::PEER.path();
    let present = set.bucket(&bucket, now).map(|view| view.item.data.as_str().to_owned());
    given.chain(present).take(MAX_USERS).filter_map(|peer| peer.parse().ok()).collect()
}

/// Keeps the list current until the daemon stops.
pub(crate) async fn run_relay_users(
    swarm: Swarm,
    mut membership: watch::Receiver<Option<SwarmFile>>,
    users: watch::Sender<Users>,
) -> Result<(), Stopped> {
    let is_of_interest = |bucket: &dcache::BucketPath| buckets::PEER.contains(bucket);
    let mut decisions = DecisionLoop::new(swarm, RelayUsers, is_of_interest, GATHER);
    loop {
        let is_open = membership.borrow_and_update().is_none();
        let found: BTreeSet<PeerId> = decisions.decide().await?.into_iter().collect();
        users.send_replace((!is_open).then(|| Arc::new(found)));
        tokio::select! {
            () = decisions.changed() => {}
            Ok(()) = membership.changed() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::{Data, End, Item, Keypair, Kind, Policy, Record, Rule, Statement, Validity};

    const NOW: Time = Time(1_800_000_000);

    fn key(seed: u8) -> Keypair {
        Keypair::from_seed([seed; 32])
    }

    fn say(set: &mut Set, by: u8, kind: Kind, bucket: dcache::BucketPath, about: u8) {
        let item = Item { bucket, data: Data::new(&key(about).peer_id().to_string()).unwrap() };
        let sequence = set.latest_sequence(key(by).peer_id()) + 1;
        let statement = Statement::new(kind, item, Validity::starting(NOW, 600)).unwrap();
        set.admit_verified(Record::sign(statement, &key(by), sequence, End::default()), NOW).unwrap();
    }

    #[test]
    fn roots_and_present_robots_use_the_relay_until_they_are_denied() {
        let one = std::num::NonZeroU8::MIN;
        let policy = Policy::new([key(1).peer_id()].into(), Vec::<Rule>::new(), one);
        let mut set = Set::new(policy, dcache::Limits::default());
        let is_user = |set: &Set, seed: u8| {
            let id: PeerId = key(seed).peer_id().to_string().parse().unwrap();
            users(set, NOW).contains(&id)
        };
        say(&mut set, 2, Kind::Propose, buckets::PEER.path(), 2);
        assert!(is_user(&set, 1) && is_user(&set, 2) && !is_user(&set, 3));
        say(&mut set, 1, Kind::Dismiss, buckets::PEER.path(), 2);
        set.update_roles(Moment::certain(NOW));
        assert!(!is_user(&set, 2));
    }
}
