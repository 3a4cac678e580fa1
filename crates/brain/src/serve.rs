//! Repair, the side that is asked: finding the difference from another's symbols.

use crate::answer::Ending;
use crate::brain::Origin;
use crate::budget::Tokens;
use crate::neighbours::Budgets;
use crate::repair::{FEWEST_MORE, keys_of, numbers};
use crate::{Brain, Now, Output};
use dcache::{End, PeerId};
use routing::{Address, Allowance, ChannelId, MAX_WANTED, Repair, Sketch, Want};
use sketch::{Decoder, Difference};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// The most comparisons of others at a time. One more, and the one that rests longest is forgotten.
const MAX_SERVED: usize = 16;
/// How many sketches are looked at: each costs a walk through the whole set.
const SKETCHES: Allowance = Allowance { burst: 64, per_minute: 600 };
/// How many of one host, and of one channel that does not tell its hosts: nobody is to use up all.
const SKETCHES_OF_A_HOST: Allowance = Allowance { burst: 16, per_minute: 120 };
const SKETCHES_OF_A_CHANNEL: Allowance = Allowance { burst: 32, per_minute: 300 };
/// The most symbols of all comparisons together: some 70 bytes each. One comparison of the two largest sets fits.
const MAX_SYMBOLS_KEPT: usize = 1 << 20;
/// How long a comparison may rest until it is forgotten.
const RESTING: Duration = Duration::from_secs(60);
/// The most channels whose allowances are kept.
const MAX_CHANNELS: usize = 256;

/// A comparison that another began.
#[derive(Debug)]
struct Serving {
    salt: u64,
    bound: End,
    decoder: Decoder,
    /// When its last line came.
    heard: Duration,
}

/// All comparisons that others began.
#[derive(Debug, Default)]
pub(crate) struct Served {
    open: BTreeMap<(ChannelId, PeerId), Serving>,
    tokens: Option<Tokens>,
    hosts: Budgets<IpAddr>,
    channels: BTreeMap<ChannelId, Tokens>,
}

impl Served {
    pub(crate) fn drop_channel(&mut self, channel: ChannelId) {
        self.open.retain(|(on, _), _| *on != channel);
        self.channels.remove(&channel);
    }

    fn may_look(&mut self, origin: Origin, elapsed: Duration) -> bool {
        let has_share = match origin.source {
            Some(source) => self.hosts.spend(source.ip(), SKETCHES_OF_A_HOST, elapsed),
            None => self.channel_may(origin.channel, elapsed),
        };
        has_share && self.tokens.get_or_insert_with(|| Tokens::full(SKETCHES, elapsed)).spend(1, elapsed)
    }

    fn channel_may(&mut self, channel: ChannelId, elapsed: Duration) -> bool {
        if self.channels.len() >= MAX_CHANNELS && !self.channels.contains_key(&channel) {
            return false;
        }
        let full = || Tokens::full(SKETCHES_OF_A_CHANNEL, elapsed);
        self.channels.entry(channel).or_insert_with(full).spend(1, elapsed)
    }

    /// What to say to a line that came before: what we said then was lost.
    fn have_already(&self, id: (ChannelId, PeerId), sketch: &Sketch) -> Option<Repair> {
        let serving = self.open.get(&id).filter(|serving| serving.salt == sketch.salt && sketch.first > 0)?;
        let have = u32::try_from(serving.decoder.taken()).unwrap_or(u32::MAX);
        (sketch.first < have).then_some(Repair::More { salt: serving.salt, have })
    }

    fn put(&mut self, id: (ChannelId, PeerId), serving: Serving) {
        let now = serving.heard;
        self.open.retain(|_, other| other.heard + RESTING > now);
        let kept =
            |open: &BTreeMap<_, Serving>| open.values().map(|other| other.decoder.taken()).sum::<usize>();
        while self.open.len() >= MAX_SERVED || kept(&self.open) + serving.decoder.taken() > MAX_SYMBOLS_KEPT {
            let longest_resting = self.open.iter().min_by_key(|(_, other)| other.heard);
            let Some((&id, _)) = longest_resting else { break };
            self.open.remove(&id);
        }
        self.open.insert(id, serving);
    }
}

impl Brain {
    /// Somebody describes its set to us.
    pub(crate) fn serve_sketch(
        &mut self,
        now: Now,
        origin: Origin,
        peer: PeerId,
        sketch: &Sketch,
        out: &mut Vec<Output>,
    ) {
        // Of what ends before our own time we may have forgotten some: then it is for us to ask.
        // A long line of a comparison under way was paid for when that began; of a large difference there are hundreds.
        let is_paid = sketch.first > 0 && sketch.symbols.len() as u64 >= FEWEST_MORE;
        if sketch.bound < now.moment.time || !(is_paid || self.served.may_look(origin, now.elapsed)) {
            return self.count("sketches not looked at");
        }
        let id = (origin.channel, peer);
        if let Some(step) = self.served.have_already(id, sketch) {
            self.say_step(now, id.0, id.1, step, out);
            return;
        }
        let Some(mut serving) = self.serving(now, id, sketch) else { return };
        let theirs = usize::try_from(sketch.count).unwrap_or(usize::MAX).min(MAX_SYMBOLS_KEPT / 2);
        let most = (2 * (self.set.len() + theirs) + 2048).min(MAX_SYMBOLS_KEPT);
        if serving.decoder.taken() + sketch.symbols.len() > most
            || serving.decoder.add(&sketch.symbols).is_err()
        {
            return self.strike("symbols of no set", origin.channel, out);
        }
        match serving.decoder.difference() {
            Some(difference) => self.serve_difference(now, id, &serving, &difference, out),
            None => {
                let have = u32::try_from(serving.decoder.taken()).unwrap_or(u32::MAX);
                let step = Repair::More { salt: serving.salt, have };
                serving.heard = now.elapsed;
                self.served.put(id, serving);
                // Of several lines only the last is worth an answer; more may be on the way, which is harmless.
                self.say_step(now, id.0, id.1, step, out);
            }
        }
    }

    /// A new comparison, or the one that the sketch goes on with.
    fn serving(&mut self, now: Now, id: (ChannelId, PeerId), sketch: &Sketch) -> Option<Serving> {
        if sketch.first == 0 {
            let (salt, bound) = (sketch.salt, End::at(sketch.bound));
            let decoder = Decoder::new(numbers(self.set.beyond(bound), salt));
            return Some(Serving { salt, bound, decoder, heard: now.elapsed });
        }
        let fits = |serving: &Serving| {
            serving.salt == sketch.salt && u32::try_from(serving.decoder.taken()) == Ok(sketch.first)
        };
        // A line that came twice, or of somebody who only says that he is this peer, ends nothing.
        if self.served.open.get(&id).is_some_and(fits) { self.served.open.remove(&id) } else { None }
    }

    /// First what we lack, so that the other side can begin, then what it lacks.
    fn serve_difference(
        &mut self,
        now: Now,
        (channel, peer): (ChannelId, PeerId),
        serving: &Serving,
        difference: &Difference,
        out: &mut Vec<Output>,
    ) {
        self.count("comparisons served");
        let lines = difference.theirs.chunks(MAX_WANTED);
        let nothing: &[u64] = &[];
        let lines: Vec<&[u64]> = if lines.len() == 0 { vec![nothing] } else { lines.collect() };
        for ids in lines {
            let want = Want { salt: serving.salt, ids: ids.to_vec() };
            self.say_step(now, channel, peer, Repair::Want(want), out);
        }
        let keys = keys_of(self.set.beyond(serving.bound), serving.salt, &difference.ours);
        if !self.is_link(channel) {
            self.give_on_network(now, channel, keys);
        } else {
            self.start_answer(now, channel, Address::brain(peer), keys.into(), Ending::Repair, out);
        }
    }
}
