//! Paths: chains of channels to one peer, used as if they were a channel of their own.

use crate::brain::Origin;
use crate::forward::{Way, ip};
use crate::interface::Routing;
use crate::{Brain, Now, Output};
use routing::{
    Address, Allowance, Capacity, ChannelId, Envelope, Explanation, MAX_LINE_BYTES, Medium, Part, Reach,
    Resolution, Target,
};
use std::time::Duration;

/// The numbers of paths begin here; those of channels stay below.
const FIRST: u64 = 1 << 62;
/// The most paths that others began, and the most in all.
const MAX_LEARNED: usize = 16;
const MAX_PATHS: usize = 48;
/// A path that others began is forgotten when nobody was heard on it for so long.
const FORGOTTEN: Duration = Duration::from_secs(15 * 60);

/// What a path bears: others carry it.
const CAPACITY: Capacity = Capacity {
    reach: Reach::Peer,
    cost: 10,
    mtu: 1100,
    bytes: Allowance { burst: 32 * 1024, per_minute: 600_000 },
    lines: Allowance { burst: 50, per_minute: 600 },
    whole: usize::MAX,
    piece: usize::MAX,
    beacons: (Duration::from_secs(1), Duration::from_secs(30)),
    round_trip: Duration::from_secs(1),
    is_lossy: true,
};

/// A path.
#[derive(Debug)]
pub(crate) struct Path {
    pub(crate) id: ChannelId,
    /// Its channels, one after the other.
    pub(crate) chain: Address,
    is_configured: bool,
    heard: Duration,
}

impl Brain {
    /// From now on lines are routed so.
    pub fn route(&mut self, routing: Routing, now: Now) {
        let Routing { rules, paths, forwards } = routing;
        self.forwarding.is_on = forwards;
        self.forwarding.configure(rules);
        let is_over = |path: &Path| path.is_configured && !paths.contains(&path.chain);
        self.close_paths(now, is_over);
        for chain in paths {
            self.open_path(now, chain, true);
        }
    }

    fn open_path(&mut self, now: Now, chain: Address, is_configured: bool) -> Option<ChannelId> {
        if let Some(path) = self.paths.iter_mut().find(|path| is_same_way(&path.chain, &chain)) {
            path.is_configured |= is_configured;
            return Some(path.id);
        }
        let learned = self.paths.iter().filter(|path| !path.is_configured).count();
        if self.paths.len() >= MAX_PATHS || (!is_configured && learned >= MAX_LEARNED) {
            self.count("paths not opened: too many");
            return None;
        }
        self.last_path += 1;
        let id = ChannelId(FIRST + self.last_path);
        self.paths.push(Path { id, chain: chain.clone(), is_configured, heard: now.elapsed });
        let (name, at) = (format!("path {chain}"), Some(chain));
        self.up(now, id, Medium::Broadcast { name, at, line: None, capacity: CAPACITY }, &mut Vec::new());
        Some(id)
    }

    fn close_paths(&mut self, now: Now, is_over: impl Fn(&Path) -> bool) {
        let over: Vec<ChannelId> =
            self.paths.iter().filter(|path| is_over(path)).map(|path| path.id).collect();
        self.paths.retain(|path| !over.contains(&path.id));
        over.into_iter().for_each(|id| self.down(now, id));
    }

    /// Forgets paths that others began and do not use any more.
    pub(crate) fn forget_paths(&mut self, now: Now) {
        self.close_paths(now, |path| !path.is_configured && path.heard + FORGOTTEN <= now.elapsed);
    }

    /// A line that others passed on belongs to the path by which it came. Who speaks to everybody by a path, and so to us
    /// alone, wants to share what it has: then the path is ours as well.
    pub(crate) fn path_of(&mut self, now: Now, origin: Origin, envelope: &Envelope, bytes: usize) -> Origin {
        let Some(chain) = way_back(envelope, origin) else { return origin };
        let known = self.paths.iter_mut().find(|path| is_same_way(&path.chain, &chain));
        let id = match known {
            Some(path) => {
                path.heard = now.elapsed;
                Some(path.id)
            }
            None if envelope.to == Address::every_brain() => self.open_path(now, chain, false),
            None => None,
        };
        let Some(channel) = id else { return origin };
        self.tally(channel, |tally| {
            tally.received_lines += 1;
            tally.received_bytes += bytes as u64;
        });
        Origin { channel, source: None }
    }

    /// The chains of channels that are used as one, configured and learned.
    pub fn paths(&self) -> impl Iterator<Item = &Address> {
        self.paths.iter().map(|path| &path.chain)
    }

    /// Whether lines are passed on for others.
    pub fn forwards(&self) -> bool {
        self.forwarding.is_on
    }

    /// By which channel a line would leave, in words for people.
    pub fn explain_way(&self, explanation: &Explanation) -> String {
        let part = match &explanation.end {
            Err(error) => return error.to_string(),
            Ok(Resolution::Here) => return "for this node itself".to_owned(),
            Ok(Resolution::Channel { address } | Resolution::NoRoute { address }) => address.split_first().0,
        };
        let name = |id: &ChannelId| self.channels.get(id).map_or("", |channel| channel.tally.name.as_str());
        match self.way(&part, None) {
            Some(Way::On(id, Target::All)) => format!("leaves by {}", name(&id)),
            Some(Way::On(id, Target::Host(host))) => format!("leaves by {}, for {host} alone", name(&id)),
            Some(Way::Dial(address)) => {
                format!("leaves by a TCP link with {address}, which is dialled when needed")
            }
            None => "does not leave: no channel of this node leads there".to_owned(),
        }
    }

    pub(crate) fn is_path(&self, id: ChannelId) -> bool {
        self.paths.iter().any(|path| path.id == id)
    }

    /// Sends a line by a path: what is addressed onwards is left to those on the way.
    pub(crate) fn put_on_path(
        &mut self,
        now: Now,
        chain: &Address,
        envelope: &Envelope,
        out: &mut Vec<Output>,
    ) {
        let Ok(to) = chain.then(&envelope.to) else { return self.count("lines too long for a path") };
        let (part, rest) = to.split_first();
        let (way, to) = (self.way(&part, None), rest.unwrap_or_else(Address::every_brain));
        let line = Envelope { to, ..envelope.clone() }.encode();
        if line.len() > MAX_LINE_BYTES {
            return self.count("lines too long for a path");
        }
        match way {
            Some(Way::On(id, target)) => self.put_line(id, target, line, out),
            Some(Way::Dial(address)) => drop(self.send_by_link(now, address, line, out)),
            None => self.count("lines for a path that has no beginning here"),
        }
    }
}

/// The channels by which an answer to a line that was passed on goes back; none when it came straight.
fn way_back(envelope: &Envelope, origin: Origin) -> Option<Address> {
    if envelope.hops == 0 {
        return None;
    }
    let parts: Vec<Part<'_>> = envelope.from.parts().collect();
    let (last, way) = parts.split_last()?;
    let is_there = origin.source.is_none_or(|source| way.first().and_then(ip) == Some(source.ip()));
    let is_chain = matches!(last, Part::Peer(_)) && way.len() > 1 && is_there;
    is_chain.then(|| Address::from_parts(way.iter().copied()).ok())?
}

/// Whether two chains lead over the same hosts, in the same order, by whichever ports.
fn is_same_way(one: &Address, other: &Address) -> bool {
    let is_same = |(one, other): (Part<'_>, Part<'_>)| match (ip(&one), ip(&other)) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    };
    one.parts().count() == other.parts().count() && one.parts().zip(other.parts()).all(is_same)
}
