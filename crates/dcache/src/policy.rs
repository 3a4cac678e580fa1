//! Who may say what: a table of buckets. It is read when a record is admitted (what no role could ever allow) and when
//! a bucket is read (everything else).

use crate::buckets::{self, FAMILIES, Family, Quota, Rights};
use crate::{Binding, BucketPath, Item, Kind, PeerId, Role, SwarmId, Validity, Who};
use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroU8;

/// The signers whose statements count, and how many of them it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The signers.
    pub who: Who,
    /// Number of different signers that it takes.
    pub threshold: NonZeroU8,
}

impl Requirement {
    /// Returns the requirement that one statement meets.
    pub const fn one(who: Who) -> Self {
        Self { who, threshold: NonZeroU8::MIN }
    }
}

/// One row: the buckets whose path begins with these names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The names with which the path begins.
    pub prefix: BucketPath,
    /// Who may propose an item.
    pub propose: Requirement,
    /// Who may dismiss one.
    pub dismiss: Requirement,
}

impl Rule {
    /// The row of the policy for a row of the table of buckets.
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

    /// Returns what statements of this kind have to meet to count.
    pub fn requirement(&self, kind: Kind) -> Requirement {
        match kind {
            Kind::Propose => self.propose,
            Kind::Dismiss => self.dismiss,
        }
    }
}

/// The number of a row of the policy: the buckets whose records the quotas count together.
pub(crate) type QuotaGroup = u8;

/// The table. The first row that fits decides; a bucket that no row names belongs to nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    roots: BTreeSet<PeerId>,
    rules: Vec<Rule>,
    /// The row of all other buckets.
    other: Rule,
    /// The swarm to which signatures are bound; `None` for the open swarm, and for swarm files of before.
    binding: Option<Binding>,
}

/// Why a statement would not count, for the person who wants to make it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct NotAllowed {
    /// What was wanted.
    pub kind: Kind,
    /// Where.
    pub bucket: BucketPath,
    /// Who could.
    pub who: Who,
    /// Who wanted to.
    pub signer: PeerId,
    /// The strongest role that the signer holds.
    pub role: Option<Role>,
    /// Whether the swarm has roots at all; without them nobody holds a role.
    pub has_roots: bool,
    /// Whether somebody with a stronger role denies the signer.
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
            return write!(f, "{signer} is denied, by `revoke peer`, so nothing that it states counts");
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
                return write!(f, "in /{bucket} each peer speaks for itself only; {signer} is another peer");
            }
            Who::Nobody => return write!(f, "no rule of this swarm lets anybody {verb} /{bucket}"),
            Who::Anybody => return write!(f, "everybody may {verb} /{bucket}"),
        }
        match self.role {
            Some(role) => write!(f, "{signer} is {role} only"),
            None => write!(f, "{signer} has no role"),
        }
    }
}

impl Default for Policy {
    /// The policy of the open swarm, which works with nothing configured: it has no roots, so nobody holds a role, and
    /// what is shared is everybody's.
    fn default() -> Self {
        Self::new(BTreeSet::new(), open_rules(), NonZeroU8::MIN)
    }
}

/// The rows that precede all others in the open swarm: of the families with other rights there, the broadest.
fn open_rules() -> Vec<Rule> {
    let differs = |family: &&&Family| family.quota == Quota::Own && family.open != family.rooted;
    let rules: Vec<Rule> = FAMILIES.iter().filter(differs).map(|row| Rule::of(row, row.open)).collect();
    let is_within = |one: &Rule, other: &Rule| one.prefix != other.prefix && other.fits(&one.prefix);
    let is_broadest = |rule: &&Rule| !rules.iter().any(|other| is_within(rule, other));
    rules.iter().filter(is_broadest).cloned().collect()
}

impl Policy {
    /// A swarm with these roots, of whom `threshold` together make an admin. Buckets follow `own`, then the table of
    /// bucket families.
    pub fn new(roots: BTreeSet<PeerId>, own: Vec<Rule>, threshold: NonZeroU8) -> Self {
        let mut rules = own;
        let rows = FAMILIES.iter().filter(|family| family.quota == Quota::Own);
        rules.extend(rows.map(|family| Rule::of(family, family.rooted)));
        for rule in rules.iter_mut().filter(|rule| rule.prefix.as_str() == Role::Admin.name()) {
            rule.propose.threshold = rule.propose.threshold.max(threshold);
        }
        Self { roots, rules, other: Rule::of(buckets::OTHER, buckets::OTHER.rooted), binding: None }
    }

    /// Returns the same policy, for a swarm to which signatures are bound.
    #[must_use]
    pub fn bound(self, binding: Option<Binding>) -> Self {
        Self { binding, ..self }
    }

    /// Returns the swarm to which signatures are bound, if they are.
    pub fn binding(&self) -> Option<Binding> {
        self.binding
    }

    /// Returns the ID together with which a statement of this validity is signed in this swarm, if it has one.
    pub fn domain(&self, validity: &Validity) -> Option<SwarmId> {
        self.binding.and_then(|binding| binding.domain(validity))
    }

    /// Returns a number that differs between policies under which the same statement is signed differently.
    pub fn mark(&self) -> u64 {
        self.binding.map_or(Binding::UNBOUND, |binding| binding.mark())
    }

    /// The peers that are root.
    pub fn roots(&self) -> &BTreeSet<PeerId> {
        &self.roots
    }

    /// The row of `bucket`.
    pub fn rule(&self, bucket: &BucketPath) -> &Rule {
        self.rules.iter().find(|rule| rule.fits(bucket)).unwrap_or(&self.other)
    }

    /// Returns the group of `bucket`: the number of its row. Quotas are counted in each group by itself, so that a
    /// signer's many records of one sort leave room for those of another.
    pub(crate) fn quota_group(&self, bucket: &BucketPath) -> QuotaGroup {
        let row = self.rules.iter().position(|rule| rule.fits(bucket)).unwrap_or(self.rules.len());
        // A swarm file has far fewer rows; more would share a group.
        QuotaGroup::try_from(row).unwrap_or(QuotaGroup::MAX)
    }

    /// Whether no role could ever make the statement count, because the bucket belongs to one peer and the signer is
    /// another. Such a record is refused before its signature is looked at, and not passed on.
    pub(crate) fn is_foreign(&self, kind: Kind, item: &Item, signer: PeerId) -> bool {
        match self.rule(&item.bucket).requirement(kind).who {
            who @ (Who::Owner | Who::Subject) => !is_own(who, item, signer),
            Who::Anybody | Who::Role(_) | Who::Nobody => false,
        }
    }
}

/// Whether `signer` is the one peer that [`Who::Owner`] or [`Who::Subject`] names.
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

    /// The rows, as they were written before there was a table of buckets.
    fn literal_rules() -> Vec<Rule> {
        let [root, admin, trusted] = [Role::Root, Role::Admin, Role::Trusted].map(Who::Role);
        vec![
            rule("peer", Who::Subject, admin),
            rule("pri", Who::Owner, Who::Owner),
            rule("trusted", admin, admin),
            rule("admin", root, root),
            rule("networks", admin, admin),
            rule("share/verified", trusted, trusted),
            rule("share/safe", trusted, trusted),
            rule("share/discard", trusted, trusted),
            rule("share", Who::Anybody, trusted),
            rule("uploads", trusted, trusted),
        ]
    }

    #[test]
    fn the_rows_are_those_of_the_table_of_buckets_in_the_same_order_as_ever() {
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
        for (group, rule) in open.rules.iter().enumerate().filter(|(group, _)| !(6..=9).contains(group)) {
            assert_eq!(usize::from(Policy::default().quota_group(&rule.prefix)), group);
        }
        assert_eq!(Policy::default().quota_group(&"share/safe".parse().unwrap()), 0);
        assert_eq!(Policy::default().quota_group(&"unknown".parse().unwrap()), 11);
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
    fn what_belongs_to_one_peer_is_foreign_to_others() {
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
        assert!(!is_foreign("admin", &one.to_string(), two), "two may be a root elsewhere");
        let dismissal = Policy::default().is_foreign(Kind::Dismiss, &item("peer", &one.to_string()), two);
        assert!(!dismissal, "two may be an admin");
    }

    #[test]
    fn the_first_row_that_fits_decides_and_prefixes_are_of_whole_names() {
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
    fn who_could_is_said_in_a_plain_sentence() {
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
            text.starts_with("only peers with the role admin") && text.ends_with("is trusted only"),
            "{text}"
        );
        assert!(sentence(admin, None, false).contains("this swarm has no roots"));
    }
}
