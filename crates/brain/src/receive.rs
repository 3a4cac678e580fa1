//! Taking in what channels bring: cheap checks first, signatures last.

use crate::brain::Origin;
use crate::outbox::Cause;
use crate::{Brain, Now, Output};
use dcache::{Admission, Key, PeerId, Record, Refusal, Signature, Statement, buckets};
use routing::{Address, Carried, ChannelId, Envelope, Medium, Message};
use std::net::SocketAddr;
use std::time::Duration;

/// How a record came.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// This node made it.
    Own,
    /// Somebody said it as news.
    Pushed(Origin),
    /// A comparison over a link showed that it was missing.
    Repaired(Origin),
}

impl Brain {
    pub(crate) fn local(&mut self, now: Now, record: Record, out: &mut Vec<Output>) {
        let former = self.set.get(&Key::from(&record)).cloned();
        match self.set.admit_verified(record, now.moment.time) {
            Ok(admission) => {
                // What only renews an earlier word is not worth waking everybody.
                if former.is_none() {
                    self.quicken_all(now);
                }
                self.settle(now, admission, former, Way::Own, out);
            }
            Err(reason) => {
                self.count(&format!("own records refused: {reason}"));
                out.push(Output::NotSaid(reason));
            }
        }
    }

    pub(crate) fn received(
        &mut self,
        now: Now,
        origin: Origin,
        envelope: &Envelope,
        bytes: usize,
        out: &mut Vec<Output>,
    ) {
        let peer = envelope.from.brain_of();
        // A broadcast is heard by its sender as well.
        if !self.channels.contains_key(&origin.channel) || peer == Some(self.me) {
            return;
        }
        self.tally(origin.channel, |tally| {
            tally.received_lines += 1;
            tally.received_bytes += bytes as u64;
        });
        self.count("lines received");
        if let Some(source) = origin.source
            && !self.budgets.spend(source.ip(), self.settings.host_budget, now.elapsed)
        {
            return self.count("lines over a host's budget");
        }
        if envelope.to != self.here && envelope.to != self.everybody {
            return self.forward(now, origin, envelope, bytes, out);
        }
        let origin = self.path_of(now, origin, envelope, bytes);
        if let Some(peer) = peer {
            self.hear(now, origin, peer, &envelope.from);
        }
        if let (Some(peer), Some(beacon)) = (peer, envelope.beacon) {
            self.keep_link(now, origin.channel, peer);
            self.beacon(now, origin, peer, beacon);
        }
        if let (Some(peer), Some(step)) = (peer, &envelope.repair) {
            return self.repair_step(now, origin, peer, step, out);
        }
        self.message(now, origin, envelope, out);
    }

    fn message(&mut self, now: Now, origin: Origin, envelope: &Envelope, out: &mut Vec<Output>) {
        let message = Message::parse(&envelope.payload);
        let is_news = matches!(message, Ok(Message::Statement(_)));
        for carried in &envelope.records {
            let way = if is_news { Way::Pushed(origin) } else { Way::Repaired(origin) };
            self.carried(now, way, carried, out);
        }
        match message {
            Ok(Message::Statement(statement)) => self.statement(now, origin, &statement, envelope, out),
            Ok(Message::Request { patterns, .. }) => {
                self.answer_request(now, origin, envelope, &patterns, out)
            }
            Ok(Message::Ping { .. }) => self.answer_ping(now, origin, envelope, out),
            Ok(Message::Pong { .. }) => self.pong(now, origin, envelope, out),
            Ok(Message::Command { .. }) => self.count("commands ignored"),
            Ok(Message::Signature) => self.count("separate signatures ignored"),
            Err(_) => self.strike("payloads that were no message", origin.channel, out),
        }
    }

    /// Notes where a peer takes links. What it says of itself must fit the host that the line came from, or anybody
    /// could send the whole class to connect to a victim.
    fn hear(&mut self, now: Now, origin: Origin, peer: PeerId, from: &Address) {
        if self.is_network(origin.channel) {
            let line = self.line_of(now, origin, peer, from);
            self.learn_route(now, origin, peer);
            let neighbour = self.neighbours.heard((origin.channel, peer), now.elapsed);
            neighbour.source = origin.source.or(neighbour.source);
            neighbour.line = line.or(neighbour.line);
        }
        if let Some(channel) = self.channels.get_mut(&origin.channel) {
            channel.is_pushed = true;
        }
    }

    /// Where a peer takes links, as far as what it says of itself can be believed.
    fn line_of(&self, now: Now, origin: Origin, peer: PeerId, from: &Address) -> Option<SocketAddr> {
        let said = from.tcp();
        match (&self.channels.get(&origin.channel)?.medium, origin.source) {
            (Medium::Link { dialled, .. }, _) => *dialled,
            (_, Some(source)) => said.filter(|line| line.ip() == source.ip()),
            // Where this node tells its own place, all do; where it does not, as on IRC, anybody could say anything of
            // others, and only what they sign is believed.
            (Medium::Broadcast { line: Some(_), .. }, None) => said,
            (Medium::Broadcast { line: None, .. }, None) => self.signed_line(now, peer),
        }
    }

    /// Where a peer takes links, as it has signed.
    fn signed_line(&self, now: Now, peer: PeerId) -> Option<SocketAddr> {
        let mut views = self.set.bucket(&buckets::ADDRESSES.of(peer), now.moment.time);
        views.find_map(|view| view.item.data.as_str().parse::<Address>().ok()?.tcp())
    }

    /// Remembers by which channel a peer was heard.
    fn learn_route(&mut self, now: Now, origin: Origin, peer: PeerId) {
        let Some(channel) = self.channels.get(&origin.channel) else { return };
        let Some(cost) = channel.capacity.as_ref().map(|capacity| capacity.cost) else { return };
        let via = match (&channel.medium, origin.source) {
            (_, Some(source)) => Some(Address::udp_line(source)),
            (Medium::Link { dialled, .. }, None) => dialled.map(Address::tcp_line),
            (Medium::Broadcast { at, .. }, None) => at.clone(),
        };
        if let Some(via) = via {
            self.forwarding.table.learn(peer, &via, cost, now.elapsed);
        }
    }

    fn statement(
        &mut self,
        now: Now,
        origin: Origin,
        statement: &Statement,
        envelope: &Envelope,
        out: &mut Vec<Output>,
    ) {
        if envelope.signatures.is_empty() {
            return self.strike("records without a signature", origin.channel, out);
        }
        for signature in &envelope.signatures {
            self.admit(now, Way::Pushed(origin), statement.clone(), *signature, out);
        }
    }

    /// One of several records in a line: said together as news, or given because a comparison showed them to be missing.
    fn carried(&mut self, now: Now, way: Way, carried: &Carried, out: &mut Vec<Output>) {
        let (Way::Pushed(origin) | Way::Repaired(origin)) = way else { return };
        match Statement::parse(&carried.payload) {
            Ok(statement) => self.admit(now, way, statement, carried.signature, out),
            Err(_) => self.strike("carried payloads that were no record", origin.channel, out),
        }
    }

    fn admit(
        &mut self,
        now: Now,
        way: Way,
        statement: Statement,
        signature: Signature,
        out: &mut Vec<Output>,
    ) {
        let (Way::Pushed(origin) | Way::Repaired(origin)) = way else { return };
        let key = Key { item: statement.item().clone(), signer: signature.signer };
        let former = self.set.get(&key).cloned();
        match self.set.admit(statement, signature, now.moment.time) {
            Ok(Admission::Known) => {
                self.count("records known");
                self.heard_again(origin.channel, &key, former.as_ref(), &signature);
            }
            Ok(admission) => self.settle(now, admission, former, way, out),
            Err(reason) => self.refused(origin, reason, out),
        }
    }

    /// On a network on which others were heard saying a record, it need not be passed on once more. Its maker keeps
    /// its turns: those are against loss.
    fn heard_again(&mut self, channel: ChannelId, key: &Key, held: Option<&Record>, heard: &Signature) {
        let is_latest = held.is_some_and(|held| held.signature() == heard);
        if key.signer != self.me && is_latest && self.outbox.cancel(channel, key) {
            self.tally(channel, |tally| tally.suppressed += 1);
        }
    }

    fn refused(&mut self, origin: Origin, reason: Refusal, out: &mut Vec<Output>) {
        let Origin { channel, source } = origin;
        self.tally(channel, |tally| tally.refused += 1);
        out.push(Output::Refused { channel, source, reason });
        let name = format!("records refused: {reason}");
        match reason {
            // Only these are the work of somebody who means ill; the others happen among honest peers.
            Refusal::Forged | Refusal::NotOwner => self.strike(&name, channel, out),
            _ => self.count(&name),
        }
    }

    /// What follows from a record that is new in the set.
    fn settle(
        &mut self,
        now: Now,
        admission: Admission,
        former: Option<Record>,
        way: Way,
        out: &mut Vec<Output>,
    ) {
        let Admission::New { record, evicted } = admission else {
            return;
        };
        let key = Key::from(&record);
        let own = if former.is_some() { Cause::Renewal } else { Cause::News };
        self.history.note(record.clone(), former, now.elapsed);
        out.push(Output::Admitted(record));
        if !evicted.is_empty() {
            out.push(Output::Removed(evicted));
        }
        match way {
            Way::Own => self.count("own records"),
            Way::Pushed(origin) | Way::Repaired(origin) => self.took(now.elapsed, origin.channel),
        }
        match way {
            Way::Own => self.push(now, &key, own, None),
            Way::Pushed(origin) => self.push(now, &key, Cause::Relay, Some(origin.channel)),
            Way::Repaired(origin) => self.push(now, &key, Cause::Found, Some(origin.channel)),
        }
    }

    fn took(&mut self, elapsed: Duration, channel: ChannelId) {
        self.count("records taken");
        if self.session_gained(elapsed, channel) {
            self.tally(channel, |tally| tally.repaired += 1);
        }
    }
}
