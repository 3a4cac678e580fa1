//! Says what this node claims, renews it, and takes back what is not true any more.

use crate::claims::{Claim, Facts, claims, own_buckets};
use dcache::{Item, PeerId, Set, Statements, Time, Validity};
use std::time::Duration;
use swarm::{SayError, Stopped, Swarm};
use tokio::sync::watch;

/// How often renewals are looked for: a presence of ten minutes is renewed after five.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// Several facts that change in this time, as when a network comes up, are said together.
const GATHER: Duration = Duration::from_millis(100);

/// Why the announcer cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum AnnounceError {
    /// The daemon is stopping.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// What `me` has to say at `now`: claims that are not in the set or half over, and the end of those that it claims no
/// more. Pure.
pub fn statements(set: &Set, me: PeerId, facts: &Facts, now: Time) -> Statements {
    let mut statements = Statements::new();
    let claims: Vec<Claim> = claims(me, facts);
    for claim in &claims {
        let until = own_until(set, me, &claim.item, now);
        if until.is_none_or(|until| until <= now.plus(claim.lifetime / 2)) {
            statements.propose(claim.item.clone(), Validity::starting(now, claim.lifetime));
        }
    }
    for bucket in own_buckets(me, facts) {
        for view in set.bucket(&bucket, now) {
            let is_claimed = claims.iter().any(|claim| claim.item == *view.item);
            if let (false, Some(until)) = (is_claimed, own_until(set, me, view.item, now)) {
                statements.dismiss(view.item.clone(), Validity::starting(now, until.since(now)));
            }
        }
    }
    statements
}

/// Until when `me` says that the item is there; `None` when it does not.
fn own_until(set: &Set, me: PeerId, item: &Item, now: Time) -> Option<Time> {
    let view = set.item(item, now)?;
    let own = view.proposals.iter().find(|record| record.signer() == me)?;
    own.validity().until()
}

/// Announces this node until it is dropped; ends only when the swarm does.
///
/// # Errors
/// When the daemon is stopping.
pub async fn run_announcer(swarm: Swarm, mut facts: watch::Receiver<Facts>) -> Result<(), AnnounceError> {
    loop {
        let me = swarm.me();
        let current = facts.borrow_and_update().clone();
        let statements = swarm.read(move |set, now| statements(set, me, &current, now)).await?;
        match swarm.say(statements).await {
            Err(SayError::Stopped(stopped)) => return Err(stopped.into()),
            Err(error) => tracing::warn!(%error, "this node could not announce itself; trying again"),
            Ok(()) => {}
        }
        tokio::select! {
            Ok(()) = facts.changed() => tokio::time::sleep(GATHER).await,
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::{Keypair, Kind, Record, Statement};

    const NOW: Time = Time(1_800_000_000);

    fn facts(address: &str) -> Facts {
        let lines = vec![format!("{address}:8000").parse().unwrap()];
        let ipfs = Some(vec![format!("/ip4/{address}/tcp/6002")]);
        Facts { hostname: "duckie".into(), version: "1".into(), lines, ipfs }
    }

    /// Says everything that is to be said, as the swarm would.
    fn say(set: &mut Set, kind: Kind, item: &Item, validity: Validity) {
        let key = Keypair::from_seed([1; 32]);
        let sequence = set.latest_sequence(key.peer_id()) + 1;
        let statement = Statement::new(kind, item.clone(), validity).unwrap();
        set.admit_verified(Record::sign(statement, &key, sequence, dcache::End::default()), NOW).unwrap();
    }

    #[test]
    fn says_renews_and_takes_back() {
        let me = Keypair::from_seed([1; 32]).peer_id();
        let mut set = Set::default();
        let (here, there) = (facts("10.0.0.1"), facts("10.0.0.2"));
        let before = claims(me, &here);
        assert_eq!(before.len(), 5);
        for claim in &before {
            say(&mut set, Kind::Propose, &claim.item, Validity::starting(NOW, claim.lifetime));
        }
        assert!(statements(&set, me, &here, NOW).is_empty());
        // After five minutes the presence alone is renewed.
        let mut renewal = Statements::new();
        renewal.propose(before[0].item.clone(), Validity::starting(NOW.plus(300), 600));
        assert_eq!(statements(&set, me, &here, NOW.plus(300)), renewal);
        // At another address the old ones are taken back for as long as they were said.
        let after = claims(me, &there);
        let mut change = Statements::new();
        for new in &after[3..] {
            change.propose(new.item.clone(), Validity::starting(NOW, 3600));
        }
        for old in &before[3..] {
            change.dismiss(old.item.clone(), Validity::starting(NOW, 3600));
        }
        assert_eq!(statements(&set, me, &there, NOW), change);
        // After a restart, before the node listens, what was said of it still holds.
        assert!(statements(&set, me, &Facts { ipfs: None, ..here }, NOW).is_empty());
    }
}
