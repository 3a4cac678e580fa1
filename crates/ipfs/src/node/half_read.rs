//! How many bytes of messages are held that are not whole yet, so that nobody fills the memory with beginnings.
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Maximum number of bytes of messages that are not whole yet. Beyond it, each source has an equal share.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Maximum number of such bytes of one source: eight messages of the greatest length.
const MAX_OF_SOURCE: u64 = 32 * 1024 * 1024;

/// Too much of what came from a source is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many messages of this source are not whole")]
pub(super) struct TooMuch;

/// The bytes of messages that are not whole yet, by source. A clone is the same.
#[derive(Clone, Debug, Default)]
pub(super) struct HalfRead(Arc<Mutex<BTreeMap<Option<IpAddr>, u64>>>);

impl HalfRead {
    /// Begins a message of a source.
    pub(super) fn begin(&self, source: Option<IpAddr>) -> Held {
        Held { all: self.clone(), source, bytes: 0 }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Option<IpAddr>, u64>> {
        // What is inside is changed by single calls that leave it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bytes of one message that are held.
#[derive(Debug)]
pub(super) struct Held {
    all: HalfRead,
    source: Option<IpAddr>,
    bytes: u64,
}

impl Held {
    /// Counts more bytes of the message.
    ///
    /// # Errors
    /// When its source has too many already.
    pub(super) fn grow(&mut self, more: usize) -> Result<(), TooMuch> {
        let more = more as u64;
        let mut held = self.all.lock();
        let total = held.values().sum::<u64>() + more;
        let of_source = held.get(&self.source).copied().unwrap_or_default() + more;
        let sources = held.len() as u64 + u64::from(!held.contains_key(&self.source));
        let has_room = total <= MAX_BYTES || of_source <= MAX_BYTES / sources;
        if of_source > MAX_OF_SOURCE || !has_room {
            return Err(TooMuch);
        }
        held.insert(self.source, of_source);
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = self.all.lock();
        if let Some(of_source) = held.get_mut(&self.source) {
            *of_source = of_source.saturating_sub(self.bytes);
            if *of_source == 0 {
                held.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: usize = 4 * 1024 * 1024;

    fn source(number: u8) -> Option<IpAddr> {
        Some(IpAddr::from([10, 0, 0, number]))
    }

    #[test]
    fn beginnings_of_messages_take_little_memory_however_many_there_are() {
        let all = HalfRead::default();
        let mut held = Vec::new();
        for stream in 0..1000 {
            let mut message = all.begin(source((stream % 50) as u8));
            let _ = message.grow(MESSAGE);
            held.push(message);
        }
        let total = || all.lock().values().sum::<u64>();
        assert!(total() <= 2 * MAX_BYTES, "{}", total());
        // Who has sent nothing yet gets a share all the same.
        assert_eq!(all.begin(source(200)).grow(MESSAGE / 8), Ok(()));
        held.clear();
        assert_eq!(total(), 0);
    }

    #[test]
    fn one_source_has_a_limit_and_what_is_whole_counts_no_more() {
        let all = HalfRead::default();
        let mut held: Vec<Held> = (0..8).map(|_| all.begin(source(1))).collect();
        assert!(held.iter_mut().all(|message| message.grow(MESSAGE).is_ok()));
        assert_eq!(all.begin(source(1)).grow(1), Err(TooMuch));
        assert_eq!(all.begin(source(2)).grow(MESSAGE), Ok(()));
        held.pop();
        assert_eq!(all.begin(source(1)).grow(MESSAGE), Ok(()));
    }
}
