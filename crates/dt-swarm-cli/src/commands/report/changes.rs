//! Waits for changes of the records about shared files. The daemon sends its new records, as it does to its peers.

use super::OTHER_BUCKETS;
use crate::commands::watch::Watching;
use crate::context::Context;
use crate::error::CliError;
use crate::output::answered::Answered;
use crate::output::names::Names;
use crate::shared_files;
use dcache::{Pattern, Set, buckets};
use logs::Catalogs;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Waits for changes of the files that the daemon at HOST knows.
pub(super) struct Changes {
    watching: Watching,
    /// Maximum time of one wait.
    longest: Duration,
    /// Whether [`Self::next`] returned the records that were there at the start.
    is_begun: bool,
    context: Context,
    catalogs: Catalogs,
    /// Texts of the records that name the catalogues.
    named: BTreeSet<String>,
}

impl Changes {
    /// Connects, and reads the present records.
    pub(super) fn begin(context: &Context, longest: Duration) -> Result<Self, CliError> {
        let (policy, key) = context.policy_and_key()?;
        let buckets = [&shared_files::BUCKETS[..], &OTHER_BUCKETS].concat().join(",");
        let pattern = Pattern::new(&format!("{{{buckets}}}"))?;
        let watching = Watching::begin(context.connect_with(key.as_ref())?, &pattern, &policy)?;
        context.warn_of_clock(watching.pong());
        let (context, catalogs, named) = (context.clone(), Catalogs::default(), BTreeSet::new());
        Ok(Self { watching, longest, is_begun: false, context, catalogs, named })
    }

    /// Waits for the next change, at most for the maximum time. Returns the records, the catalogues, a description of
    /// the records, and the names of the peers. The first call returns without a wait.
    pub(super) fn next(&mut self) -> Result<(&Set, &Catalogs, Answered, Names), CliError> {
        // The items that are there already are no changes.
        let longest = if self.is_begun { self.longest } else { Duration::ZERO };
        self.watching.wait_for_any(Instant::now() + longest)?;
        self.is_begun = true;
        let (set, now) = (self.watching.set(), self.watching.now());
        let names = Names::read(set, now)?;
        let answered = Answered::of(self.watching.pong(), set, now, &names);
        let matcher = buckets::CATALOG.matcher();
        let named: BTreeSet<String> =
            set.matching(&matcher, now).map(|view| view.item.data.to_string()).collect();
        let versions = self.catalogs.versions();
        let read: BTreeSet<String> = versions.map(|(_, version)| version.root.to_string()).collect();
        let is_read = |text: &String| text.split(' ').next().is_some_and(|root| read.contains(root));
        // The daemon needs a while to read a catalogue.
        if named != self.named || !named.iter().all(is_read) {
            self.catalogs = self.context.catalogs(set, now)?;
            self.named = named;
        }
        Ok((set, &self.catalogs, answered, names))
    }
}
