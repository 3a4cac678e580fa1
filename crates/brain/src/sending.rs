//! Sending of lines: within the budget of their channel, along paths, and over links that have to be opened first.

use crate::Now;
use crate::channel::SendOutcome;
use crate::next_hop::NextHop;
use crate::node::Node;
use crate::reach::NamedBy;
use crate::waiting::Queued;
use routing::{Address, ChannelCommand, ChannelId, Envelope, MAX_LINE_BYTES, Target};
use std::net::SocketAddr;
use telemetry::metrics;

impl Node {
    /// Sends a line if the budget of its channel allows it now, and returns whether it did.
    pub(crate) fn send(&mut self, now: Now, id: ChannelId, target: Target, envelope: &Envelope) -> bool {
        let is_sent = matches!(self.try_send(now, id, target, envelope), SendOutcome::Sent);
        if !is_sent {
            self.count(&metrics::BRAIN_LINES_DROPPED_OVER_BUDGET);
        }
        is_sent
    }

    /// Sends a line like [`Self::send`], and returns the result. On a link, only pushed records are held to the budget.
    /// Answers are not, because they go out in portions, as the other side takes them.
    pub(crate) fn try_send(
        &mut self,
        now: Now,
        id: ChannelId,
        target: Target,
        envelope: &Envelope,
    ) -> SendOutcome {
        let outcome =
            if self.channels.is_link(id) { SendOutcome::Sent } else { self.spend(now, id, envelope) };
        if matches!(outcome, SendOutcome::Sent) {
            self.put(now, id, target, envelope);
        }
        outcome
    }

    /// Takes the cost of a line from the budget of its channel.
    pub(crate) fn spend(&mut self, now: Now, id: ChannelId, envelope: &Envelope) -> SendOutcome {
        self.channels.spend(id, envelope.encode().len(), now.elapsed)
    }

    /// Sends a line that is paid for on its channel. On a path, the line takes the first step of the path.
    pub(crate) fn put(&mut self, now: Now, id: ChannelId, target: Target, envelope: &Envelope) {
        let line = envelope.encode();
        match self.paths.chain(id).cloned() {
            None => self.put_line(id, target, line),
            Some(_) if !self.paths.may_send(id, line.len(), now.elapsed) => {
                self.count(&metrics::BRAIN_PATHS_DROPPED_UNPROVEN);
            }
            Some(chain) => {
                self.tally_sent(id, line.len());
                let named_by = if self.paths.is_configured(id) { NamedBy::Owner } else { NamedBy::Others };
                self.put_on_path(now, &chain, envelope, named_by);
            }
        }
    }

    /// Sends a line along a path. The nodes on the way forward it to the rest of its address.
    fn put_on_path(&mut self, now: Now, chain: &Address, envelope: &Envelope, named_by: NamedBy) {
        let Ok(to) = chain.then(&envelope.to) else {
            return self.count(&metrics::BRAIN_PATHS_DROPPED_TOO_LONG);
        };
        let (part, rest) = to.split_first();
        let (next, to) = (self.next_hop(&part, None), rest.unwrap_or_else(Address::every_brain));
        let line = Envelope { to, ..envelope.clone() }.encode();
        if line.len() > MAX_LINE_BYTES {
            return self.count(&metrics::BRAIN_PATHS_DROPPED_TOO_LONG);
        }
        match next {
            Some(NextHop::On(id, target)) => self.put_line(id, target, line),
            Some(NextHop::Dial(address)) => drop(self.send_by_link(now, address, line, named_by)),
            None => self.count(&metrics::BRAIN_PATHS_DROPPED_NO_ROUTE),
        }
    }

    fn put_line(&mut self, channel: ChannelId, target: Target, line: String) {
        self.tally_sent(channel, line.len());
        self.command(ChannelCommand::Send { channel, target, line });
    }

    fn tally_sent(&mut self, channel: ChannelId, bytes: usize) {
        self.channels.tally(channel, |tally| {
            tally.sent_lines += 1;
            tally.sent_bytes += bytes as u64;
        });
    }

    /// Queues a line for a link, and opens the link unless that is under way already. Returns whether the line was
    /// accepted.
    pub(crate) fn send_by_link(
        &mut self,
        now: Now,
        address: SocketAddr,
        line: String,
        named_by: NamedBy,
    ) -> bool {
        self.waiting.expire(now.elapsed);
        if line.len() > MAX_LINE_BYTES {
            return false;
        }
        match self.waiting.push(now.elapsed, address, line) {
            Queued::First if !self.dial(now, address, named_by) => {
                drop(self.waiting.take(address));
                return false;
            }
            Queued::First => {}
            Queued::Later => {}
            Queued::Full => return false,
        }
        true
    }

    /// Sends the lines that wait for a link that came up, and returns whether there were any. The other side closes
    /// such a link after a long silence.
    pub(crate) fn send_waiting(&mut self, id: ChannelId, address: SocketAddr) -> bool {
        let lines = self.waiting.take(address);
        let has_some = !lines.is_empty();
        if let Some(channel) = self.channels.get_mut(id).filter(|_| has_some) {
            channel.is_pushed = false;
        }
        for line in lines {
            self.put_line(id, Target::All, line);
        }
        has_some
    }
}
