//! Statements about uploads: the terms of a peer in `pri/ID/uploads`, and the renewal of the receipts in `uploads/CID`.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use dcache::{Data, Item, Key, Kind, PeerId, Record, Role, Set, Statements, Time, Validity, buckets};
use logs::Terms;
use serde::Serialize;
use std::collections::BTreeSet;

/// Maximum size, in bytes, of the place in a receipt. A record has at most 1024 bytes.
const MAX_PLACE: usize = 600;

/// Returns the statements by which `me` states these terms in place of its former ones. A peer that never stated terms,
/// and uploads nothing, need not state that its logs may not be uploaded: without terms, nothing may be uploaded either. If
/// `denies`, it states this anyway, so that other peers do not give its logs to other networks.
pub(crate) fn state_terms(terms: &Terms, denies: bool, (set, me): (&Set, PeerId), now: Time) -> Statements {
    let (mut statements, bucket) = (Statements::new(), buckets::UPLOAD_TERMS.of(me));
    // The name of a destination can be too long for a record.
    let without_name = || data(&Terms { destination: None, ..*terms });
    let Some(data) = data(terms).or_else(without_name) else { return statements };
    let item = Item { bucket: bucket.clone(), data };
    let former: Vec<Item> = set.bucket(&bucket, now).map(|view| view.item.clone()).collect();
    if denies || *terms != Terms::default() || !former.is_empty() {
        renew(&mut statements, (set, me), item.clone(), buckets::UPLOAD_TERMS.lifetime(), now);
    }
    for former in former.into_iter().filter(|former| *former != item) {
        statements.propose(former, Validity::over(now));
    }
    statements
}

/// Returns the place of an object in a destination. The name of an S3-compatible storage ends with its address.
pub(crate) fn place(destination: &str, key: &str) -> String {
    let storage = destination.split_once(" at ").filter(|_| destination.starts_with("s3://"));
    let mut place = match storage {
        Some((bucket, endpoint)) => format!("{bucket}/{key} at {endpoint}"),
        None => format!("{destination}/{key}"),
    };
    // JSON writes a control character as six bytes.
    place.retain(|character| !character.is_control());
    place.truncate(place.floor_char_boundary(MAX_PLACE));
    place
}

/// Returns whether the statement of `me` about the item holds for more than half of its lifetime.
pub(crate) fn is_fresh(set: &Set, me: PeerId, item: &Item, lifetime: u64, now: Time) -> bool {
    let held = own(set, me, item).map(Record::validity);
    held.is_some_and(|held| {
        held.contains(now) && held.until().is_none_or(|until| until > now.plus(lifetime / 2))
    })
}

/// Adds the statement of an item, if it has to be made or renewed.
pub(crate) fn renew(
    statements: &mut Statements,
    (set, me): (&Set, PeerId),
    item: Item,
    lifetime: u64,
    now: Time,
) {
    if !is_fresh(set, me, &item, lifetime, now) {
        let former = own(set, me, &item).map(Record::validity);
        statements.propose(item, Validity::renewed(former, now, lifetime));
    }
}

fn own<'a>(set: &'a Set, me: PeerId, item: &Item) -> Option<&'a Record> {
    let record = set.get(&Key { item: item.clone(), signer: me })?;
    (record.kind() == Kind::Propose).then_some(record)
}

fn data(value: &impl Serialize) -> Option<Data> {
    Data::new(&serde_json::to_string(value).ok()?).ok()
}

/// Returns `me`, and the other present peers that state a destination and whose receipts count.
pub(crate) fn uploaders(set: &Set, me: PeerId, now: Time) -> BTreeSet<PeerId> {
    let roles = [Role::Root, Role::Admin, Role::Trusted];
    let members: BTreeSet<PeerId> = roles.into_iter().flat_map(|role| set.holders(role, now)).collect();
    let is_present = |peer: PeerId| {
        let item = Item { bucket: buckets::PEER.path(), data: peer.into() };
        set.item(&item, now).is_some()
    };
    let has_destination =
        |peer: PeerId| Terms::of(set, peer, now).is_some_and(|terms| terms.destination.is_some());
    let others =
        members.into_iter().filter(|peer| *peer != me && is_present(*peer) && has_destination(*peer));
    others.chain([me]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::tests::{NOW, cid, counting, peer, publish, swarm};
    use logs::{Receipt, is_uploaded, receipts};

    /// Makes peer 2 state its terms. Returns the number of new records.
    fn state(set: &mut Set, terms: &Terms, now: Time) -> usize {
        let statements = state_terms(terms, false, (set, peer(2)), now);
        publish(set, 2, statements, now)
    }

    #[test]
    fn terms_are_stated_once_and_replace_the_former_ones() {
        let mut set = swarm();
        let of_default = |set: &Set, denies| state_terms(&Terms::default(), denies, (set, peer(2)), NOW);
        assert!(of_default(&set, false).is_empty(), "nobody has to deny");
        assert!(!of_default(&set, true).is_empty());
        let allowed = Terms { is_allowed: true, destination: None };
        assert_eq!(state(&mut set, &allowed, NOW), 1);
        assert_eq!(Terms::of(&set, peer(2), NOW), Some(allowed.clone()));
        let day = NOW.plus(24 * 3600);
        assert_eq!(state(&mut set, &allowed, day), 0);
        let half = NOW.plus(buckets::UPLOAD_TERMS.lifetime() / 2);
        assert_eq!(state(&mut set, &allowed, half), 1);
        let denied = Terms::default();
        assert_eq!(state(&mut set, &denied, half), 2);
        assert_eq!(Terms::of(&set, peer(2), half.plus(1)), Some(denied));
        assert_eq!(Terms::of(&set, peer(3), half), None);
    }

    #[test]
    fn of_several_terms_the_denial_counts() {
        let mut set = swarm();
        for is_allowed in [true, false] {
            let mut statements = Statements::new();
            let data = data(&Terms { is_allowed, destination: None }).unwrap();
            let item = Item { bucket: buckets::UPLOAD_TERMS.of(peer(2)), data };
            statements.propose(item, Validity::stated(NOW, 600));
            publish(&mut set, 2, statements, NOW);
        }
        assert_eq!(Terms::of(&set, peer(2), NOW), Some(Terms::default()));
    }

    #[test]
    fn a_place_names_the_object_and_the_storage_and_fits_into_a_record() {
        assert_eq!(place("file:///srv/a at b", "logs/x"), "file:///srv/a at b/logs/x");
        assert_eq!(
            place("s3://logs/swarm at http://[::1]:80", "logs/x"),
            "s3://logs/swarm/logs/x at http://[::1]:80"
        );
        let long = place(&format!("file:///{}", "ä\"\u{1}".repeat(2000)), "logs/x");
        let receipt = Receipt { place: long, time: Time(u64::MAX), bytes: u64::MAX };
        assert!(receipt.item(&cid(1)).is_some());
        let terms = Terms { is_allowed: true, destination: Some("d".repeat(2000)) };
        let mut set = swarm();
        assert_eq!(state(&mut set, &terms, NOW), 1);
        assert_eq!(Terms::of(&set, peer(2), NOW), Some(Terms { is_allowed: true, destination: None }));
    }

    #[test]
    fn only_the_receipt_of_a_trusted_peer_counts() {
        let mut set = swarm();
        let receipt = Receipt { place: "s3://logs/logs/x".to_owned(), time: NOW, bytes: 7 };
        let mut statements = Statements::new();
        statements.propose(receipt.item(&cid(1)).unwrap(), Validity::stated(NOW, 600));
        let stranger = 9;
        publish(&mut set, stranger, statements.clone(), NOW);
        assert!(!is_uploaded(&counting(&set), &cid(1)));
        publish(&mut set, 1, statements, NOW);
        let counting = counting(&set);
        assert!(is_uploaded(&counting, &cid(1)) && !is_uploaded(&counting, &cid(2)));
        assert_eq!(receipts(&counting, &cid(1)), [(receipt, BTreeSet::from([peer(1)]))]);
    }
}
