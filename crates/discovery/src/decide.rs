//! The pure decider. It decides when a node makes, renews and withdraws statements about itself.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::Profile;
use crate::claims::{Claim, claims, own_buckets, presence};
use crate::copied::CopiedKey;
use crate::privacy::Privacy;
use dcache::{Item, Key, Kind, Moment, PeerId, Set, Statements, Time, Validity};
use service::{Decide, Decision, LocalFacts};
use std::convert::Infallible;

/// Decides the statements of a node about itself.
#[derive(Clone, Debug)]
pub struct Announcer {
    me: PeerId,
    facts: LocalFacts,
    profile: Profile,
    privacy: Privacy,
    copied: CopiedKey,
    is_leaving: bool,
}

impl Announcer {
    /// Creates the decider of the node `me`.
    pub fn new(me: PeerId, facts: LocalFacts) -> Self {
        let (profile, copied, privacy) = (Profile::default(), CopiedKey::default(), Privacy::default());
        Self { me, facts, profile, privacy, copied, is_leaving: false }
    }

    /// Replaces the facts about the node.
    pub fn set_facts(&mut self, facts: LocalFacts) {
        self.facts = facts;
    }

    /// Replaces the profile of the robot.
    pub fn set_profile(&mut self, profile: Profile) {
        self.profile = profile;
    }

    /// Sets which properties of the profile are stated.
    pub fn set_privacy(&mut self, privacy: Privacy) {
        self.privacy = privacy;
    }

    /// Notes that the node stops. The next decisions only withdraw its presence, so that the others see at once that it
    /// left. The node's other statements stay: they say where it was last, and are true again when it starts.
    pub fn leave(&mut self) {
        self.is_leaving = true;
    }

    /// Sets whether another host uses the key of this node.
    pub fn set_copied(&mut self, is_copied: bool) {
        self.copied.set(is_copied);
    }
}

impl Decide for Announcer {
    type Action = Infallible;

    /// Proposes claims that are missing in the set or have passed half of their validity. Withdraws former claims that
    /// are no longer true.
    fn decide(&mut self, set: &Set, now: Moment) -> Decision<Infallible> {
        if self.is_leaving {
            return Decision::state(self.farewell(set, now), None);
        }
        // A neighbour's clock may be `ahead` seconds ahead of ours. There the statement expires `ahead` seconds earlier.
        let (moment, now, ahead) = (now, now.time, now.latest().since(now.time));
        let mut statements = Statements::new();
        let mut wake: Option<Time> = None;
        let claims: Vec<Claim> = claims(self.me, &self.facts, &self.profile_in(set));
        for claim in &claims {
            let half = claim.lifetime / 2;
            let margin = half + ahead;
            let begins = begins_by(set, self.me, &claim.item, moment.earliest());
            let holds_for_all = |until: &Time| begins && *until > now.plus(margin);
            let until = own_until(set, self.me, &claim.item, now).filter(holds_for_all);
            let is_due = self.copied.is_due(claim, now);
            let until = until.filter(|_| !is_due).unwrap_or_else(|| {
                self.copied.stated(claim, now);
                let former = own_proposal(set, self.me, &claim.item);
                let validity = match moment.is_certain || claim.item != presence(self.me) {
                    true => Validity::renewed(former.as_ref(), now, claim.lifetime),
                    // Other nodes derive the time from statements of presence.
                    false => Validity::doubted(now, claim.lifetime),
                };
                match is_due {
                    true => statements.insist(claim.item.clone(), validity),
                    false => statements.propose(claim.item.clone(), validity),
                };
                now.plus(claim.lifetime + ahead)
            });
            let renewal = Time(until.0.saturating_sub(margin));
            wake = Some(wake.map_or(renewal, |wake| wake.min(renewal)));
        }
        self.withdraw(&mut statements, set, &claims, now);
        self.copied.decided(&claims);
        // The policy can deny a peer, which then makes no statements. When the denial ends, the roles change, and the peer
        // makes all statements again.
        let roles = set.next_edge(&[], now);
        Decision::state(statements, wake.into_iter().chain(self.copied.wake()).chain(roles).min())
    }
}

impl Announcer {
    /// Returns the profile to state in the swarm of the set. A swarm without roots is the open swarm.
    fn profile_in(&self, set: &Set) -> Profile {
        self.privacy.stated(&self.profile, set.policy().roots().is_empty())
    }

    /// Dismisses the presence of the node, unless another host with the same key is present under this name.
    fn farewell(&self, set: &Set, now: Moment) -> Statements {
        let (item, mut statements) = (presence(self.me), Statements::new());
        let until = own_proposal(set, self.me, &item).and_then(|own| own.until());
        if let Some(until) = until.filter(|until| *until > now.earliest() && !self.copied.is_copied()) {
            statements.dismiss(item, Validity::stated(now.time, until.since(now.time)));
        }
        statements
    }

    /// Dismisses former claims of the node in its own buckets.
    fn withdraw(&self, statements: &mut Statements, set: &Set, claims: &[Claim], now: Time) {
        for bucket in own_buckets(self.me, &self.facts) {
            for view in set.bucket(&bucket, now) {
                let is_claimed = claims.iter().any(|claim| claim.item == *view.item);
                if is_claimed || self.copied.may_be_theirs(view.item) {
                    continue;
                }
                if let Some(until) = own_until(set, self.me, view.item, now) {
                    statements.dismiss(view.item.clone(), Validity::stated(now, until.since(now)));
                }
            }
        }
    }
}

/// Returns the validity of the proposal of the item by `me`, even if the policy does not accept the proposal.
fn own_proposal(set: &Set, me: PeerId, item: &Item) -> Option<Validity> {
    let own = set.get(&Key { item: item.clone(), signer: me })?;
    (own.kind() == Kind::Propose).then(|| *own.validity())
}

/// Returns whether the proposal of the item by `me` begins at `time` or earlier.
fn begins_by(set: &Set, me: PeerId, item: &Item, time: Time) -> bool {
    own_proposal(set, me, item).is_some_and(|own| own.from().is_none_or(|from| from <= time))
}

/// Returns the end of the accepted proposal of the item by `me`; `None` when there is no such proposal or it has no
/// end.
fn own_until(set: &Set, me: PeerId, item: &Item, now: Time) -> Option<Time> {
    let view = set.item(item, now)?;
    let own = view.proposals.iter().find(|record| record.signer() == me)?;
    own.validity().until()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privacy::ShareProfile;
    use dcache::buckets::ADDRESSES;
    use dcache::{Keypair, Kind, Record, Statement};

    /// Returns the decision at `now` with these facts.
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
        LocalFacts { hostname: "duckie".into(), version: "1".into(), lines, ipfs, ..LocalFacts::default() }
    }

    /// Signs a statement with the key of the node and admits it to the set, as the swarm does.
    fn say(set: &mut Set, kind: Kind, item: &Item, validity: Validity) {
        let key = Keypair::from_seed([1; 32]);
        let sequence = set.latest_sequence(key.peer_id()) + 1;
        let statement = Statement::new(kind, item.clone(), validity).unwrap();
        set.admit_verified(Record::sign(statement, &key, sequence, dcache::End::default()), NOW).unwrap();
    }

    #[test]
    fn claims_are_proposed_renewed_and_withdrawn() {
        let me = Keypair::from_seed([1; 32]).peer_id();
        let mut set = Set::default();
        let (here, there) = (facts("10.0.0.1"), facts("10.0.0.2"));
        let before = claims(me, &here, &Profile::default());
        assert_eq!(before.len(), 5);
        for claim in &before {
            say(&mut set, Kind::Propose, &claim.item, Validity::stated(NOW, claim.lifetime));
        }
        assert!(statements(&set, me, &here, NOW).is_empty());
        assert_eq!(decide(&set, me, &here, NOW).wake, Some(NOW.plus(300)));
        // After five minutes only the presence is renewed.
        let mut renewal = Statements::new();
        let former = Validity::stated(NOW, 600);
        let renewed = Validity::renewed(Some(&former), NOW.plus(300), 600);
        assert_eq!(renewed.from(), former.from(), "the renewal keeps the start of the former statement");
        renewal.propose(before[0].item.clone(), renewed);
        assert_eq!(statements(&set, me, &here, NOW.plus(300)), renewal);
        // When the address changes, the old addresses are dismissed until their proposals expire.
        let after = claims(me, &there, &Profile::default());
        let mut change = Statements::new();
        for new in &after[3..] {
            change.propose(new.item.clone(), Validity::stated(NOW, 3600));
        }
        for old in &before[3..] {
            change.dismiss(old.item.clone(), Validity::stated(NOW, 3600));
        }
        assert_eq!(statements(&set, me, &there, NOW), change);
        // After a restart, before the IPFS node listens, its published addresses stay valid.
        assert!(statements(&set, me, &LocalFacts { ipfs: None, ..here }, NOW).is_empty());
    }

    #[test]
    fn the_presence_of_a_node_that_does_not_know_the_time_says_so() {
        let (me, mut set) = (Keypair::from_seed([1; 32]).peer_id(), Set::default());
        let mut announcer = Announcer::new(me, facts("10.0.0.1"));
        let mut state = |set: &mut Set, seconds: u64, is_certain: bool| {
            let moment = Moment { is_certain, ..Moment::certain(NOW.plus(seconds)) };
            for statement in announcer.decide(set, moment).statements.into_signable().unwrap() {
                say(set, statement.kind(), statement.item(), *statement.validity());
            }
            let doubted = set.records().filter(|record| record.validity().is_doubted(600));
            (doubted.count(), set.item(&presence(me), moment.time).is_some())
        };
        assert_eq!(state(&mut set, 0, false), (1, true));
        assert_eq!(state(&mut set, 300, false), (1, true));
        assert_eq!(state(&mut set, 600, true), (0, true), "the next statement is evidence again");
    }

    #[test]
    fn a_claim_that_is_invalid_by_the_clocks_of_the_neighbours_is_stated_again() {
        let me = Keypair::from_seed([1; 32]).peer_id();
        let facts = facts("10.0.0.1");
        let mut set = Set::default();
        for claim in claims(me, &facts, &Profile::default()) {
            say(&mut set, Kind::Propose, &claim.item, Validity::stated(NOW, claim.lifetime));
        }
        let decide_beside = |set: &Set, neighbours: Time| {
            let moment = Moment { neighbours, ..Moment::certain(NOW) };
            (moment, Announcer::new(me, facts.clone()).decide(set, moment))
        };
        assert!(decide_beside(&set, NOW.plus(60)).1.statements.is_empty());
        for neighbours in [NOW.plus(7200), Time(NOW.0 - 7200)] {
            let (moment, mut decision) = decide_beside(&set, neighbours);
            assert!(!decision.statements.is_empty(), "{neighbours}");
            decision.statements.reach(moment);
            let mut after = set.clone();
            for statement in decision.statements.into_signable().unwrap() {
                say(&mut after, statement.kind(), statement.item(), *statement.validity());
            }
            let (_, again) = decide_beside(&after, neighbours);
            assert!(again.statements.is_empty(), "a second statement is not needed");
            assert_eq!(again.wake, Some(NOW.plus(300)), "the presence is renewed in time for the neighbours");
            let address = claims(me, &facts, &Profile::default()).pop().unwrap();
            assert!(after.item(&address.item, neighbours).is_some());
        }
    }

    /// Simulates two hosts with the same key for an hour, with one decision of each host per minute. `are_told` means
    /// that both hosts know about the copied key. Returns the number of statements by both hosts, and the number of
    /// addresses in the set at the end.
    fn two_hosts(are_told: bool) -> (usize, usize) {
        let me = Keypair::from_seed([1; 32]).peer_id();
        let mut set = Set::default();
        let mut hosts = [facts("10.0.0.1"), facts("10.0.0.2")].map(|facts| Announcer::new(me, facts));
        hosts.iter_mut().for_each(|host| host.set_copied(are_told));
        let mut made = 0;
        for minute in 0..60 {
            for host in &mut hosts {
                let now = NOW.plus(60 * minute);
                for statement in host.decide(&set, Moment::certain(now)).statements.into_signable().unwrap() {
                    let validity = *statement.validity();
                    say(&mut set, statement.kind(), statement.item(), validity);
                    made += 1;
                }
            }
        }
        (made, set.bucket(&ADDRESSES.of(me), NOW.plus(3599)).count())
    }

    #[test]
    fn two_hosts_that_know_that_they_share_a_key_keep_each_others_addresses() {
        let (fighting, _) = two_hosts(false);
        assert!(fighting > 400, "each minute, both hosts dismiss the addresses of the other: {fighting}");
        // Both state their presence every five minutes. They state each claim with a longer lifetime once, and again after
        // half of its lifetime.
        let (at_peace, addresses) = two_hosts(true);
        assert!(at_peace <= 2 * 12 + 2 * 4 + 2, "{at_peace}");
        assert_eq!(addresses, 2, "neither host dismisses the address of the other");
    }

    #[test]
    fn a_host_whose_key_was_copied_still_dismisses_its_own_old_address() {
        let me = Keypair::from_seed([1; 32]).peer_id();
        let mut set = Set::default();
        let mut announcer = Announcer::new(me, facts("10.0.0.1"));
        announcer.set_copied(true);
        announcer.decide(&set, Moment::certain(NOW));
        let claims = |address| claims(me, &facts(address), &Profile::default());
        for claim in claims("10.0.0.1").into_iter().chain(claims("10.0.0.2")) {
            say(&mut set, Kind::Propose, &claim.item, Validity::starting(NOW, claim.lifetime));
        }
        announcer.set_facts(facts("10.0.0.3"));
        let statements = announcer.decide(&set, Moment::certain(NOW.plus(9))).statements;
        let statements = statements.into_signable().unwrap();
        let dismissed = statements.iter().filter(|statement| statement.kind() == Kind::Dismiss);
        let dismissed: Vec<&str> = dismissed.map(|statement| statement.item().data.as_str()).collect();
        assert_eq!(dismissed.len(), 2);
        assert!(dismissed.iter().all(|data| data.contains("10.0.0.1")), "{dismissed:?}");
    }

    /// Publishes the decision of an announcer, as the daemon does, and returns the number of statements.
    fn publish(set: &mut Set, announcer: &mut Announcer, now: Time) -> usize {
        let me = Keypair::from_seed([1; 32]).peer_id();
        let mut statements = announcer.decide(set, Moment::certain(now)).statements;
        statements.keep_worthwhile(set, me, Moment::certain(now));
        let statements = statements.into_signable().unwrap();
        for statement in &statements {
            say(set, statement.kind(), statement.item(), *statement.validity());
        }
        statements.len()
    }

    #[test]
    fn a_node_that_stops_withdraws_its_presence_and_states_it_again_at_the_next_start() {
        let me = Keypair::from_seed([1; 32]).peer_id();
        let (mut set, here) = (Set::default(), facts("10.0.0.1"));
        let mut announcer = Announcer::new(me, here.clone());
        publish(&mut set, &mut announcer, NOW);
        let is_present = |set: &Set, now| set.item(&presence(me), now).is_some();
        assert!(is_present(&set, NOW));
        announcer.leave();
        assert_eq!(publish(&mut set, &mut announcer, NOW.plus(100)), 1, "only the presence is withdrawn");
        assert!(!is_present(&set, NOW.plus(100)));
        assert_eq!(publish(&mut set, &mut announcer, NOW.plus(101)), 0, "it is withdrawn once");
        assert_eq!(publish(&mut set, &mut Announcer::new(me, here), NOW.plus(102)), 1);
        assert!(is_present(&set, NOW.plus(102)) && is_present(&set, NOW.plus(700)));
    }

    #[test]
    fn a_host_whose_key_was_copied_does_not_withdraw_the_presence_of_the_other_host() {
        let me = Keypair::from_seed([1; 32]).peer_id();
        let (mut set, mut announcer) = (Set::default(), Announcer::new(me, facts("10.0.0.1")));
        announcer.set_copied(true);
        publish(&mut set, &mut announcer, NOW);
        announcer.leave();
        assert_eq!(publish(&mut set, &mut announcer, NOW.plus(100)), 0);
    }

    #[test]
    fn a_new_boot_replaces_the_profile() {
        let me = Keypair::from_seed([1; 32]).peer_id();
        let (mut set, mut announcer) = (Set::default(), Announcer::new(me, facts("10.0.0.1")));
        let profile = |boot: &str| Profile { boot: Some(boot.to_owned()), ..Profile::default() };
        announcer.set_privacy(Privacy { share: ShareProfile::Always, salt: None });
        announcer.set_profile(profile("one"));
        publish(&mut set, &mut announcer, NOW);
        announcer.set_profile(profile("two"));
        assert_eq!(publish(&mut set, &mut announcer, NOW.plus(9)), 2);
        let stated = |set: &Set| -> Vec<Profile> {
            let bucket = dcache::buckets::ROBOT.of(me);
            set.bucket(&bucket, NOW.plus(9)).map(|view| Profile::from_data(&view.item.data)).collect()
        };
        assert_eq!(stated(&set), [profile("two")]);
        announcer.set_privacy(Privacy::default());
        publish(&mut set, &mut announcer, NOW.plus(9));
        assert!(stated(&set).is_empty(), "strangers must not learn the boot, so the statement is withdrawn");
    }
}
