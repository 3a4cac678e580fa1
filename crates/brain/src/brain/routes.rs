//! Routes: configured rules and paths, and paths that other nodes opened.

use super::Brain;
use crate::next_hop::NextHop;
use crate::origin::Origin;
use crate::paths::{Opening, PATH_CAPACITY, way_back};
use crate::{Now, Routing};
use routing::{Address, ChannelId, Envelope, Explanation, Resolution, Target};
use telemetry::metrics;

impl Brain {
    /// Replaces the routing configuration.
    pub fn route(&mut self, routing: Routing, now: Now) {
        let Routing { rules, paths, forwards } = routing;
        self.forwarding.is_on = forwards;
        self.forwarding.configure(rules);
        let over = self.node.paths.retain_configured(&paths);
        over.into_iter().for_each(|id| self.down(now, id));
        for chain in paths {
            self.open_path(now, chain, true);
        }
    }

    /// Returns the chains of all open paths, configured and learned.
    pub fn paths(&self) -> impl Iterator<Item = &Address> {
        self.node.paths.chains()
    }

    /// Returns whether this node forwards lines for others.
    pub fn forwards(&self) -> bool {
        self.forwarding.is_on
    }

    /// Describes, for people, by which channel a line would leave.
    pub fn explain_way(&self, explanation: &Explanation) -> String {
        let part = match &explanation.end {
            Err(error) => return error.to_string(),
            Ok(Resolution::Here) => return "for this node itself".to_owned(),
            Ok(Resolution::Channel { address } | Resolution::NoRoute { address }) => address.split_first().0,
        };
        let name = |id| self.node.channels.get(id).map_or("", |channel| channel.tally.name.as_str());
        match self.node.next_hop(&part, None) {
            Some(NextHop::On(id, Target::All)) => format!("leaves by {}", name(id)),
            Some(NextHop::On(id, Target::Host(host))) => format!("leaves by {}, for {host} alone", name(id)),
            Some(NextHop::Dial(address)) => {
                format!("leaves by a TCP link with {address}, which is dialled when needed")
            }
            None => "does not leave: no channel of this node leads there".to_owned(),
        }
    }

    fn open_path(&mut self, now: Now, chain: Address, is_configured: bool) -> Option<ChannelId> {
        match self.node.paths.open(&chain, is_configured, now.elapsed) {
            Opening::Known(id) => Some(id),
            Opening::New(id) => {
                self.node.add_path(now, id, chain, PATH_CAPACITY);
                Some(id)
            }
            Opening::Full => {
                self.node.count(&metrics::BRAIN_PATHS_NOT_OPENED);
                None
            }
        }
    }

    /// Drops paths that other nodes opened and no longer use.
    pub(super) fn drop_unused_paths(&mut self, now: Now) {
        let over = self.node.paths.drop_unused(now.elapsed);
        over.into_iter().for_each(|id| self.down(now, id));
    }

    /// Returns the origin of a line. If other nodes forwarded the line along a path, the path counts as its channel. If
    /// such a line is addressed to all brains, its sender wants to share records with this node, because along a path
    /// it reaches this node alone. Then the path is opened.
    pub(super) fn path_of(&mut self, now: Now, origin: Origin, envelope: &Envelope, bytes: usize) -> Origin {
        let chain = way_back(envelope, origin).filter(|chain| self.node.is_fit_path(origin, chain));
        let Some(chain) = chain else { return origin };
        let known = self.node.paths.heard(&chain, now.elapsed);
        let is_for_all = envelope.to == self.node.everybody;
        let id = known.or_else(|| if is_for_all { self.open_path(now, chain, false) } else { None });
        let Some(channel) = id else { return origin };
        self.node.channels.tally(channel, |tally| {
            tally.received_lines += 1;
            tally.received_bytes += bytes as u64;
        });
        Origin { channel, source: None, reaches_all: true }
    }
}
