//! The send budget of a network.

use routing::{Capacity, Tokens};
use std::time::Duration;

/// Remaining send budget of a network, in bytes and lines.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    capacity: Capacity,
    bytes: Tokens,
    lines: Tokens,
}

impl Budget {
    pub(crate) fn full(capacity: Capacity, elapsed: Duration) -> Self {
        let (bytes, lines) = (Tokens::full(capacity.bytes, elapsed), Tokens::full(capacity.lines, elapsed));
        Self { capacity, bytes, lines }
    }

    fn cost(&self, bytes: usize) -> (u32, u32) {
        (u32::try_from(bytes).unwrap_or(u32::MAX), self.capacity.pieces(bytes))
    }

    /// Returns whether a line of this many bytes can ever be sent.
    pub(crate) fn allows(&self, bytes: usize) -> bool {
        let (bytes, lines) = self.cost(bytes);
        bytes <= self.capacity.bytes.burst && lines <= self.capacity.lines.burst
    }

    /// Takes the cost of a line of this many bytes if the budget holds it, and returns whether it did.
    pub(crate) fn spend(&mut self, bytes: usize, elapsed: Duration) -> bool {
        let (bytes, lines) = self.cost(bytes);
        let has = self.bytes.has(bytes, elapsed) && self.lines.has(lines, elapsed);
        if has {
            self.bytes.take(bytes);
            self.lines.take(lines);
        }
        has
    }

    /// Returns the remaining send budget in bytes.
    pub(crate) fn bytes_left(&self, elapsed: Duration) -> u64 {
        let mut bytes = self.bytes;
        bytes.left(elapsed)
    }

    /// Returns the time at which a line of this many bytes can be sent.
    pub(crate) fn when(&self, bytes: usize) -> Duration {
        let (bytes, lines) = self.cost(bytes);
        self.bytes.when(bytes).max(self.lines.when(lines))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use routing::Allowance;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn pieces_of_long_lines_count() {
        let mut budget =
            Budget::full(Capacity { lines: Allowance { burst: 5, per_minute: 30 }, ..Capacity::IRC }, SECOND);
        assert!(budget.allows(750) && !budget.allows(751));
        assert!(budget.spend(450, SECOND) && !budget.spend(450, SECOND));
        // Three pieces are needed, and two tokens are left.
        assert_eq!(budget.when(450), SECOND * 3);
        assert!(budget.spend(300, SECOND), "a short line still passes");
    }
}
