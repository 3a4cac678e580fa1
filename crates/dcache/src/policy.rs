//! Who may say what: a table of buckets, read when a record is admitted (what no role could ever allow) and when a
//! bucket is read (everything else).

use crate::{BucketPath, Item, Kind, PeerId};

/// Whose word counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Every signer's.
    Anybody,
    /// Only that of the peer whose ID is the second name of the path (`pri/ID/…`).
    Owner,
    /// Only that of the peer whose ID is the item's data (`peer`: each says of itself that it is there).
    Subject,
    /// No one's: the roles that could are not built yet, and a word without its role does not count.
    Nobody,
}

/// One row: buckets that begin with these names.
#[derive(Clone, Debug)]
struct Rule {
    prefix: &'static [&'static str],
    propose: Who,
    dismiss: Who,
}

/// The table. The first row whose prefix fits decides; a bucket that no row names belongs to nobody.
#[derive(Clone, Debug)]
pub struct Policy {
    rules: Vec<Rule>,
}

impl Default for Policy {
    /// The table of IPSD as far as it needs no roles: `pri/ID` is its owner's alone, `share` is everybody's.
    fn default() -> Self {
        let rule = |prefix, propose, dismiss| Rule { prefix, propose, dismiss };
        Self {
            rules: vec![
                rule(&["peer"], Who::Subject, Who::Nobody),
                rule(&["pri"], Who::Owner, Who::Owner),
                rule(&["share"], Who::Anybody, Who::Anybody),
            ],
        }
    }
}

impl Policy {
    /// Whose word of this kind counts in `bucket`.
    pub fn who(&self, kind: Kind, bucket: &BucketPath) -> Who {
        let fits = |rule: &&Rule| {
            let mut names = bucket.names();
            rule.prefix.iter().all(|name| names.next() == Some(name))
        };
        match (self.rules.iter().find(fits), kind) {
            (Some(rule), Kind::Propose) => rule.propose,
            (Some(rule), Kind::Dismiss) => rule.dismiss,
            (None, _) => Who::Nobody,
        }
    }

    /// Whether `signer`'s word of this kind about `item` counts.
    pub fn accepts(&self, kind: Kind, item: &Item, signer: PeerId) -> bool {
        match self.who(kind, &item.bucket) {
            Who::Anybody => true,
            Who::Owner => item.bucket.names().nth(1).and_then(|id| id.parse().ok()) == Some(signer),
            Who::Subject => item.data.as_str().parse() == Ok(signer),
            Who::Nobody => false,
        }
    }

    /// Whether no role could ever make the word count, because the bucket belongs to one peer and the signer is
    /// another. Such a record is refused before its signature is looked at, and not passed on.
    pub fn is_foreign(&self, kind: Kind, item: &Item, signer: PeerId) -> bool {
        match self.who(kind, &item.bucket) {
            Who::Owner | Who::Subject => !self.accepts(kind, item, signer),
            Who::Anybody | Who::Nobody => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Data, Keypair};

    fn accepts(bucket: &str, data: &str, signer: PeerId) -> bool {
        let item = Item { bucket: bucket.parse().unwrap(), data: Data::new(data).unwrap() };
        Policy::default().accepts(Kind::Propose, &item, signer)
    }

    #[test]
    fn each_bucket_has_its_rule() {
        let [one, two] = [1, 2].map(|seed| Keypair::from_seed([seed; 32]).peer_id());
        assert!(accepts("share/files", "cid", one));
        assert!(accepts(&format!("pri/{one}/info/hostname"), "duckie", one));
        assert!(!accepts(&format!("pri/{one}/info/hostname"), "duckie", two));
        assert!(!accepts("pri", "duckie", one), "pri itself has no owner");
        assert!(accepts("peer", &one.to_string(), one));
        assert!(!accepts("peer", &one.to_string(), two));
        assert!(!accepts("admin", &one.to_string(), one));
        assert!(!accepts("shared", "x", one), "a prefix is of whole names");
    }
}
