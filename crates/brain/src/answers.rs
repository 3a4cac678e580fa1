//! Answers pings with pongs, and sends records in portions: to a peer that requested them, or that lacks them.

use crate::Now;
use crate::channel::Channel;
use crate::node::{Node, briefly};
use crate::origin::Origin;
use dcache::{Key, Proof, Search, Validity};
use routing::{
    Address, Carried, ChannelCommand, ChannelId, Envelope, MAX_LINE_BYTES, MAX_RECORDS, Message,
    PatternTexts, Status, Target,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;
use telemetry::metrics;

/// Maximum number of records queued on a link. The next portion follows when the link reports that these are sent.
pub(crate) const PORTION: usize = 256;
/// Maximum number of bytes that a record takes in a line of several records, in addition to its payload.
const AROUND_PAYLOAD: usize = 300;
/// Maximum size, in bytes, of a line of several records, without the records.
const AROUND_RECORDS: usize = 1024;

/// Maximum number of search steps before other inputs are handled. At 40 ns a step these take about 4 ms.
const STEPS_AT_ONCE: usize = 100_000;
/// Time charged for one search step against the rate limit of searches. It is about five times the real time, so the
/// requests of other computers use at most a fifth of a processor, and so do those of this computer.
const TIME_OF_A_STEP: Duration = Duration::from_nanos(200);
/// Burst of the rate limit of searches: a million steps. A search of all records of a large class takes fewer steps.
const BURST: Duration = Duration::from_millis(200);
/// Pause of a search that found nothing yet, in which other inputs are handled.
const BETWEEN_SEARCHES: Duration = Duration::from_millis(1);

/// Records that remain to be sent on a link.
#[derive(Debug)]
struct Answer {
    to: Address,
    keys: VecDeque<Key>,
    kind: AnswerKind,
    /// The search for the further records of a request.
    search: Option<Search>,
    /// Time at which the search resumes, while the rate limit delays it.
    waits_until: Option<Duration>,
    /// Time charged for the search so far.
    charged: Duration,
}

impl Answer {
    fn of_keys(to: Address, kind: AnswerKind, keys: Vec<Key>) -> Self {
        Self { to, keys: keys.into(), kind, search: None, waits_until: None, charged: Duration::ZERO }
    }
}

/// The purpose of an answer, which decides its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AnswerKind {
    /// Answers a request: one record per line, then a pong with the status of this node.
    Request,
    /// Sends a peer the records that it lacks, after a comparison that the peer began: several records per line, then a
    /// pong.
    Repair,
    /// Sends a peer the records that it lacks, after a comparison that this node began: several records per line. The
    /// peer may still have records to send.
    Gift,
}

/// Progress of sending the records that a peer lacks after a comparison of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GiftProgress {
    /// A portion is sent, and more follow.
    UnderWay,
    /// All records are sent.
    Done,
}

/// The answers that are under way, at most one per link.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    open: BTreeMap<ChannelId, Answer>,
    /// Links that are closed once their answer is sent.
    closing: BTreeSet<ChannelId>,
    /// The rate limit of the searches for other computers.
    for_others: SearchLimit,
    /// The rate limit of the searches for this computer. Its owner must not wait for the requests of strangers.
    for_here: SearchLimit,
}

/// A rate limit of searches.
#[derive(Debug, Default)]
struct SearchLimit {
    /// Time at which all search steps so far would have ended at exactly the rate limit. Each step moves it forward by
    /// [`TIME_OF_A_STEP`].
    paid_at: Duration,
}

/// Returns the address to which an answer is sent. The answer takes the route of its question in reverse. If a brain
/// asked directly or over a known path, the brain's address is enough. If other nodes forwarded the question and no
/// path is known, returns the part of the address behind the first of these nodes.
fn reply_to(question: &Envelope, is_on_path: bool) -> Address {
    let from = &question.from;
    match from.split_first() {
        (_, Some(behind)) if question.hops > 0 && !is_on_path => behind,
        _ => from.brain_of().map_or_else(|| from.clone(), Address::brain),
    }
}

impl Answers {
    /// Answers a ping with a pong on the same channel. On a link, the pong carries the status of this node. On a network,
    /// the pong is no longer than the ping, because the sender of the ping has not proved its address. A program on this
    /// computer also receives the path of the control socket. If the ping has a challenge, the pong proves the identity of
    /// this node.
    pub(crate) fn answer_ping(&self, node: &mut Node, now: Now, origin: Origin, ping: &Envelope) {
        node.count(&metrics::BRAIN_PINGS_ANSWERED);
        let to = reply_to(ping, node.paths.chain(origin.channel).is_some());
        let mut status = link_status(node, now, origin.channel);
        if let Some(status) = status.as_mut().filter(|_| is_asked_from_here(node, origin, ping)) {
            status.control_socket.clone_from(&node.control_socket);
        }
        let proof = ping.challenge.and_then(|challenge| {
            let is_due = node.channels.get_mut(origin.channel).is_some_and(Channel::take_proof);
            node.prover.as_ref().filter(|_| is_due).map(|prover| prover.prove(challenge))
        });
        send_pong(node, now, origin, to, Extras { status, proof });
    }

    /// Answers a request with every matching record, then a pong. On a network, sends only the pong, which names the
    /// TCP address of this node for requests. Over TCP, the sender of the request has to prove its own address before
    /// many bytes are sent to it.
    pub(crate) fn answer_request(
        &mut self,
        node: &mut Node,
        now: Now,
        origin: Origin,
        request: &Envelope,
        patterns: &PatternTexts,
    ) {
        let to = reply_to(request, node.paths.chain(origin.channel).is_some());
        if !node.channels.is_link(origin.channel) {
            node.count(&metrics::BRAIN_REQUESTS_ANSWERED);
            return send_pong(node, now, origin, to, Extras::default());
        }
        let Ok(patterns) = patterns.read() else {
            return node.penalize(&metrics::BRAIN_MESSAGES_REFUSED_MALFORMED, origin.channel);
        };
        node.count(&metrics::BRAIN_REQUESTS_ANSWERED);
        let search = Some(Search::new(patterns));
        let answer = Answer { search, ..Answer::of_keys(to, AnswerKind::Request, Vec::new()) };
        self.start(node, now, origin.channel, answer);
    }

    /// Returns the time at which the next delayed search resumes.
    pub(crate) fn next_wake(&self) -> Option<Duration> {
        self.open.values().filter_map(|answer| answer.waits_until).min()
    }

    /// Resumes a delayed search that is due: one for this computer or else the one that was charged least. So a short
    /// search does not wait for the end of long ones.
    pub(crate) fn run(&mut self, node: &mut Node, now: Now) {
        let is_due = |answer: &Answer| answer.waits_until.is_some_and(|until| until <= now.elapsed);
        let due = self.open.iter().filter(|(_, answer)| is_due(answer));
        let order =
            |(id, answer): &(&ChannelId, &Answer)| (!is_here(node, **id), answer.charged, answer.waits_until);
        if let Some((id, _)) = due.min_by_key(order) {
            self.resume(node, now, *id);
        }
    }

    /// Sends a peer on a link the records that it lacks, after a comparison that the peer began.
    pub(crate) fn repair(&mut self, node: &mut Node, now: Now, id: ChannelId, to: Address, keys: Vec<Key>) {
        self.start(node, now, id, Answer::of_keys(to, AnswerKind::Repair, keys));
    }

    /// Sends a peer on a link the records that it lacks, after a comparison that this node began.
    pub(crate) fn give(
        &mut self,
        node: &mut Node,
        now: Now,
        id: ChannelId,
        keys: Vec<Key>,
    ) -> Option<GiftProgress> {
        let to = Address::every_brain();
        self.start(node, now, id, Answer::of_keys(to, AnswerKind::Gift, keys))
    }

    /// Starts an answer on a link. Drops the rest of an earlier answer there, so at most one answer per link is under
    /// way, regardless of the number of requests.
    fn start(&mut self, node: &mut Node, now: Now, id: ChannelId, new: Answer) -> Option<GiftProgress> {
        if !node.channels.contains(id) {
            return None;
        }
        let is_under_way = match self.open.get_mut(&id) {
            // A peer names the records that it lacks in several lines.
            Some(answer) if answer.kind == AnswerKind::Gift && new.kind == AnswerKind::Gift => {
                answer.keys.extend(new.keys);
                true
            }
            // While a search is delayed, nothing is under way on the link, and the link reports nothing. So the new
            // answer waits until the same time.
            Some(answer) if answer.waits_until.is_some() => {
                let (waits_until, charged) = (answer.waits_until, answer.charged);
                *answer = Answer { waits_until, charged, ..new };
                true
            }
            _ => self.open.insert(id, new).is_some(),
        };
        // One portion at a time: the link reports when the current one is sent.
        if is_under_way { None } else { self.resume(node, now, id) }
    }

    /// Sends the next portion, once the link has sent the one before. After the last portion, sends the message that
    /// ends the answer.
    pub(crate) fn resume(&mut self, node: &mut Node, now: Now, id: ChannelId) -> Option<GiftProgress> {
        let mut answer = self.open.remove(&id)?;
        answer.waits_until = None;
        if answer.keys.len() < PORTION {
            let limit = if is_here(node, id) { &mut self.for_here } else { &mut self.for_others };
            limit.search(node, now, &mut answer);
        }
        if answer.waits_until.is_some() && answer.keys.is_empty() {
            self.open.insert(id, answer);
            return None;
        }
        answer.waits_until = None;
        let portion = answer.keys.len().min(PORTION);
        let keys: Vec<Key> = answer.keys.drain(..portion).collect();
        match answer.kind {
            AnswerKind::Request => keys.iter().for_each(|key| send_one(node, now, id, &answer.to, key)),
            AnswerKind::Repair | AnswerKind::Gift => send_together(node, now, id, &answer.to, &keys),
        }
        let is_gift = answer.kind == AnswerKind::Gift;
        let is_done = answer.keys.is_empty() && answer.search.is_none() && portion < PORTION;
        match is_done {
            true => self.finish(node, now, id, answer),
            false => drop(self.open.insert(id, answer)),
        }
        is_gift.then_some(if is_done { GiftProgress::Done } else { GiftProgress::UnderWay })
    }

    fn finish(&mut self, node: &mut Node, now: Now, id: ChannelId, answer: Answer) {
        let origin = Origin { channel: id, source: None, reaches_all: true };
        match answer.kind {
            AnswerKind::Request => {
                let status = link_status(node, now, id);
                send_pong(node, now, origin, answer.to, Extras { status, proof: None });
            }
            AnswerKind::Repair => send_pong(node, now, origin, answer.to, Extras::default()),
            AnswerKind::Gift => {}
        }
        if self.closing.contains(&id) {
            node.command(ChannelCommand::Close { channel: id });
        }
    }

    /// Notes that the other side of a link will send nothing more. The link is closed once its answer is sent.
    pub(crate) fn ended(&mut self, node: &mut Node, id: ChannelId) {
        let Some(channel) = node.channels.get_mut(id) else { return };
        channel.is_pushed = false;
        self.closing.insert(id);
        if !self.open.contains_key(&id) {
            node.command(ChannelCommand::Close { channel: id });
        }
    }

    /// Forgets a channel that is gone.
    pub(crate) fn drop_channel(&mut self, id: ChannelId) {
        self.open.remove(&id);
        self.closing.remove(&id);
    }
}

impl SearchLimit {
    /// Finds the next records of a request, within the rate limit. If the limit is used up or nothing was found yet,
    /// the answer waits.
    fn search(&mut self, node: &Node, now: Now, answer: &mut Answer) {
        let Some(search) = &mut answer.search else { return };
        if self.paid_at <= now.elapsed + BURST {
            let mut keys = Vec::new();
            let room = PORTION.saturating_sub(answer.keys.len());
            let (set, time) = (node.replica.set(), now.moment.time);
            let taken = search.go_on(set, time, STEPS_AT_ONCE, room, &mut keys);
            let taken = TIME_OF_A_STEP * u32::try_from(taken).unwrap_or(u32::MAX);
            self.paid_at = self.paid_at.max(now.elapsed) + taken;
            answer.charged += taken;
            answer.keys.extend(keys);
        }
        if search.is_done() {
            answer.search = None;
        } else if answer.keys.is_empty() {
            // The search resumes as soon as the limit allows, but after the inputs that arrived meanwhile.
            let is_allowed_at = self.paid_at.saturating_sub(BURST);
            answer.waits_until = Some(is_allowed_at.max(now.elapsed + BETWEEN_SEARCHES));
        }
    }
}

fn send_one(node: &mut Node, now: Now, id: ChannelId, to: &Address, key: &Key) {
    // The record may have left the set since the request.
    if let (Some(channel), Some(record)) = (node.channels.get(id), node.replica.set().get(key)) {
        let envelope = Envelope::record(node.own_address(channel), to.clone(), record);
        node.send(now, id, Target::All, &envelope);
        node.count(&metrics::BRAIN_RECORDS_SENT_ANSWERS);
    }
}

/// Sends several records per line, so that they share one envelope.
fn send_together(node: &mut Node, now: Now, id: ChannelId, to: &Address, keys: &[Key]) {
    let Some(channel) = node.channels.get(id) else { return };
    let empty = Envelope::new(node.own_address(channel), to.clone(), Message::pong(Validity::ALWAYS));
    let mut envelope = empty.clone();
    let mut bytes = 0;
    for key in keys {
        let Some(carried) = node.replica.set().get(key).map(Carried::from) else { continue };
        // Escaping at most doubles the length of a payload, since it has no control characters.
        let length = 2 * carried.payload.len() + AROUND_PAYLOAD;
        if envelope.records.len() == MAX_RECORDS || bytes + length > MAX_LINE_BYTES - AROUND_RECORDS {
            node.send(now, id, Target::All, &std::mem::replace(&mut envelope, empty.clone()));
            bytes = 0;
        }
        bytes += length;
        envelope.records.push(carried);
        node.channels.tally(id, |tally| tally.repaired += 1);
    }
    if !envelope.records.is_empty() {
        node.send(now, id, Target::All, &envelope);
    }
}

/// Returns the status that a pong on a link carries; `None` on a network.
fn link_status(node: &Node, now: Now, id: ChannelId) -> Option<Status> {
    node.channels.is_link(id).then(|| node.status(now))
}

/// Returns whether the other side of a link is a program on this computer.
fn is_here(node: &Node, id: ChannelId) -> bool {
    node.channels.get(id).is_some_and(|channel| channel.is_local)
}

/// Returns whether a program on this computer asks directly, and the question was not forwarded for another node.
fn is_asked_from_here(node: &Node, origin: Origin, question: &Envelope) -> bool {
    question.hops == 0 && is_here(node, origin.channel)
}

/// The parts of a pong that only a link carries.
#[derive(Default)]
struct Extras {
    status: Option<Status>,
    proof: Option<Proof>,
}

fn send_pong(node: &mut Node, now: Now, origin: Origin, to: Address, extras: Extras) {
    let Some(channel) = node.channels.get(origin.channel) else { return };
    let pong = Envelope::new(node.own_address(channel), to, Message::pong(briefly(now)));
    let target = origin.source.map_or(Target::All, Target::Host);
    node.send(now, origin.channel, target, &Envelope { status: extras.status, proof: extras.proof, ..pong });
}
