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
    /// Where the catalogue is fetched; `None` if it was read already, or nobody is in reach. Without providers, only the
    /// neighbours of this node are asked: robots that met the robot have pinned its catalogue.
    pub(crate) providers: Option<Vec<Provider>>,
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

    fn find(
        &self,
        (set, has_neighbours): (&Set, bool),
        (robot, is_member): (PeerId, bool),
        now: Time,
    ) -> Option<Found> {
        let Valid { catalog, sequence, .. } = Valid::of(set, robot, now)?;
        let is_read = self.read.get(&robot) == Some(&catalog.root);
        let providers = || match service::provider(set, robot, now) {
            Some(provider) => Some(vec![provider]),
            None => has_neighbours.then(Vec::new),
        };
        let providers = if is_read { None } else { providers() };
        Some(Found { robot, catalog, sequence, is_member, providers })
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
        // In the open swarm everybody is a member, and anybody can have many keys.
        let all = members.len() + strangers.len();
        let in_turn = if has_roles { &mut strangers } else { &mut members };
        if all > MAX_ROBOTS && !in_turn.is_empty() {
            let first = start(self.me, now) % in_turn.len();
            in_turn.rotate_left(first);
        }
        let has_neighbours = set.holders(Role::Peer, now).iter().any(|peer| *peer != self.me);
        let members = members.into_iter().map(|robot| (robot, true));
        let all = members.chain(strangers.into_iter().map(|robot| (robot, false)));
        let found = all.filter_map(|one| self.find((set, has_neighbours), one, now));
        self.found = found.take(MAX_ROBOTS).collect();
        Decision::default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::tests::numbered;
    use super::super::stated::tests::state;
    use super::*;
    use crate::index::tests::{NOW, peer, presence, say};
    use dcache::Kind;

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
    fn the_catalogue_of_a_robot_that_is_away_is_asked_of_the_neighbours() {
        let mut set = Set::default();
        let catalog = StatedCatalog { root: numbered(2), files: 1, bytes: 9 };
        state(&mut set, 2, Some(catalog), NOW);
        let mut search = CatalogSearch::new(peer(1));
        let mut providers = |set: &Set| {
            search.decide(set, Moment::certain(NOW));
            search.found()[0].providers.clone()
        };
        say(&mut set, 1, Kind::Propose, presence(1), 600);
        assert_eq!(providers(&set), None, "nobody else is here");
        say(&mut set, 3, Kind::Propose, presence(3), 600);
        assert_eq!(providers(&set), Some(Vec::new()));
        let address = dcache::Data::new("/ip4/10.0.0.2/tcp/6002").unwrap();
        let item = dcache::Item { bucket: dcache::buckets::IPFS_ADDRESSES.of(peer(2)), data: address };
        say(&mut set, 2, Kind::Propose, item, 600);
        assert_eq!(providers(&set).map(|providers| providers.len()), Some(1));
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
