//! Policy: a table of rules for buckets. A rule says which signers' statements count in its buckets.
//!
//! Some records can never count, even if their signer gets a role. The set refuses these records on arrival. All other
//! rules are applied when a bucket is read.

use crate::buckets::{self, FAMILIES, Family, Quota, Rights};
use crate::{Binding, BucketPath, Item, Kind, PeerId, Role, SwarmId, Validity, Who};
use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroU8;

/// The signers whose statements count, and the number of them that is required.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// Signers whose statements count.
    pub who: Who,
    /// Number of different signers required.
    pub threshold: NonZeroU8,
}

impl Requirement {
    /// Returns the requirement of at least one signer from the group `who`.
    pub const fn one(who: Who) -> Self {
        Self { who, threshold: NonZeroU8::MIN }
    }
}

/// One row of the policy: the rule for all buckets whose path begins with the names in `prefix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Names with which the path begins.
    pub prefix: BucketPath,
    /// Requirement for an item to be proposed.
    pub propose: Requirement,
    /// Requirement for an item to be dismissed.
    pub dismiss: Requirement,
}

impl Rule {
    /// Returns the rule that gives `rights` in the buckets of `family`.
    fn of(family: &Family, rights: Rights) -> Self {
        Self {
            prefix: family.tree(),
            propose: Requirement::one(rights.propose),
            dismiss: Requirement::one(rights.dismiss),
        }
    }

    fn fits(&self, bucket: &BucketPath) -> bool {
        bucket.is_within(self.prefix.as_str())
    }

    /// Returns the requirement for statements of this kind to count.
    pub fn requirement(&self, kind: Kind) -> Requirement {
        match kind {
            Kind::Propose => self.propose,
            Kind::Dismiss => self.dismiss,
        }
    }
}

/// Index of a row of the policy. The records in all buckets of one row count against the same quotas.
pub(crate) type QuotaGroup = u8;

/// The table of rules. The first matching row applies. In a bucket that matches no row, no statement counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    roots: BTreeSet<PeerId>,
    rules: Vec<Rule>,
    /// Rule for the buckets that match none of `rules`.
    other: Rule,
    /// Swarm to which signatures are bound. `None` in the open swarm, and in a swarm whose file is from before the
    /// introduction of swarm IDs.
    binding: Option<Binding>,
}

/// Reason why a statement would not count. The message is for the person who wants to make the statement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct NotAllowed {
    /// Kind of the refused statement.
    pub kind: Kind,
    /// Bucket of the refused statement.
    pub bucket: BucketPath,
    /// Signers whose statements would count.
    pub who: Who,
    /// Signer of the refused statement.
    pub signer: PeerId,
    /// Strongest role that the signer holds.
    pub role: Option<Role>,
    /// Whether the swarm has roots. Without roots, no peer holds a role.
    pub has_roots: bool,
    /// Whether a peer with a stronger role denies the signer.
    pub is_denied: bool,
}

impl fmt::Display for NotAllowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, bucket, signer, .. } = self;
        let verb = match kind {
            Kind::Propose => "propose into",
            Kind::Dismiss => "dismiss from",
        };
        if self.is_denied {
            return write!(f, "{signer} is denied by `revoke peer`, so none of its statements count");
        }
        match self.who {
            Who::Role(_) if !self.has_roots => {
                return write!(
                    f,
                    "nobody may {verb} /{bucket}: this swarm has no roots, so nobody holds a role"
                );
            }
            Who::Role(Role::Root) => write!(f, "only a root may {verb} /{bucket}, and ")?,
            Who::Role(role) => {
                write!(f, "only peers with the role {role} (or a stronger one) may {verb} /{bucket}, and ")?
            }
            Who::Owner => {
                return write!(f, "only its owner may {verb} /{bucket}, and {signer} is another peer");
            }
            Who::Subject => {
                return write!(
                    f,
                    "in /{bucket} each peer may make statements only about itself, and {signer} is another peer"
                );
            }
            Who::Nobody => return write!(f, "no rule of this swarm lets anybody {verb} /{bucket}"),
            Who::Anybody => return write!(f, "everybody may {verb} /{bucket}"),
        }
        match self.role {
            Some(role) => write!(f, "the role of {signer} is only {role}"),
            None => write!(f, "{signer} has no role"),
        }
    }
}

impl Default for Policy {
    /// Returns the policy of the open swarm, which needs no configuration. It has no roots, so no peer holds a role,
    /// and everybody has the same rights to shared files.
    fn default() -> Self {
        Self::new(BTreeSet::new(), open_rules(), NonZeroU8::MIN)
    }
}

/// Returns the rows that precede all others in the open swarm. They are made from the families whose rights in the open
/// swarm differ from the rights in a swarm with roots. Of these families, only the broadest get a row.
fn open_rules() -> Vec<Rule> {
    let differs = |family: &&&Family| family.quota == Quota::Own && family.open != family.rooted;
    let rules: Vec<Rule> = FAMILIES.iter().filter(differs).map(|row| Rule::of(row, row.open)).collect();
    let is_within = |one: &Rule, other: &Rule| one.prefix != other.prefix && other.fits(&one.prefix);
    let is_broadest = |rule: &&Rule| !rules.iter().any(|other| is_within(rule, other));
    rules.iter().filter(is_broadest).cloned().collect()
}

impl Policy {
    /// Creates the policy of a swarm with these roots. To become an admin, a peer needs the proposals of at least
    /// `threshold` roots. The rows of `own` take precedence over the table of bucket families.
    pub fn new(roots: BTreeSet<PeerId>, own: Vec<Rule>, threshold: NonZeroU8) -> Self {
        let mut rules = own;
        let rows = FAMILIES.iter().filter(|family| family.quota == Quota::Own);
        rules.extend(rows.map(|family| Rule::of(family, family.rooted)));
        for rule in rules.iter_mut().filter(|rule| rule.prefix.as_str() == Role::Admin.name()) {
            rule.propose.threshold = rule.propose.threshold.max(threshold);
        }
        Self { roots, rules, other: Rule::of(buckets::OTHER, buckets::OTHER.rooted), binding: None }
    }

    /// Returns this policy with signatures bound to the swarm of `binding`. `None` leaves signatures unbound.
    #[must_use]
    pub fn bound(self, binding: Option<Binding>) -> Self {
        Self { binding, ..self }
    }

    /// Returns the swarm to which signatures are bound, if there is one.
    pub fn binding(&self) -> Option<Binding> {
        self.binding
    }

    /// Returns the swarm ID with which a statement of this validity is signed, or `None` if it is signed without an ID.
    pub fn domain(&self, validity: &Validity) -> Option<SwarmId> {
        self.binding.and_then(|binding| binding.domain(validity))
    }

    /// Returns a number that identifies the binding: its [`Binding::mark`], or [`Binding::UNBOUND`] without a binding.
    /// A signature that is valid under one policy is also valid under each policy with the same number.
    pub fn mark(&self) -> u64 {
        self.binding.map_or(Binding::UNBOUND, |binding| binding.mark())
    }

    /// Returns the peers with the role root.
    pub fn roots(&self) -> &BTreeSet<PeerId> {
        &self.roots
    }

    /// Returns the row of `bucket`.
    pub fn rule(&self, bucket: &BucketPath) -> &Rule {
        self.rules.iter().find(|rule| rule.fits(bucket)).unwrap_or(&self.other)
    }

    /// Returns the quota group of `bucket`: the number of its row. Each group has a quota of its own, so that many
    /// records of one kind do not displace records of another kind.
    pub(crate) fn quota_group(&self, bucket: &BucketPath) -> QuotaGroup {
        let row = self.rules.iter().position(|rule| rule.fits(bucket)).unwrap_or(self.rules.len());
        // A policy has far fewer than `QuotaGroup::MAX` rows. Any rows beyond this number would share one group.
        QuotaGroup::try_from(row).unwrap_or(QuotaGroup::MAX)
    }

    /// Returns the bucket of the row with this number, or `None` for the row of all other buckets.
    pub(crate) fn bucket_of(&self, group: QuotaGroup) -> Option<&BucketPath> {
        self.rules.get(usize::from(group)).map(|rule| &rule.prefix)
    }

    /// Returns whether only the owner or the subject may make the statement, and the signer is another peer. No role
    /// could ever make such a statement count. Its record is refused before the signature is verified, and is not
    /// forwarded.
    pub(crate) fn is_foreign(&self, kind: Kind, item: &Item, signer: PeerId) -> bool {
        match self.rule(&item.bucket).requirement(kind).who {
            who @ (Who::Owner | Who::Subject) => !is_own(who, item, signer),
            Who::Anybody | Who::Role(_) | Who::Nobody => false,
        }
    }
}

/// Returns whether `signer` is the peer that [`Who::Owner`] or [`Who::Subject`] stands for.
pub(crate) fn is_own(who: Who, item: &Item, signer: PeerId) -> bool {
    match who {
        Who::Owner => item.bucket.names().nth(1).and_then(|id| id.parse().ok()) == Some(signer),
        Who::Subject => item.data.as_str().parse() == Ok(signer),
        Who::Anybody | Who::Role(_) | Who::Nobody => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Data, Keypair};

    fn item(bucket: &str, data: &str) -> Item {
        Item { bucket: bucket.parse().unwrap(), data: Data::new(data).unwrap() }
    }

    fn rule(prefix: &str, propose: Who, dismiss: Who) -> Rule {
        let prefix = prefix.parse().unwrap();
        Rule { prefix, propose: Requirement::one(propose), dismiss: Requirement::one(dismiss) }
    }

    /// Returns the rows, as they were before the table of buckets was introduced, and those that were added since.
    fn literal_rules() -> Vec<Rule> {
        let [root, admin, trusted] = [Role::Root, Role::Admin, Role::Trusted].map(Who::Role);
        vec![
            rule("peer", Who::Subject, admin),
            rule("pri", Who::Owner, Who::Owner),
            rule("trusted", admin, admin),
            rule("admin", root, root),
            rule("networks", admin, admin),
            rule("collectors", admin, admin),
            rule("share/verified", trusted, trusted),
            rule("share/safe", trusted, trusted),
            rule("share/discard", trusted, trusted),
            rule("share/reasons", trusted, trusted),
            rule("share", Who::Anybody, trusted),
            rule("uploads", trusted, trusted),
        ]
    }

    #[test]
    fn the_rows_follow_the_table_of_buckets_and_keep_their_order() {
        let roots: BTreeSet<PeerId> = [Keypair::from_seed([1; 32]).peer_id()].into();
        let two = NonZeroU8::new(2).unwrap();
        let own = rule("share/lab", Who::Nobody, Who::Nobody);
        let policy = Policy::new(roots.clone(), vec![own.clone()], two);
        let mut literal = [vec![own], literal_rules()].concat();
        literal[4].propose.threshold = two;
        for (derived, literal) in policy.rules.iter().zip(&literal) {
            assert_eq!(derived, literal);
        }
        let other = rule("other", Who::Nobody, Who::Nobody);
        assert_eq!(policy, Policy { roots, rules: literal, other: other.clone(), binding: None });
        let everybody = rule("share", Who::Anybody, Who::Anybody);
        let open = Policy {
            roots: BTreeSet::new(),
            rules: [vec![everybody], literal_rules()].concat(),
            other,
            binding: None,
        };
        assert_eq!(Policy::default(), open);
        for (group, rule) in open.rules.iter().enumerate().filter(|(group, _)| !(7..=11).contains(group)) {
            assert_eq!(usize::from(Policy::default().quota_group(&rule.prefix)), group);
        }
        assert_eq!(Policy::default().quota_group(&"share/safe".parse().unwrap()), 0);
        assert_eq!(Policy::default().quota_group(&"unknown".parse().unwrap()), 13);
    }

    #[test]
    fn each_family_has_the_rights_that_the_table_shows() {
        let roots: BTreeSet<PeerId> = [Keypair::from_seed([1; 32]).peer_id()].into();
        let rooted = Policy::new(roots, Vec::new(), NonZeroU8::MIN);
        for family in FAMILIES {
            let bucket: BucketPath = family.path.parse().unwrap();
            for (policy, rights) in [(&rooted, family.rooted), (&Policy::default(), family.open)] {
                let rule = policy.rule(&bucket);
                let derived = Rights { propose: rule.propose.who, dismiss: rule.dismiss.who };
                assert_eq!(derived, rights, "{bucket}");
            }
        }
    }

    #[test]
    fn the_bucket_of_one_peer_is_foreign_to_other_peers() {
        let [one, two] = [1, 2].map(|seed| Keypair::from_seed([seed; 32]).peer_id());
        let is_foreign = |bucket: &str, data: &str, signer| {
            Policy::default().is_foreign(Kind::Propose, &item(bucket, data), signer)
        };
        assert!(!is_foreign("share/files", "cid", one));
        assert!(!is_foreign(&format!("pri/{one}/info/hostname"), "duckie", one));
        assert!(is_foreign(&format!("pri/{one}/info/hostname"), "duckie", two));
        assert!(is_foreign("pri", "duckie", one), "pri itself has no owner");
        assert!(!is_foreign("peer", &one.to_string(), one));
        assert!(is_foreign("peer", &one.to_string(), two));
        assert!(
            !is_foreign("admin", &one.to_string(), two),
            "a root may name another peer, and `two` may be a root"
        );
        let dismissal = Policy::default().is_foreign(Kind::Dismiss, &item("peer", &one.to_string()), two);
        assert!(!dismissal, "an admin may dismiss another peer, and `two` may be an admin");
    }

    #[test]
    fn the_first_matching_row_applies_and_prefixes_are_of_whole_names() {
        let policy = Policy::default();
        let who = |bucket: &str| policy.rule(&bucket.parse().unwrap()).propose.who;
        assert_eq!(who("share/verified"), Who::Anybody, "in the open swarm");
        assert_eq!(who("shared"), Who::Nobody);
        assert_eq!(who("networks"), Who::Role(Role::Admin));
        let roots = [Keypair::from_seed([1; 32]).peer_id()].into();
        let policy =
            Policy::new(roots, vec![rule("share/verified", Who::Anybody, Who::Nobody)], NonZeroU8::MIN);
        let rule = |bucket: &str| policy.rule(&bucket.parse().unwrap()).clone();
        assert_eq!(rule("share/verified/x").dismiss.who, Who::Nobody);
        assert_eq!(rule("share/safe").propose.who, Who::Role(Role::Trusted));
        assert_ne!(
            policy.quota_group(&"share/safe".parse().unwrap()),
            policy.quota_group(&"share/x".parse().unwrap())
        );
    }

    #[test]
    fn a_refusal_names_the_signers_whose_statement_would_count() {
        let signer = Keypair::from_seed([1; 32]).peer_id();
        let sentence = |who, role, has_roots| {
            let bucket = "trusted".parse().unwrap();
            NotAllowed { kind: Kind::Propose, bucket, who, signer, role, has_roots, is_denied: false }
                .to_string()
        };
        let admin = Who::Role(Role::Admin);
        assert!(sentence(admin, None, true).ends_with("has no role"));
        let text = sentence(admin, Some(Role::Trusted), true);
        assert!(
            text.starts_with("only peers with the role admin") && text.ends_with("is only trusted"),
            "{text}"
        );
        assert!(sentence(admin, None, false).contains("this swarm has no roots"));
    }
}
