//! Powerless records: records that could never count, even if their signer got a role. They are in a bucket in which
//! nobody may make statements, or in one that requires a role although the swarm has no roots and so gives no roles.
//! The check depends only on the policy, so all nodes agree.

use super::Set;
use crate::policy::is_own;
use crate::{Item, Kind, Limits, PeerId, Role, Who};

impl Set {
    /// Returns whether a statement could never count. A dismissal also counts if its signer could have proposed the
    /// item, because it withdraws the proposal. With [`Limits::NONE`] no record is powerless, because a program that
    /// reads another node's answer shows every record.
    pub(super) fn is_powerless(&self, kind: Kind, item: &Item, signer: PeerId) -> bool {
        let takes_back = || kind == Kind::Dismiss && self.could_count(Kind::Propose, item, signer);
        self.limits != Limits::NONE && !self.could_count(kind, item, signer) && !takes_back()
    }

    fn could_count(&self, kind: Kind, item: &Item, signer: PeerId) -> bool {
        match self.policy.rule(&item.bucket).requirement(kind).who {
            Who::Anybody => true,
            // Each peer that states that it is present holds the weakest role.
            Who::Role(role) => role == Role::Peer || !self.policy.roots().is_empty(),
            who @ (Who::Owner | Who::Subject) => is_own(who, item, signer),
            Who::Nobody => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set::{Admission, Refusal};
    use crate::{Data, End, Keypair, Moment, Policy, Record, Statement, Time, Validity};
    use std::num::NonZeroU8;

    const NOW: Time = Time(1_800_000_000);

    fn key(seed: u8) -> Keypair {
        Keypair::from_seed([seed; 32])
    }

    fn record(signer: u8, kind: Kind, bucket: &str, data: &str) -> Record {
        let item = Item { bucket: bucket.parse().unwrap(), data: Data::new(data).unwrap() };
        let statement = Statement::new(kind, item, Validity::starting(NOW, 100)).unwrap();
        Record::sign(statement, &key(signer), 1, End::default())
    }

    fn rooted() -> Policy {
        Policy::new([key(1).peer_id()].into(), Vec::new(), NonZeroU8::MIN)
    }

    #[test]
    fn a_powerless_record_is_refused_and_not_restored_from_the_disk() {
        let one = key(1).peer_id().to_string();
        let never = |policy: &Policy, record: &Record| {
            let mut set = Set::new(policy.clone(), Limits::of(policy));
            let refused = set.admit_verified(record.clone(), NOW) == Err(Refusal::Powerless);
            let mut restored = Set::new(policy.clone(), Limits::of(policy));
            let dropped = restored.restore([record.clone()], Moment::certain(NOW));
            assert_eq!((dropped.len(), restored.is_empty()), (usize::from(refused), refused), "{record:?}");
            refused
        };
        let (open, rooted) = (Policy::default(), rooted());
        for kind in [Kind::Propose, Kind::Dismiss] {
            let junk = record(2, kind, "junk/of/nobody", "x");
            assert!(never(&open, &junk) && never(&rooted, &junk));
            for bucket in ["trusted", "admin", "networks", "uploads/x"] {
                let of_role = record(2, kind, bucket, &one);
                assert!(
                    never(&open, &of_role) && !never(&rooted, &of_role),
                    "{bucket}: the signer may get the role"
                );
            }
            assert!(!never(&open, &record(2, kind, "share/files", "x")));
            assert!(!never(&open, &record(1, kind, "peer", &one)), "a peer may withdraw its own presence");
        }
        assert!(never(&open, &record(2, Kind::Dismiss, "peer", &one)), "no peer can become an admin");
        assert!(!never(&rooted, &record(2, Kind::Dismiss, "peer", &one)));
    }

    #[test]
    fn a_set_without_limits_admits_records_that_do_not_count() {
        let mut set = Set::new(Policy::default(), Limits::NONE);
        let admitted = set.admit_verified(record(2, Kind::Propose, "trusted", "x"), NOW);
        assert!(matches!(admitted, Ok(Admission::New { .. })));
    }
}
