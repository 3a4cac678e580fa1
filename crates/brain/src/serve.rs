//! Repair, the side that is asked: finds the difference from the symbols of another node.

use crate::Now;
use crate::answers::Answers;
use crate::node::Node;
use crate::origin::Origin;
use crate::steps::{FEWEST_MORE, keys_of, numbers};
use dcache::{End, PeerId};
use routing::{Address, Allowance, ChannelId, MAX_WANTED, Repair, SenderBudgets, Sketch, Tokens, Want};
use sketch::{Decoder, Difference};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;
use telemetry::metrics;

/// Maximum number of comparisons at a time. A further one evicts the least recently active one.
const MAX_SERVED: usize = 16;
/// Rate limit for all sketches together. Each sketch costs a walk through the whole set.
const SKETCHES: Allowance = Allowance { burst: 64, per_minute: 600 };
/// Rate limit for the sketches of one host, so that no host uses up the limit of all.
const SKETCHES_OF_A_HOST: Allowance = Allowance { burst: 16, per_minute: 120 };
/// Rate limit for the sketches of one channel that does not tell its hosts.
const SKETCHES_OF_A_CHANNEL: Allowance = Allowance { burst: 32, per_minute: 300 };
/// Maximum number of symbols kept for all comparisons together, at about 70 bytes each. One comparison of the two
/// largest sets fits.
const MAX_SYMBOLS_KEPT: usize = 1 << 20;
/// Time after which an idle comparison is dropped.
const IDLE: Duration = Duration::from_secs(60);
/// Maximum number of channels whose sketch budgets, and whose numbers of wanted records, are kept.
const MAX_CHANNELS: usize = 256;

/// Identifies a comparison that another node began, by the channel and the peer.
type ServedId = (ChannelId, PeerId);

/// State of a comparison that another node began.
#[derive(Debug)]
struct Serving {
    salt: u64,
    bound: End,
    decoder: Decoder,
    /// Time at which its last line came.
    heard: Duration,
}

/// The comparisons that other nodes began.
#[derive(Debug, Default)]
pub(crate) struct Served {
    open: BTreeMap<ServedId, Serving>,
    tokens: Option<Tokens>,
    hosts: SenderBudgets<IpAddr>,
    channels: BTreeMap<ChannelId, Tokens>,
    /// Number of records that this node asked for on each link, and that have not come yet.
    wanted: BTreeMap<ChannelId, usize>,
}

impl Served {
    /// Removes the state of a channel that is gone.
    pub(crate) fn drop_channel(&mut self, channel: ChannelId) {
        self.open.retain(|(on, _), _| *on != channel);
        self.channels.remove(&channel);
        self.wanted.remove(&channel);
    }

    /// Returns whether a record that came on a channel may be one that this node asked for, and counts it as such.
    pub(crate) fn takes_wanted(&mut self, channel: ChannelId) -> bool {
        let Some(wanted) = self.wanted.get_mut(&channel) else { return false };
        *wanted -= 1;
        if *wanted == 0 {
            self.wanted.remove(&channel);
        }
        true
    }

    fn want(&mut self, node: &Node, channel: ChannelId, records: usize) {
        let has_space = self.wanted.len() < MAX_CHANNELS || self.wanted.contains_key(&channel);
        if node.channels.is_link(channel) && records > 0 && has_space {
            self.wanted.insert(channel, records);
        }
    }

    /// Takes the cost of a sketch from the budgets, and returns whether they sufficed.
    fn spend(&mut self, origin: Origin, elapsed: Duration) -> bool {
        let has_share = match origin.source {
            Some(source) => self.hosts.spend(source.ip(), SKETCHES_OF_A_HOST, elapsed),
            None => self.spend_of_channel(origin.channel, elapsed),
        };
        has_share && self.tokens.get_or_insert_with(|| Tokens::full(SKETCHES, elapsed)).spend(1, elapsed)
    }

    fn spend_of_channel(&mut self, channel: ChannelId, elapsed: Duration) -> bool {
        if self.channels.len() >= MAX_CHANNELS && !self.channels.contains_key(&channel) {
            return false;
        }
        let full = || Tokens::full(SKETCHES_OF_A_CHANNEL, elapsed);
        self.channels.entry(channel).or_insert_with(full).spend(1, elapsed)
    }

    /// Returns the step that answers a repeated line, because the first answer was lost.
    fn answer_again(&self, id: ServedId, sketch: &Sketch) -> Option<Repair> {
        let serving = self.open.get(&id).filter(|serving| serving.salt == sketch.salt && sketch.first > 0)?;
        let have = u32::try_from(serving.decoder.taken()).unwrap_or(u32::MAX);
        (sketch.first < have).then_some(Repair::More { salt: serving.salt, have })
    }

    fn put(&mut self, id: ServedId, serving: Serving) {
        let now = serving.heard;
        self.open.retain(|_, other| other.heard + IDLE > now);
        let kept =
            |open: &BTreeMap<_, Serving>| open.values().map(|other| other.decoder.taken()).sum::<usize>();
        while self.open.len() >= MAX_SERVED || kept(&self.open) + serving.decoder.taken() > MAX_SYMBOLS_KEPT {
            let least_recent = self.open.iter().min_by_key(|(_, other)| other.heard);
            let Some((&id, _)) = least_recent else { break };
            self.open.remove(&id);
        }
        self.open.insert(id, serving);
    }

    /// Handles a sketch, by which another node describes its set.
    pub(crate) fn sketch(
        &mut self,
        node: &mut Node,
        answers: &mut Answers,
        now: Now,
        (origin, peer): (Origin, PeerId),
        sketch: &Sketch,
    ) {
        // A long line that continues a comparison costs nothing more, because a large difference takes hundreds of
        // lines.
        let is_paid = sketch.first > 0 && sketch.symbols.len() as u64 >= FEWEST_MORE;
        // This node may have forgotten records that end before its own time, so it cannot find the difference. It has
        // to begin a comparison itself.
        if sketch.bound < now.moment.time || !(is_paid || self.spend(origin, now.elapsed)) {
            return node.count(&metrics::BRAIN_SKETCHES_IGNORED);
        }
        let id = (origin.channel, peer);
        if let Some(step) = self.answer_again(id, sketch) {
            node.send_step(now, id.0, id.1, step);
            return;
        }
        let Some(mut serving) = self.serving(node, now, id, sketch) else { return };
        let theirs = usize::try_from(sketch.count).unwrap_or(usize::MAX).min(MAX_SYMBOLS_KEPT / 2);
        let most = (2 * (node.replica.set().len() + theirs) + 2048).min(MAX_SYMBOLS_KEPT);
        if serving.decoder.taken() + sketch.symbols.len() > most
            || serving.decoder.add(&sketch.symbols).is_err()
        {
            return node.penalize(&metrics::BRAIN_SKETCHES_REFUSED_MALFORMED, origin.channel);
        }
        match serving.decoder.difference() {
            Some(difference) => {
                self.want(node, origin.channel, difference.theirs.len());
                exchange(node, answers, now, id, &serving, &difference);
            }
            None => {
                let have = u32::try_from(serving.decoder.taken()).unwrap_or(u32::MAX);
                let step = Repair::More { salt: serving.salt, have };
                serving.heard = now.elapsed;
                self.put(id, serving);
                // Of several lines, only the last needs an answer. The other answers may be superfluous, which does no
                // harm.
                node.send_step(now, id.0, id.1, step);
            }
        }
    }

    /// Returns a new comparison, or the one that the sketch continues.
    fn serving(&mut self, node: &Node, now: Now, id: ServedId, sketch: &Sketch) -> Option<Serving> {
        if sketch.first == 0 {
            let (salt, bound) = (sketch.salt, End::at(sketch.bound));
            let decoder = Decoder::new(numbers(node.replica.set(), bound, salt));
            return Some(Serving { salt, bound, decoder, heard: now.elapsed });
        }
        let fits = |serving: &Serving| {
            serving.salt == sketch.salt && u32::try_from(serving.decoder.taken()) == Ok(sketch.first)
        };
        // A line that came twice, or that a node sent in the name of this peer, does not end the comparison.
        if self.open.get(&id).is_some_and(fits) { self.open.remove(&id) } else { None }
    }
}

/// Asks for the records that this node lacks, so that the other side can start sending. Then sends the records that the
/// other side lacks.
fn exchange(
    node: &mut Node,
    answers: &mut Answers,
    now: Now,
    (channel, peer): ServedId,
    serving: &Serving,
    difference: &Difference,
) {
    node.count(&metrics::BRAIN_COMPARISONS_SERVED);
    let lines = difference.theirs.chunks(MAX_WANTED);
    let nothing: &[u64] = &[];
    let lines: Vec<&[u64]> = if lines.len() == 0 { vec![nothing] } else { lines.collect() };
    for ids in lines {
        let want = Want { salt: serving.salt, ids: ids.to_vec() };
        node.send_step(now, channel, peer, Repair::Want(want));
    }
    let keys = keys_of(node.replica.set(), serving.bound, serving.salt, &difference.ours);
    match node.channels.is_link(channel) {
        true => answers.repair(node, now, channel, Address::brain(peer), keys),
        false => node.give_on_network(now, channel, keys),
    }
}
