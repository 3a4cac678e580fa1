//! `grant peer`: takes back the dismissal that `revoke peer` signed. A robot proposes itself as a peer, so `grant peer`
//! proposes nothing: it replaces the permanent dismissal by a dismissal that ends after a second.

use crate::context::Context;
use crate::error::CliError;
use crate::output::names::HOSTNAMES;
use crate::signing::{self, Signed, SigningOptions, Unsigned};
use crate::validity::{DefaultLength, ValidityOptions};
use dcache::{Data, Item, Kind, PeerId, Record, Set, Time, buckets};
use std::collections::BTreeSet;

/// Validity, in seconds, of the dismissal that replaces the permanent one.
const MOMENT: u64 = 1;

/// Takes back the signer's dismissal of `peer`. Returns the signed statement, and the peers whose own dismissals of
/// `peer` still count.
///
/// # Errors
/// When no dismissal of `peer` counts, or when only peers other than the signer dismiss it.
pub(crate) fn readmit(
    context: &Context,
    peer: PeerId,
    options: &SigningOptions,
) -> Result<(Signed, Vec<PeerId>), CliError> {
    let signer = options.signer(context)?;
    let reading = context.read(&[buckets::PEER.pattern(), HOSTNAMES])?;
    let mut deniers = deniers(&reading.answer.set, peer, reading.answer.now);
    if deniers.is_empty() {
        return Err(CliError::NotDenied(peer));
    }
    if !deniers.remove(&signer) {
        return Err(CliError::DeniedByOthers { peer, by: deniers.into_iter().collect() });
    }
    let validity = ValidityOptions::default();
    let default_length = DefaultLength::Seconds(MOMENT);
    let statement =
        Unsigned { kind: Kind::Dismiss, item: presence(peer), validity: &validity, default_length };
    let signed = signing::sign(context, vec![statement], options)?;
    Ok((signed, deniers.into_iter().collect()))
}

/// Returns the peers that deny `peer`: those whose dismissal of its presence counts now.
fn deniers(set: &Set, peer: PeerId, now: Time) -> BTreeSet<PeerId> {
    let item = presence(peer);
    let denies = |record: &&Record| {
        let is_now = record.kind() == Kind::Dismiss && record.validity().contains(now);
        // A peer that dismisses itself withdraws its presence. This does not count as a denial.
        is_now && record.signer() != peer && set.may(Kind::Dismiss, &item, record.signer(), now).is_ok()
    };
    set.records_about(&item).iter().filter(denies).map(Record::signer).collect()
}

fn presence(peer: PeerId) -> Item {
    Item { bucket: buckets::PEER.path(), data: Data::from(peer) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::{End, Keypair, Policy, Statement, Validity};
    use std::num::NonZeroU8;

    const NOW: Time = Time(1_800_000_000);

    #[test]
    fn the_deniers_of_a_peer_are_found_until_they_take_the_denial_back() {
        let [root, robot] = [1, 2].map(|seed| Keypair::from_seed([seed; 32]));
        let policy = Policy::new([root.peer_id()].into(), Vec::new(), NonZeroU8::MIN);
        let mut set = Set::new(policy, dcache::Limits::NONE);
        let mut say = |key: &Keypair, kind, validity: Validity, (sequence, former): (u64, End)| {
            let statement = Statement::new(kind, presence(robot.peer_id()), validity).unwrap();
            set.admit_verified(Record::sign(statement, key, sequence, former), NOW).unwrap();
            deniers(&set, robot.peer_id(), NOW.plus(2))
        };
        let minutes = Validity::starting(NOW, 600);
        assert!(say(&robot, Kind::Propose, minutes, (1, End::default())).is_empty());
        let forever = Validity::new(Some(NOW), None).unwrap();
        assert_eq!(say(&root, Kind::Dismiss, forever, (1, End::default())), BTreeSet::from([root.peer_id()]));
        assert!(say(&root, Kind::Dismiss, Validity::starting(NOW, MOMENT), (2, End::NEVER)).is_empty());
    }
}
