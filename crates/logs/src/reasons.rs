//! The reasons for which peers discarded a file, in `share/reasons/CID`.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use dcache::{BucketPath, Data, Item, Key, Kind, PeerId, Record, Set, Statements, Time, Validity, buckets};
use ipfs::Cid;
use std::collections::BTreeMap;

/// Maximum size of a reason in bytes. Longer ones are cut off.
pub const MAX_REASON_BYTES: usize = 300;
/// Maximum number of reasons of one file that are read.
const MAX_READ: usize = 256;
/// Lifetime of a reason in seconds. It is that of the discard.
const LIFETIME: u64 = buckets::SHARE_REASONS.lifetime();

/// Returns the reasons that peers state for their discards of a file. Of several reasons of one peer, one counts.
pub fn reasons(set: &Set, cid: &Cid, now: Time) -> BTreeMap<PeerId, String> {
    let mut reasons = BTreeMap::new();
    for view in set.bucket(&bucket(cid), now).take(MAX_READ) {
        for proposal in view.proposals {
            reasons.entry(proposal.signer()).or_insert_with(|| clean(view.item.data.as_str()));
        }
    }
    reasons
}

/// Returns the item that states the reason for the discard of a file; `None` for an empty reason.
pub fn reason_item(cid: &Cid, reason: &str) -> Option<Item> {
    let reason = clean(reason);
    let data = (!reason.is_empty()).then(|| Data::new(&reason).ok()).flatten()?;
    Some(Item { bucket: bucket(cid), data })
}

/// Adds the reason for the discard of a file to its statements. Without a new reason, the former one is renewed.
pub(crate) fn give(
    statements: &mut Statements,
    (set, me): (&Set, PeerId),
    cid: &Cid,
    reason: Option<&str>,
    now: Time,
) {
    let former = former(set, me, cid, now);
    let new = reason.and_then(|reason| reason_item(cid, reason));
    let Some(item) = new.or_else(|| former.first().cloned()) else { return };
    for replaced in former.into_iter().filter(|former| *former != item) {
        statements.propose(replaced, Validity::over(now));
    }
    let held = set.get(&Key { item: item.clone(), signer: me }).filter(|own| own.kind() == Kind::Propose);
    let is_old = |own: &Record| own.validity().until().is_some_and(|until| until <= now.plus(LIFETIME / 2));
    if held.is_none_or(is_old) {
        statements.propose(item, Validity::stated(now, LIFETIME));
    }
}

/// Returns the reasons that `me` states now.
fn former(set: &Set, me: PeerId, cid: &Cid, now: Time) -> Vec<Item> {
    let is_own = |view: &dcache::View<'_>| view.proposals.iter().any(|record| record.signer() == me);
    let views = set.bucket(&bucket(cid), now).take(MAX_READ);
    views.filter(is_own).map(|view| view.item.clone()).collect()
}

/// Replaces control characters, and cuts a long text off.
fn clean(text: &str) -> String {
    let mut text: String =
        text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    text.truncate(text.floor_char_boundary(MAX_REASON_BYTES));
    text.trim().to_owned()
}

#[expect(clippy::expect_used, reason = "a CID has at most 62 characters and no slash")]
fn bucket(cid: &Cid) -> BucketPath {
    buckets::SHARE_REASONS.of(&cid.to_string()).expect("a CID is a valid name in a path")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::tests::{NOW, cid, peer, publish};

    fn state(set: &mut Set, signer: u8, reason: Option<&str>, now: Time) -> usize {
        let mut statements = Statements::new();
        give(&mut statements, (set, peer(signer)), &cid(), reason, now);
        publish(set, signer, statements, now)
    }

    #[test]
    fn each_peer_states_one_reason_and_renews_it_at_half_its_time() {
        let mut set = Set::default();
        assert_eq!(state(&mut set, 1, None, NOW), 0, "there is no reason to renew");
        assert_eq!(state(&mut set, 1, Some("not a log"), NOW), 1);
        assert_eq!(state(&mut set, 2, Some("too\nlong\u{1b} "), NOW), 1);
        let all = reasons(&set, &cid(), NOW.plus(1));
        assert_eq!(
            all,
            BTreeMap::from([(peer(1), "not a log".to_owned()), (peer(2), "too long".to_owned())])
        );
        let later = NOW.plus(3600);
        assert_eq!(state(&mut set, 1, None, later), 0, "nothing is repeated by reflex");
        let half = NOW.plus(LIFETIME / 2 + 60);
        assert_eq!(state(&mut set, 1, None, half), 1);
        assert_eq!(state(&mut set, 1, Some("private"), half.plus(60)), 2, "the former reason is taken back");
        assert_eq!(reasons(&set, &cid(), half.plus(62))[&peer(1)], "private");
    }

    #[test]
    fn a_long_reason_is_cut_off() {
        let mut set = Set::default();
        assert_eq!(state(&mut set, 1, Some(&"ä".repeat(2000)), NOW), 1);
        assert_eq!(reasons(&set, &cid(), NOW.plus(1))[&peer(1)].len(), MAX_REASON_BYTES);
    }
}
