//! Limits the memory for incomplete messages, so that no peer can use up the memory with messages that it does not
//! complete.
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Total number of bytes of incomplete messages above which each source is limited to an equal share of this number.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Maximum number of bytes of incomplete messages of one source: eight messages of the maximum length.
const MAX_OF_SOURCE: u64 = 32 * 1024 * 1024;

/// The source holds too many bytes in incomplete messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("incomplete messages of this source take too much memory")]
pub(super) struct TooMuch;

/// Bytes of incomplete messages for each source. Clones share the same counts.
#[derive(Clone, Debug, Default)]
pub(super) struct HalfRead(Arc<Mutex<BTreeMap<Option<IpAddr>, u64>>>);

impl HalfRead {
    /// Begins to count a message of a source.
    pub(super) fn begin(&self, source: Option<IpAddr>) -> Held {
        Held { all: self.clone(), source, bytes: 0 }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Option<IpAddr>, u64>> {
        // Each change is a single call that leaves the map consistent, so a poisoned lock is safe to use.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bytes that are held for one message. Dropping it releases them.
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
    /// When the source would hold too many bytes.
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
    fn any_number_of_incomplete_messages_takes_little_memory() {
        let all = HalfRead::default();
        let mut held = Vec::new();
        for stream in 0..1000 {
            let mut message = all.begin(source((stream % 50) as u8));
            let _ = message.grow(MESSAGE);
            held.push(message);
        }
        let total = || all.lock().values().sum::<u64>();
        assert!(total() <= 2 * MAX_BYTES, "{}", total());
        // A source that holds nothing yet still gets a share.
        assert_eq!(all.begin(source(200)).grow(MESSAGE / 8), Ok(()));
        held.clear();
        assert_eq!(total(), 0);
    }

    #[test]
    fn each_source_has_a_limit_and_finished_messages_do_not_count() {
        let all = HalfRead::default();
        let mut held: Vec<Held> = (0..8).map(|_| all.begin(source(1))).collect();
        assert!(held.iter_mut().all(|message| message.grow(MESSAGE).is_ok()));
        assert_eq!(all.begin(source(1)).grow(1), Err(TooMuch));
        assert_eq!(all.begin(source(2)).grow(MESSAGE), Ok(()));
        held.pop();
        assert_eq!(all.begin(source(1)).grow(MESSAGE), Ok(()));
    }
}
