//! Logs refused records: the first of each kind at once, a flood of them as one line a minute.

use dcache::Refusal;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const QUIET: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(crate) struct Refusals {
    last: BTreeMap<Refusal, (Instant, u64)>,
}

impl Refusals {
    pub(crate) fn note(&mut self, reason: Refusal, source: Option<SocketAddr>, now: Instant) {
        match self.last.get_mut(&reason) {
            Some((since, more)) if now.duration_since(*since) < QUIET => *more += 1,
            last => {
                let more = last.map_or(0, |(_, more)| *more);
                self.last.insert(reason, (now, 0));
                self.tell(reason, source, more);
            }
        }
    }

    fn tell(&self, reason: Refusal, source: Option<SocketAddr>, more: u64) {
        let from = source.map(|source| source.to_string()).unwrap_or_else(|| "a link".to_owned());
        match reason {
            Refusal::Forged | Refusal::NotOwner | Refusal::Crowded => {
                tracing::warn!(%reason, from, more_since = more, "a record was refused");
            }
            // These happen among honest peers as well.
            _ => tracing::debug!(%reason, from, more_since = more, "a record was refused"),
        }
    }
}
