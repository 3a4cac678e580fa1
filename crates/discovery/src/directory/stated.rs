//! Gathers the facts that peers state about themselves in records.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::Drafts;
use super::draft::{Draft, Presence, put_younger};
use crate::Profile;
use crate::claims::presence;
use crate::protocol::Source;
use dcache::buckets::{ADDRESSES, HOSTNAME, IPFS_ADDRESSES, PEER, PRIVATE, ROBOT, VERSION};
use dcache::{BucketPath, Key, Kind, PeerId, Record, Set, Time, View};
use routing::Address;

/// Adds the statements that hold at `now`.
pub(super) fn add(drafts: &mut Drafts, set: &Set, now: Time) {
    add_presences(drafts, set, now);
    let pattern = PRIVATE.matcher();
    let mut owner = Owner::default();
    let mut views = set.matching(&pattern, now).peekable();
    // All facts of a peer follow each other, so its draft is looked up once.
    while let Some(peer) = views.peek().map(|view| owner.of(&view.item.bucket)) {
        let Some(peer) = peer else {
            views.next();
            continue;
        };
        let draft = drafts.entry(peer).or_default();
        while let Some(view) = views.next_if(|view| owner.of(&view.item.bucket) == Some(peer)) {
            if let Some(fact) = Row::of(&view.item.bucket)
                && let Some(own) = own_of(&view, peer)
            {
                add_fact(draft, fact, own, now);
            }
        }
    }
    for (peer, draft) in drafts.iter_mut().filter(|(_, draft)| draft.presence != Presence::Stated) {
        draft.presence = former_presence(set, *peer, now);
    }
}

fn add_presences(drafts: &mut Drafts, set: &Set, now: Time) {
    for view in set.bucket(&PEER.path(), now) {
        if let Ok(peer) = view.item.data.as_str().parse()
            && let Some(own) = own_of(&view, peer)
        {
            let draft = drafts.entry(peer).or_default();
            draft.presence = Presence::Stated;
            draft.note_stated(age(own, PEER.lifetime(), now));
        }
    }
}

/// Returns what the set knows about the presence of a peer that is not present.
fn former_presence(set: &Set, peer: PeerId, now: Time) -> Presence {
    let own = set.get(&Key { item: presence(peer), signer: peer });
    // A statement that does not hold yet comes from a clock that is far ahead. It says nothing about the present.
    match own.filter(|own| own.validity().from().is_none_or(|from| from <= now)) {
        None => Presence::Unknown,
        Some(own) if own.kind() == Kind::Dismiss => Presence::Withdrawn,
        Some(own) => Presence::Over(own.validity().until().unwrap_or(dcache::MAX_TIME)),
    }
}

/// A row of the table of buckets from which facts are read.
#[derive(Clone, Copy)]
enum Row {
    Name,
    Version,
    Profile,
    Address,
    IpfsAddress,
}

impl Row {
    fn of(bucket: &BucketPath) -> Option<Self> {
        let rows = [
            (HOSTNAME, Self::Name),
            (VERSION, Self::Version),
            (ROBOT, Self::Profile),
            (ADDRESSES, Self::Address),
            (IPFS_ADDRESSES, Self::IpfsAddress),
        ];
        rows.into_iter().find(|(bucket_row, _)| bucket_row.contains(bucket)).map(|(_, row)| row)
    }

    const fn lifetime(self) -> u64 {
        match self {
            Self::Name => HOSTNAME.lifetime(),
            Self::Version => VERSION.lifetime(),
            Self::Profile => ROBOT.lifetime(),
            Self::Address => ADDRESSES.lifetime(),
            Self::IpfsAddress => IPFS_ADDRESSES.lifetime(),
        }
    }
}

fn add_fact(draft: &mut Draft, row: Row, own: &Record, now: Time) {
    let (data, age) = (&own.item().data, age(own, row.lifetime(), now));
    draft.note_stated(age);
    let text = || Some(data.as_str().to_owned());
    match row {
        Row::Name => put_younger(&mut draft.robot.name, text(), age, Source::Record),
        Row::Version => put_younger(&mut draft.robot.version, text(), age, Source::Record),
        Row::Profile => draft.add_profile(Profile::from_data(data), age),
        Row::Address => {
            if let Some(address) = data.as_str().parse::<Address>().ok().and_then(|address| address.tcp()) {
                draft.add_address(data.as_str(), Some(address), age);
            }
        }
        Row::IpfsAddress => draft.add_address(data.as_str(), None, age),
    }
}

/// Returns the peer's own proposal of the item.
fn own_of<'a>(view: &View<'a>, peer: PeerId) -> Option<&'a Record> {
    view.proposals.iter().find(|record| record.signer() == peer).copied()
}

/// Returns the time in seconds since a record was signed, for a statement that a service makes for `lifetime`; see the
/// documentation of the module `directory`. A record without an end has an unknown age, which is shown as zero.
fn age(record: &Record, lifetime: u64, now: Time) -> u64 {
    let signed = record.validity().until().map(|until| until.0.saturating_sub(lifetime));
    signed.map_or(0, |signed| now.since(Time(signed)))
}

/// The peer of the last bucket. The buckets of a peer follow each other, so that its ID is parsed once.
#[derive(Default)]
struct Owner {
    name: String,
    peer: Option<PeerId>,
}

impl Owner {
    fn of(&mut self, bucket: &BucketPath) -> Option<PeerId> {
        let name = bucket.names().nth(1)?;
        if self.name != name {
            name.clone_into(&mut self.name);
            self.peer = PRIVATE.peer(bucket);
        }
        self.peer
    }
}
