//! Waits for changes of the records about shared files. The daemon sends its new records, as it does to its peers.

use super::OTHER_BUCKETS;
use crate::commands::watch::Watching;
use crate::context::Context;
use crate::error::CliError;
use crate::output::answered::Answered;
use crate::output::names::Names;
use crate::shared_files;
use dcache::{Pattern, Set};
use std::time::{Duration, Instant};

/// Waits for changes of the files that the daemon at HOST knows.
pub(super) struct Changes {
    watching: Watching,
    /// Maximum time of one wait.
    longest: Duration,
    /// Whether [`Self::next`] returned the records that were there at the start.
    is_begun: bool,
}

impl Changes {
    /// Connects, and reads the present records.
    pub(super) fn begin(context: &Context, longest: Duration) -> Result<Self, CliError> {
        let (policy, key) = context.policy_and_key()?;
        let buckets = [&shared_files::BUCKETS[..], &OTHER_BUCKETS].concat().join(",");
        let pattern = Pattern::new(&format!("{{{buckets}}}"))?;
        let watching = Watching::begin(context.connect_with(key.as_ref())?, &pattern, &policy)?;
        context.warn_of_clock(watching.pong());
        Ok(Self { watching, longest, is_begun: false })
    }

    /// Waits for the next change, at most for the maximum time. Returns the records, a description of them, and the
    /// names of the peers. The first call returns without a wait.
    pub(super) fn next(&mut self) -> Result<(&Set, Answered, Names), CliError> {
        // The items that are there already are no changes.
        let longest = if self.is_begun { self.longest } else { Duration::ZERO };
        self.watching.wait_for_any(Instant::now() + longest)?;
        self.is_begun = true;
        let (set, now) = (self.watching.set(), self.watching.now());
        let names = Names::read(set, now)?;
        let answered = Answered::of(self.watching.pong(), set, now, &names);
        Ok((set, answered, names))
    }
}
