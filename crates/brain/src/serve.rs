//! Repair, the side that is asked: finding the difference from another's symbols.

use crate::answer::Ending;
use crate::brain::Origin;
use crate::budget::Tokens;
use crate::repair::{keys_of, numbers};
use crate::{Brain, Now, Output};
use dcache::{End, PeerId};
use routing::{Address, Allowance, ChannelId, MAX_WANTED, Repair, Sketch, Want};
use sketch::{Decoder, Difference};
use std::collections::BTreeMap;
use std::time::Duration;

/// The most comparisons of others at a time. One more, and the one begun longest ago is forgotten.
const MAX_SERVED: usize = 16;
/// How many sketches are looked at: each costs a walk through the whole set.
const SKETCHES: Allowance = Allowance { burst: 64, per_minute: 600 };

/// A comparison that another began.
#[derive(Debug)]
struct Serving {
    salt: u64,
    bound: End,
    decoder: Decoder,
    begun: Duration,
}

/// All comparisons that others began.
#[derive(Debug, Default)]
pub(crate) struct Served {
    open: BTreeMap<(ChannelId, PeerId), Serving>,
    tokens: Option<Tokens>,
}

impl Served {
    pub(crate) fn drop_channel(&mut self, channel: ChannelId) {
        self.open.retain(|(on, _), _| *on != channel);
    }

    fn may_look(&mut self, elapsed: Duration) -> bool {
        self.tokens.get_or_insert_with(|| Tokens::full(SKETCHES, elapsed)).spend(1, elapsed)
    }

    fn put(&mut self, id: (ChannelId, PeerId), serving: Serving) {
        if self.open.len() >= MAX_SERVED
            && let Some((&oldest, _)) = self.open.iter().min_by_key(|(_, serving)| serving.begun)
        {
            self.open.remove(&oldest);
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
        if sketch.bound < now.moment.time || !self.served.may_look(now.elapsed) {
            return self.count("sketches not looked at");
        }
        let id = (origin.channel, peer);
        let Some(mut serving) = self.serving(now, id, sketch) else { return };
        let most = 2 * (self.set.len() + usize::try_from(sketch.count.min(1 << 20)).unwrap_or(0)) + 2048;
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
            return Some(Serving { salt, bound, decoder, begun: now.elapsed });
        }
        let fits = |serving: &Serving| {
            serving.salt == sketch.salt && u32::try_from(serving.decoder.taken()) == Ok(sketch.first)
        };
        self.served.open.remove(&id).filter(fits)
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
        if self.is_network(channel) {
            self.give_on_network(now, channel, keys);
        } else {
            self.start_answer(now, channel, Address::brain(peer), keys.into(), Ending::Repair, out);
        }
    }
}
