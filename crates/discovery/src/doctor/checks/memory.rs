//! The memory of this host.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::doctor::faults::MEMORY_LOW;
use crate::doctor::findings::{size, warning, works};
use crate::doctor::observed::Observed;
use crate::protocol::Finding;
use telemetry::report;

/// Share of the memory, in percent, below which little is available. Below it, Linux evicts the code of programs.
const LOW_PERCENT: u128 = 5;

pub(crate) fn check(observed: &Observed) -> Vec<Finding> {
    let Some((available, total)) = observed.memory else { return Vec::new() };
    let is_low = u128::from(available) * 100 < u128::from(total) * LOW_PERCENT;
    let (available, total) = (size(available), size(total));
    vec![match is_low {
        true => warning(&report!(MEMORY_LOW, available = available, total = total)),
        false => works("memory", format!("{available} of {total} memory are available")),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_memory_is_a_warning() {
        let code = |available| {
            let observed = Observed { memory: Some((available, 1_000_000)), ..Observed::default() };
            check(&observed)[0].code.clone()
        };
        assert_eq!((code(49_999).as_str(), code(50_000).as_str()), ("memory.low", "memory"));
    }
}
