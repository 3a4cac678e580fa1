//! The offer of a robot: up to which size it keeps files of other robots. Every robot states its offer in
//! `pri/ID/keeps`, so that all robots choose the same holders of a file.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use dcache::{Data, Item, Key, Kind, PeerId, Set, Statements, Time, Validity, buckets};
use serde::{Deserialize, Serialize};

/// Number of statements of one peer that are read. An honest peer makes one, and a second one for a moment when its
/// offer changes.
const MAX_READ: usize = 4;

/// The offer of a robot to keep files of other robots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Number of copies of each file that the robot wants in the swarm; 0 if every robot should keep every file.
    pub copies: usize,
    /// Size, in bytes, up to which the robot keeps a file of another robot. It keeps none if this is 0.
    pub bytes: u64,
}

impl Offer {
    /// Returns the offer that a peer states at `now`. Of several offers, the smallest counts.
    pub fn of(set: &Set, peer: PeerId, now: Time) -> Option<Self> {
        let bucket = buckets::KEEPS.of(peer);
        let stated = set.bucket(&bucket, now).take(MAX_READ);
        let offers = stated.filter_map(|view| serde_json::from_str::<Self>(view.item.data.as_str()).ok());
        offers.min_by_key(|offer| offer.bytes)
    }

    /// Returns the offer with the room, in bytes, rounded down to a power of two, so that it seldom changes. The
    /// present offer is kept while the room is at least as large and less than four times as large.
    #[must_use]
    pub(crate) fn with_room(self, room: u64) -> Self {
        let fits = self.bytes > 0 && self.bytes <= room && room / 4 < self.bytes;
        let bytes = match room.checked_ilog2() {
            _ if fits => self.bytes,
            Some(power) => 1 << power,
            None => 0,
        };
        Self { bytes, ..self }
    }

    /// Returns the statements by which `me` makes this offer in place of its former ones. A robot that keeps nothing for
    /// others states nothing.
    pub(crate) fn statements(self, set: &Set, me: PeerId, now: Time) -> Statements {
        let (mut statements, bucket) = (Statements::new(), buckets::KEEPS.of(me));
        let Ok(data) = Data::new(&serde_json::to_string(&self).unwrap_or_default()) else {
            return statements;
        };
        let item = Item { bucket: bucket.clone(), data };
        let own = set.get(&Key { item: item.clone(), signer: me });
        let former = own.filter(|own| own.kind() == Kind::Propose).map(|own| own.validity());
        let lifetime = buckets::KEEPS.lifetime();
        let is_fresh = former.is_some_and(|former| {
            former.contains(now) && former.until().is_some_and(|until| until > now.plus(lifetime / 2))
        });
        let is_needed = self.bytes > 0;
        if is_needed && !is_fresh {
            statements.propose(item.clone(), Validity::renewed(former, now, lifetime));
        }
        for view in set.bucket(&bucket, now).filter(|view| !is_needed || *view.item != item) {
            statements.propose(view.item.clone(), Validity::over(now));
        }
        statements
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::tests::{NOW, peer, publish};

    /// Makes peer 1 state an offer. Returns the number of new records.
    fn state(set: &mut Set, offer: Offer, now: Time) -> usize {
        let statements = offer.statements(set, peer(1), now);
        publish(set, 1, statements, now)
    }

    #[test]
    fn a_changed_offer_replaces_the_former_one_and_an_unchanged_one_is_seldom_stated() {
        let mut set = Set::default();
        let small = Offer { copies: 3, bytes: 1 << 20 };
        assert_eq!(state(&mut set, small, NOW), 1);
        let day = NOW.plus(24 * 3600);
        assert_eq!(state(&mut set, small, day), 0);
        let half = NOW.plus(buckets::KEEPS.lifetime() / 2);
        assert_eq!(state(&mut set, small, half), 1);
        let large = Offer { copies: 3, bytes: 1 << 30 };
        assert_eq!(state(&mut set, large, half), 2);
        assert_eq!(Offer::of(&set, peer(1), half.plus(1)), Some(large));
        assert_eq!(Offer::of(&set, peer(2), half), None);
        let nothing = Offer { copies: 3, bytes: 0 };
        assert_eq!(state(&mut set, nothing, half.plus(2)), 1);
        assert_eq!(Offer::of(&set, peer(1), half.plus(3)), None);
        assert_eq!(state(&mut set, nothing, half.plus(4)), 0);
    }

    #[test]
    fn an_offer_is_rounded_and_follows_small_changes_of_the_room_only_downwards() {
        let offer = Offer { copies: 3, bytes: 0 }.with_room(1_500_000);
        assert_eq!(offer.bytes, 1 << 20);
        assert_eq!(offer.with_room(4_000_000), offer);
        assert_eq!(offer.with_room(5_000_000).bytes, 1 << 22);
        assert_eq!(offer.with_room(1_000_000).bytes, 1 << 19);
        assert_eq!((offer.with_room(0).bytes, offer.with_room(1).bytes), (0, 1));
        assert_eq!(offer.with_room(u64::MAX).bytes, 1 << 63);
    }
}
