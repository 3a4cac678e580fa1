//! The pure decider: what this node states about itself, when it renews it, and when it withdraws it.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::claims::{Claim, claims, own_buckets};
use dcache::{Item, Moment, PeerId, Set, Statements, Time, Validity};
use service::{Decide, Decision, LocalFacts};
use std::convert::Infallible;

/// Decides what this node states about itself.
#[derive(Clone, Debug)]
pub struct Announcer {
    me: PeerId,
    facts: LocalFacts,
}

impl Announcer {
    /// Makes the decider of the node `me`.
    pub fn new(me: PeerId, facts: LocalFacts) -> Self {
        Self { me, facts }
    }

    /// Replaces the facts about the node.
    pub fn set_facts(&mut self, facts: LocalFacts) {
        self.facts = facts;
    }
}

impl Decide for Announcer {
    type Action = Infallible;

    /// States claims that are not in the set or past half of their validity, and withdraws what the node claims no more.
    fn decide(&mut self, set: &Set, now: Moment) -> Decision<Infallible> {
        let now = now.time;
        let mut statements = Statements::new();
        let mut wake: Option<Time> = None;
        let claims: Vec<Claim> = claims(self.me, &self.facts);
        for claim in &claims {
            let half = claim.lifetime / 2;
            let until = own_until(set, self.me, &claim.item, now).filter(|until| *until > now.plus(half));
            let until = until.unwrap_or_else(|| {
                statements.propose(claim.item.clone(), Validity::starting(now, claim.lifetime));
                now.plus(claim.lifetime)
            });
            let renewal = Time(until.0.saturating_sub(half));
            wake = Some(wake.map_or(renewal, |wake| wake.min(renewal)));
        }
        withdraw(&mut statements, set, self.me, &self.facts, &claims, now);
        Decision::state(statements, wake)
    }
}

/// Dismisses what the node stated in buckets of its own and claims no more.
fn withdraw(
    statements: &mut Statements,
    set: &Set,
    me: PeerId,
    facts: &LocalFacts,
    claims: &[Claim],
    now: Time,
) {
    for bucket in own_buckets(me, facts) {
        for view in set.bucket(&bucket, now) {
            let is_claimed = claims.iter().any(|claim| claim.item == *view.item);
            if let (false, Some(until)) = (is_claimed, own_until(set, me, view.item, now)) {
                statements.dismiss(view.item.clone(), Validity::starting(now, until.since(now)));
            }
        }
    }
}

/// Returns until when `me` states that the item is in its bucket; `None` when it does not.
fn own_until(set: &Set, me: PeerId, item: &Item, now: Time) -> Option<Time> {
    let view = set.item(item, now)?;
    let own = view.proposals.iter().find(|record| record.signer() == me)?;
    own.validity().until()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::{Keypair, Kind, Record, Statement};

    /// Decides at `now` with these facts.
    fn decide(set: &Set, me: PeerId, facts: &LocalFacts, now: Time) -> Decision<Infallible> {
        Announcer::new(me, facts.clone()).decide(set, Moment::certain(now))
    }

    fn statements(set: &Set, me: PeerId, facts: &LocalFacts, now: Time) -> Statements {
        decide(set, me, facts, now).statements
    }

    const NOW: Time = Time(1_800_000_000);

    fn facts(address: &str) -> LocalFacts {
        let lines = vec![format!("{address}:8000").parse().unwrap()];
        let ipfs = Some(vec![format!("/ip4/{address}/tcp/6002")]);
        LocalFacts { hostname: "duckie".into(), version: "1".into(), lines, ipfs }
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
        assert_eq!(decide(&set, me, &here, NOW).wake, Some(NOW.plus(300)));
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
        assert!(statements(&set, me, &LocalFacts { ipfs: None, ..here }, NOW).is_empty());
    }
}
