//! Computes the holders of all roles at a given time from the records in the buckets of the roles. The strongest role
//! is computed first.

use crate::buckets;
use crate::policy::is_own;
use crate::{BucketPath, Item, Kind, PeerId, Policy, Record, Requirement, Role, Rule, Time, Validity, Who};
use std::collections::{BTreeMap, BTreeSet};

/// The holders of all roles, valid for a span of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authority {
    holders: BTreeMap<Role, BTreeSet<PeerId>>,
    /// The roots, and every peer about which a peer with authority has made a statement in the bucket of a role. Each
    /// member has quotas of its own. All other signers are strangers, and their records also count towards a common
    /// quota.
    members: BTreeSet<PeerId>,
    /// Peers that a peer with a stronger role denies. No statement of theirs counts, in any bucket.
    denied: BTreeSet<PeerId>,
    /// Span in which these sets are valid: between the last and the next time at which one of the records begins or
    /// ceases to hold.
    span: Validity,
}

/// Source from which [`Authority`] gets the records of a signer in a bucket.
pub(crate) trait RecordSource {
    /// Returns all records of `signer` in `bucket`.
    fn records_of<'a>(&'a self, signer: PeerId, bucket: &'a BucketPath) -> impl Iterator<Item = &'a Record>;
}

/// Returns whether roles are given in this bucket.
pub fn is_of_role(bucket: &BucketPath) -> bool {
    Role::GIVEN.iter().any(|(_, of_role)| of_role.family().path == bucket.as_str())
}

/// Returns whether a record may change who holds a role, or who is denied, if its signer has the authority.
pub fn is_about_roles(record: &Record) -> bool {
    is_of_role(&record.item().bucket) || is_denial(record.item(), record.signer())
}

/// Number of accepted signers that propose an item, and number of those that dismiss it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    proposals: usize,
    dismissals: usize,
}

impl Tally {
    pub(crate) fn count(&mut self, kind: Kind) {
        match kind {
            Kind::Propose => self.proposals += 1,
            Kind::Dismiss => self.dismissals += 1,
        }
    }

    /// Returns whether the item is in its bucket.
    pub(crate) fn stands(self, rule: &Rule) -> bool {
        let reaches = |number, requirement: Requirement| number >= usize::from(requirement.threshold.get());
        reaches(self.proposals, rule.propose) && !reaches(self.dismissals, rule.dismiss)
    }
}

impl Authority {
    /// Returns the authority without any records: only the roots hold a role.
    pub(crate) fn of_roots(policy: &Policy) -> Self {
        let roots = policy.roots().clone();
        let holders = [(Role::Root, roots.clone())].into();
        Self { holders, members: roots, denied: BTreeSet::new(), span: Validity::ALWAYS }
    }

    /// Computes the authority from the records that hold at `time`. A node that does not know the time passes in
    /// `known`, the authority at the moment when the time became unknown. Only peers that held a role in `known` can
    /// then hold that role.
    pub(crate) fn compute(
        policy: &Policy,
        source: &impl RecordSource,
        time: Time,
        known: Option<&Self>,
    ) -> Self {
        let mut authority = Self::of_roots(policy);
        for (role, bucket) in Role::GIVEN {
            authority.add(policy, source, (role, bucket.path()), time);
            // The holders of this role give the weaker roles, so they must be final before the weaker roles are
            // computed.
            if let Some(known) = known {
                authority.keep_only(known);
            }
            // Roots and admins deny peers, so the admins must be known at this point. A denied peer gives no role.
            if role == Role::Admin {
                authority.deny(source, Role::Root, time);
                authority.deny(source, Role::Admin, time);
            }
        }
        authority.withdraw_from_denied();
        authority
    }

    /// Returns the peers whose records give roles or deny peers: the roots and the admins that are computed so far.
    ///
    /// A peer that holds neither role at a time holds neither of them in the whole span around this time: the records
    /// of the stronger roles bound the span. So its own records change nothing in the span, and do not bound it.
    /// Otherwise an admin whose role was taken away could make the authority change each second.
    fn authors(&self) -> BTreeSet<PeerId> {
        self.holders(Role::Root).chain(self.holders(Role::Admin)).collect()
    }

    /// Denies the peers that the holders of this role dismiss from the bucket of present peers, unless these hold an
    /// equal or a stronger role.
    fn deny(&mut self, source: &impl RecordSource, role: Role, time: Time) {
        let (bucket, mut authors) = (buckets::PEER.path(), self.authors());
        authors.retain(|author| self.role(*author) == Some(role));
        for author in authors {
            for record in source.records_of(author, &bucket).filter(|record| is_denial(record.item(), author))
            {
                self.span = within(self.span, record.validity(), time);
                let Ok(peer) = record.item().data.as_str().parse() else { continue };
                let denies = record.kind() == Kind::Dismiss && record.validity().contains(time);
                if denies && self.role(peer) < Some(role) {
                    self.denied.insert(peer);
                }
            }
        }
        self.withdraw_from_denied();
    }

    /// Withdraws every role from denied peers.
    fn withdraw_from_denied(&mut self) {
        for holders in self.holders.values_mut() {
            holders.retain(|peer| !self.denied.contains(peer));
        }
    }

    /// Adds the holders of a role, according to the records in its bucket.
    fn add(
        &mut self,
        policy: &Policy,
        source: &impl RecordSource,
        (role, bucket): (Role, BucketPath),
        time: Time,
    ) {
        let rule = policy.rule(&bucket);
        let mut tallies: BTreeMap<PeerId, Tally> = BTreeMap::new();
        for author in self.authors() {
            for record in source.records_of(author, &bucket) {
                self.span = within(self.span, record.validity(), time);
                let counts = self.may(rule.requirement(record.kind()).who, record.item(), author);
                let Ok(peer) = record.item().data.as_str().parse() else { continue };
                if counts {
                    self.members.insert(peer);
                }
                if counts && record.validity().contains(time) {
                    tallies.entry(peer).or_default().count(record.kind());
                }
            }
        }
        let holders = tallies.into_iter().filter(|(_, tally)| tally.stands(rule)).map(|(peer, _)| peer);
        self.holders.insert(role, holders.collect());
    }

    /// Withdraws every role from peers that did not hold it in `known`.
    fn keep_only(&mut self, known: &Self) {
        let nobody = BTreeSet::new();
        for (role, holders) in &mut self.holders {
            let before = known.holders.get(role).unwrap_or(&nobody);
            holders.retain(|peer| before.contains(peer));
        }
    }

    /// Returns whether this is the result that [`Authority::compute`] would give at `time`.
    pub(crate) fn holds_at(&self, time: Time) -> bool {
        self.span.contains(time)
    }

    /// Returns when the authority may change.
    pub(crate) fn until(&self) -> Option<Time> {
        self.span.until()
    }

    /// Returns whether a record by `signer` about `item` may change who holds a role or who is denied, in the span of
    /// this authority.
    pub(crate) fn depends_on(&self, signer: PeerId, item: &Item) -> bool {
        self.role(signer) >= Some(Role::Admin) && (is_of_role(&item.bucket) || is_denial(item, signer))
    }

    /// Returns whether a peer with a stronger role denies `peer`.
    pub(crate) fn is_denied(&self, peer: PeerId) -> bool {
        self.denied.contains(&peer)
    }

    /// Returns the denied peers.
    pub(crate) fn denied(&self) -> &BTreeSet<PeerId> {
        &self.denied
    }

    /// Returns the strongest role that records, or the swarm file, give to `peer`.
    pub(crate) fn role(&self, peer: PeerId) -> Option<Role> {
        let mut roles = self.holders.iter().rev();
        roles.find(|(_, holders)| holders.contains(&peer)).map(|(role, _)| *role)
    }

    /// Returns whether a statement of `signer` about `item` counts under a rule that requires `who`. [`Role::Peer`] is
    /// not handled here, because no record gives it: see `Set::may`.
    pub(crate) fn may(&self, who: Who, item: &Item, signer: PeerId) -> bool {
        if self.is_denied(signer) {
            return false;
        }
        match who {
            Who::Anybody => true,
            Who::Owner | Who::Subject => is_own(who, item, signer),
            Who::Role(role) => self.role(signer).is_some_and(|held| held >= role),
            Who::Nobody => false,
        }
    }

    /// Returns the peers that hold exactly this role.
    pub(crate) fn holders(&self, role: Role) -> impl Iterator<Item = PeerId> {
        self.holders.get(&role).into_iter().flatten().copied()
    }

    /// Returns whether `peer` is a member: a peer with authority has made a statement about it, or it is a root.
    pub(crate) fn is_member(&self, peer: PeerId) -> bool {
        self.members.contains(&peer)
    }

    pub(crate) fn members(&self) -> &BTreeSet<PeerId> {
        &self.members
    }
}

/// Returns whether a statement of `signer` about an item is about the presence of another peer.
fn is_denial(item: &Item, signer: PeerId) -> bool {
    buckets::PEER.contains(&item.bucket) && !is_own(Who::Subject, item, signer)
}

/// Returns `span`, shortened so that it contains `time` and neither end of `validity` lies inside it.
fn within(span: Validity, validity: &Validity, time: Time) -> Validity {
    let mut span = span;
    for edge in [validity.from(), validity.until()].into_iter().flatten() {
        let (from, until) = (span.from(), span.until());
        let cut = match edge <= time {
            true => Validity::new(Some(from.map_or(edge, |from| from.max(edge))), until),
            false => Validity::new(from, Some(until.map_or(edge, |until| until.min(edge)))),
        };
        // Both possible parts of the span contain `time`, so the result is never empty.
        span = cut.unwrap_or(span);
    }
    span
}
