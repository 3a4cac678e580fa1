//! Who may say what: a table of buckets. It is read when a record is admitted (what no role could ever allow) and when
//! a bucket is read (everything else).

use crate::{BucketPath, Item, Kind, PeerId, Role};
use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroU8;

/// Whose word counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Every signer's.
    Anybody,
    /// Only that of the peer whose ID is the second name of the path (`pri/ID/…`).
    Owner,
    /// Only that of the peer whose ID is the item's data (`peer`: each says of itself that it is there).
    Subject,
    /// Only that of peers who hold this role or a stronger one.
    Role(Role),
    /// No one's.
    Nobody,
}

/// Whose word counts, and how many of them it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voice {
    /// Whose.
    pub who: Who,
    /// How many different signers it takes.
    pub threshold: NonZeroU8,
}

impl Voice {
    /// One word of theirs is enough.
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
    pub propose: Voice,
    /// Who may dismiss one.
    pub dismiss: Voice,
}

impl Rule {
    fn fits(&self, bucket: &BucketPath) -> bool {
        let mut names = bucket.names();
        self.prefix.names().all(|name| names.next() == Some(name))
    }

    /// Whose word of this kind counts.
    pub fn voice(&self, kind: Kind) -> Voice {
        match kind {
            Kind::Propose => self.propose,
            Kind::Dismiss => self.dismiss,
        }
    }
}

/// The table. The first row that fits decides; a bucket that no row names belongs to nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    roots: BTreeSet<PeerId>,
    rules: Vec<Rule>,
    /// The row of all other buckets.
    other: Rule,
}

/// Why a word would not count, for the person who wants to say it.
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
}

impl fmt::Display for NotAllowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, bucket, signer, .. } = self;
        let verb = match kind {
            Kind::Propose => "propose into",
            Kind::Dismiss => "dismiss from",
        };
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
        let everybody = rule("share", Who::Anybody, Who::Anybody);
        Self::new(BTreeSet::new(), vec![everybody], NonZeroU8::MIN)
    }
}

#[expect(clippy::expect_used, reason = "the prefixes are the few short names below")]
fn rule(prefix: &str, propose: Who, dismiss: Who) -> Rule {
    let prefix = prefix.parse().expect("a short path");
    Rule { prefix, propose: Voice::one(propose), dismiss: Voice::one(dismiss) }
}

impl Policy {
    /// A swarm with these roots, of whom `threshold` together make an admin. Buckets follow `own`, then the table of
    /// IPSD.
    pub fn new(roots: BTreeSet<PeerId>, own: Vec<Rule>, threshold: NonZeroU8) -> Self {
        let [root, admin, trusted] = [Role::Root, Role::Admin, Role::Trusted].map(Who::Role);
        let mut rules = own;
        rules.extend([
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
        ]);
        for rule in rules.iter_mut().filter(|rule| rule.prefix.as_str() == Role::Admin.name()) {
            rule.propose.threshold = rule.propose.threshold.max(threshold);
        }
        Self { roots, rules, other: rule("other", Who::Nobody, Who::Nobody) }
    }

    /// The peers that are root.
    pub fn roots(&self) -> &BTreeSet<PeerId> {
        &self.roots
    }

    /// The row of `bucket`.
    pub fn rule(&self, bucket: &BucketPath) -> &Rule {
        self.rules.iter().find(|rule| rule.fits(bucket)).unwrap_or(&self.other)
    }

    /// The number of the row of `bucket`: its shelf. Quotas are counted shelf by shelf, so that a signer's many words
    /// of one sort leave room for those of another.
    pub(crate) fn shelf(&self, bucket: &BucketPath) -> u8 {
        let row = self.rules.iter().position(|rule| rule.fits(bucket)).unwrap_or(self.rules.len());
        // A swarm file has far fewer rows; what lies beyond would share a shelf.
        u8::try_from(row).unwrap_or(u8::MAX)
    }

    /// Whether no role could ever make the word count, because the bucket belongs to one peer and the signer is
    /// another. Such a record is refused before its signature is looked at, and not passed on.
    pub fn is_foreign(&self, kind: Kind, item: &Item, signer: PeerId) -> bool {
        match self.rule(&item.bucket).voice(kind).who {
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
        assert_ne!(policy.shelf(&"share/safe".parse().unwrap()), policy.shelf(&"share/x".parse().unwrap()));
    }

    #[test]
    fn who_could_is_said_in_plain_words() {
        let signer = Keypair::from_seed([1; 32]).peer_id();
        let words = |who, role, has_roots| {
            let bucket = "trusted".parse().unwrap();
            NotAllowed { kind: Kind::Propose, bucket, who, signer, role, has_roots }.to_string()
        };
        let admin = Who::Role(Role::Admin);
        assert!(words(admin, None, true).ends_with("has no role"));
        let text = words(admin, Some(Role::Trusted), true);
        assert!(
            text.starts_with("only peers with the role admin") && text.ends_with("is trusted only"),
            "{text}"
        );
        assert!(words(admin, None, false).contains("this swarm has no roots"));
    }
}
