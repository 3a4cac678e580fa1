//! Replay protection: remembers which lines were opened, so that no line is accepted twice.

use std::collections::BTreeMap;

const WORD: u64 = u64::BITS as u64;
/// Number of 64-bit words in the ring: one more than the window needs. When the window moves, whole words are cleared.
/// With the extra word, this clears no bit that is still in the window (RFC 6479).
const WORDS: usize = 33;
/// Number of a sender's last lines that are accepted, counted back from the newest one. Older lines are refused.
pub const WINDOW: u64 = (WORDS as u64 - 1) * WORD;
/// Maximum number of remembered senders. When it would be exceeded, the least recently active sender is evicted. Only
/// new lines count as activity, replayed lines do not.
pub const MAX_SENDERS: usize = 512;

/// The numbers that one sender has used. All numbers above the newest are unused. For each of the last [`WINDOW`]
/// numbers, a bit says whether it was used.
#[derive(Clone, Debug)]
struct Window {
    newest: u64,
    /// A ring of bits: one bit for each number in the window.
    words: [u64; WORDS],
}

impl Window {
    const NEW: Self = Self { newest: 0, words: [0; WORDS] };

    /// Marks a number as used. Returns `false` if it was used before, or is older than the window.
    fn admit(&mut self, number: u64) -> bool {
        if number > self.newest {
            self.move_to(number);
        } else if self.newest - number >= WINDOW {
            return false;
        }
        let (word, bit) = (&mut self.words[place(number / WORD)], 1 << (number % WORD));
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    fn move_to(&mut self, number: u64) {
        let (from, to) = (self.newest / WORD, number / WORD);
        for word in (from + 1..=to).take(WORDS) {
            self.words[place(word)] = 0;
        }
        self.newest = number;
    }
}

fn place(word: u64) -> usize {
    // The remainder is less than WORDS, so it fits into a `usize`.
    (word % WORDS as u64) as usize
}

/// The numbers used by each sender. Only the numbers of authentic lines are added, so an attacker without the key
/// cannot fill the table.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    senders: BTreeMap<[u8; 16], (Window, u64)>,
    /// Number of lines passed to [`Seen::admit`]. Each new line sets its sender's time of activity to this number.
    admitted: u64,
}

impl Seen {
    /// Marks a sender's number as used. Returns `false` if it was used before, or is older than the sender's window.
    pub(crate) fn admit(&mut self, sender: [u8; 16], number: u64) -> bool {
        if !self.senders.contains_key(&sender) && self.senders.len() >= MAX_SENDERS {
            self.forget_one();
        }
        self.admitted += 1;
        let (window, last) = self.senders.entry(sender).or_insert((Window::NEW, 0));
        let is_new = window.admit(number);
        if is_new {
            *last = self.admitted;
        }
        is_new
    }

    fn forget_one(&mut self) {
        let oldest = self.senders.iter().min_by_key(|(_, (_, last))| *last).map(|(sender, _)| *sender);
        if let Some(oldest) = oldest {
            self.senders.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_number_is_accepted_once_within_the_window() {
        let mut window = Window::NEW;
        assert!(window.admit(0) && !window.admit(0));
        assert!(window.admit(WINDOW) && !window.admit(0), "the number is now too old");
        assert!(window.admit(1) && !window.admit(1), "the oldest number in the window is accepted once");
        assert!(window.admit(u64::MAX) && !window.admit(u64::MAX) && !window.admit(WINDOW));
        assert!(window.admit(u64::MAX - WINDOW + 1) && !window.admit(u64::MAX - WINDOW));
    }

    proptest! {
        #[test]
        fn the_window_gives_the_same_answers_as_a_list_of_all_numbers(steps in prop::collection::vec((0..3 * WINDOW, 0..4u64), 1..400)) {
            let (mut window, mut taken, mut newest) = (Window::NEW, BTreeSet::new(), 0);
            for (number, jump) in steps {
                let number = if jump == 0 { number } else { (newest + jump).saturating_sub(number % 200) };
                let is_new = newest.saturating_sub(number) < WINDOW && !taken.contains(&number);
                prop_assert_eq!(window.admit(number), is_new, "{} with {}", number, newest);
                taken.insert(number);
                newest = newest.max(number);
            }
        }
    }

    #[test]
    fn the_sender_that_was_silent_for_the_longest_time_is_evicted() {
        let mut seen = Seen::default();
        let sender = |number: usize| {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&number.to_be_bytes());
            id
        };
        for number in 0..MAX_SENDERS {
            assert!(seen.admit(sender(number), 1));
        }
        // A replay of the first sender's line does not count as activity; a new line of the second sender does.
        assert!(!seen.admit(sender(0), 1) && seen.admit(sender(1), 2));
        assert!(seen.admit(sender(MAX_SENDERS), 1));
        assert_eq!(seen.senders.len(), MAX_SENDERS);
        assert!(!seen.admit(sender(1), 1) && seen.admit(sender(0), 1), "the first sender was evicted");
    }
}
