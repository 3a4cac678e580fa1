//! The kept files whose uploaders deny that their logs leave their own networks. This node gives their blocks only to
//! peers on its own networks.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::Replication;
use crate::index::index_of_with;
use crate::terms::Terms;
use dcache::{PeerId, Set, Time};
use ipfs::Cid;
use std::collections::{BTreeMap, BTreeSet};

impl Replication {
    /// Returns the private files among those that this node keeps or that a person pinned here. The uploader of a kept file
    /// is known from its content. Own files are not considered, because the whole node is private when its own permission
    /// file denies.
    pub(super) fn find_private(&self, set: &Set, now: Time) -> BTreeSet<Cid> {
        let mut denials: BTreeMap<PeerId, bool> = BTreeMap::from([(self.me, false)]);
        let mut denies = |peer| *denials.entry(peer).or_insert_with(|| Terms::deny(set, peer, now));
        let kept = self.kept.iter().filter(|(_, known)| denies(known.uploader)).map(|(cid, _)| *cid);
        let mut private: BTreeSet<Cid> = kept.collect();
        let only_pinned = self.copies.pinned.iter().filter(|cid| !self.kept.contains_key(*cid));
        let catalogs = (&*self.catalogs, Some(self.me));
        for (cid, file) in index_of_with(set, catalogs, only_pinned, now) {
            let described = file.description.iter().map(|known| known.uploader);
            if described.chain(file.proposers.keys().copied()).any(&mut denies) {
                private.insert(cid);
            }
        }
        private
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::tests::{NOW, cid, description, peer, publish};
    use dcache::{Data, Item, Moment, Statements, Validity, buckets};
    use service::Decide as _;

    /// Makes a peer state its terms.
    fn state(set: &mut Set, seed: u8, is_allowed: bool, now: Time) {
        let mut statements = Statements::new();
        let terms = |is_allowed| {
            let text = serde_json::to_string(&Terms { is_allowed, destination: None }).unwrap();
            Item { bucket: buckets::UPLOAD_TERMS.of(peer(seed)), data: Data::new(&text).unwrap() }
        };
        statements.propose(terms(is_allowed), Validity::stated(now, 600));
        if Terms::of(set, peer(seed), now).is_some() {
            statements.propose(terms(!is_allowed), Validity::over(now));
        }
        publish(set, seed, statements, now);
    }

    #[test]
    fn a_kept_file_is_private_exactly_while_its_uploader_denies() {
        let (mut set, mut node) = (Set::default(), Replication::new(peer(1)));
        let mut private = |set: &Set, now| {
            node.set_kept(BTreeMap::from([(cid(), description(2, "a.bag"))]));
            node.decide(set, Moment::certain(now));
            node.private().clone()
        };
        assert!(private(&set, NOW).is_empty(), "nobody states terms");
        state(&mut set, 3, false, NOW);
        assert!(private(&set, NOW).is_empty(), "another peer denies");
        state(&mut set, 2, false, NOW);
        assert_eq!(private(&set, NOW), BTreeSet::from([cid()]));
        state(&mut set, 2, true, NOW.plus(2));
        assert!(private(&set, NOW.plus(2)).is_empty());
        state(&mut set, 1, false, NOW.plus(2));
        assert!(
            private(&set, NOW.plus(2)).is_empty(),
            "the permission of this node itself closes the whole node"
        );
    }
}
