//! `dismiss`: dismisses an item from a bucket.

use super::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::signing::{ItemArguments, Signed};
use clap::Args;
use dcache::Kind;

const EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost dismiss share/notes 'battery swapped'      is valid for as long as a peer proposes the item
  dt-swarm-cli localhost dismiss share/files bafy… --for 7d          without a role, 8 days are the maximum

To remove a log from the swarm, use `discard FILE|CID`. It dismisses the log from all buckets of files, permanently.";

/// Dismisses an item from a bucket: takes back your own proposal, and denies those of other peers if your role allows
/// it.
///
/// The dismissal is valid for as long as a peer proposes the item, but at least an hour, unless an option says
/// otherwise.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Dismiss {
    #[command(flatten)]
    item: ItemArguments,
}

impl Command for Dismiss {
    type Output = Signed;

    fn run(&self, context: &Context) -> Result<Signed, CliError> {
        self.item.sign(context, Kind::Dismiss)
    }
}
