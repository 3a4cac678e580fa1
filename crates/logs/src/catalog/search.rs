//! The pure decider that finds the catalogues of other robots.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::known::Precedence;
use super::stated::{StatedCatalog, Valid};
use crate::replicate::start;
use dcache::buckets::CATALOG;
use dcache::{Moment, PeerId, Role, Set, Time};
use ipfs::Cid;
use ipfs::node::Provider;
use service::{Decide, Decision};
use std::collections::BTreeMap;
use std::convert::Infallible;

/// Maximum number of robots whose catalogues are read, those with a role first.
pub(crate) const MAX_ROBOTS: usize = 256;

/// A catalogue of another robot that is valid now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) robot: PeerId,
    pub(crate) catalog: StatedCatalog,
    /// Sequence number of the record that names it.
    pub(crate) sequence: u64,
    /// Whether the robot has a role, or the swarm has no roles.
    pub(crate) is_member: bool,
    /// The robot with its addresses, unless the catalogue was read already.
    pub(crate) provider: Option<Provider>,
}

impl Found {
    /// Returns the precedence of the catalogue.
    pub(crate) fn precedence(&self) -> Precedence {
        if self.is_member { Precedence::Member } else { Precedence::Stranger }
    }
}

/// Finds the catalogues of other robots.
#[derive(Clone, Debug)]
pub(crate) struct CatalogSearch {
    me: PeerId,
    /// Roots of the catalogues that were read.
    read: BTreeMap<PeerId, Cid>,
    found: Vec<Found>,
}

impl CatalogSearch {
    /// Creates the decider of the node `me`.
    pub(crate) fn new(me: PeerId) -> Self {
        Self { me, read: BTreeMap::new(), found: Vec::new() }
    }

    /// Replaces the roots of the catalogues that were read.
    pub(crate) fn set_read(&mut self, read: BTreeMap<PeerId, Cid>) {
        self.read = read;
    }

    /// Returns the catalogues that the last decision found.
    pub(crate) fn found(&self) -> Vec<Found> {
        self.found.clone()
    }

    fn find(&self, set: &Set, robot: PeerId, is_member: bool, now: Time) -> Option<Found> {
        let Valid { catalog, sequence, .. } = Valid::of(set, robot, now)?;
        let is_read = self.read.get(&robot) == Some(&catalog.root);
        let provider = if is_read { None } else { service::provider(set, robot, now) };
        Some(Found { robot, catalog, sequence, is_member, provider })
    }
}

impl Decide for CatalogSearch {
    type Action = Infallible;

    fn decide(&mut self, set: &Set, now: Moment) -> Decision<Infallible> {
        let now = now.time;
        let has_roles = !set.policy().roots().is_empty();
        let is_member = |robot: &PeerId| !has_roles || set.role(*robot, now) >= Some(Role::Trusted);
        let robots = set.signers_beside(&CATALOG.of(self.me)).filter(|robot| *robot != self.me);
        let (mut members, mut strangers): (Vec<_>, Vec<_>) = robots.partition(is_member);
        members.sort_unstable();
        strangers.sort_unstable();
        if members.len() + strangers.len() > MAX_ROBOTS && !strangers.is_empty() {
            let first = start(self.me, now) % strangers.len();
            strangers.rotate_left(first);
        }
        let members = members.into_iter().map(|robot| (robot, true));
        let all = members.chain(strangers.into_iter().map(|robot| (robot, false)));
        let found = all.filter_map(|(robot, is_member)| self.find(set, robot, is_member, now));
        self.found = found.take(MAX_ROBOTS).collect();
        Decision::default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::tests::numbered;
    use super::super::stated::tests::state;
    use super::*;
    use crate::index::tests::{NOW, peer};

    #[test]
    fn the_catalogues_of_other_robots_are_found() {
        let mut set = Set::default();
        let catalog = |number| StatedCatalog { root: numbered(number), files: 1, bytes: 9 };
        for seed in [1, 2, 3] {
            state(&mut set, seed, Some(catalog(u32::from(seed))), NOW);
        }
        let mut search = CatalogSearch::new(peer(1));
        search.decide(&set, Moment::certain(NOW));
        let robots =
            |search: &CatalogSearch| search.found().iter().map(|found| found.robot).collect::<Vec<_>>();
        let mut others = vec![peer(2), peer(3)];
        others.sort_unstable();
        assert_eq!(robots(&search), others);
        state(&mut set, 2, None, NOW);
        search.decide(&set, Moment::certain(NOW));
        assert_eq!(robots(&search), [peer(3)]);
    }

    #[test]
    fn members_come_before_strangers() {
        let roots = std::collections::BTreeSet::from([peer(9)]);
        let policy = dcache::Policy::new(roots, Vec::new(), std::num::NonZeroU8::MIN);
        let mut set = Set::new(policy, dcache::Limits::default());
        for seed in [1, 2, 3, 4, 9] {
            let catalog = StatedCatalog { root: numbered(u32::from(seed)), files: 1, bytes: 9 };
            state(&mut set, seed, Some(catalog), NOW);
        }
        let mut search = CatalogSearch::new(peer(1));
        search.decide(&set, Moment::certain(NOW));
        let found = search.found();
        assert_eq!((found[0].robot, found[0].is_member, found[1].is_member), (peer(9), true, false));
    }
}
