//! `dismiss`: says that an item is not in a bucket.

use super::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::signing::{ItemArguments, Signed};
use clap::Args;
use dcache::Kind;

const EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost dismiss share/notes 'battery swapped'      for as long as anybody proposes it
  dt-swarm-cli localhost dismiss share/files bafy… --for 7d          without a role for 8 days at most

To remove a log from the swarm, use `discard FILE|CID`: it is dismissed from all buckets of files, and stays so.
Your own proposal is taken back by this, too. Those of others it denies, if your role allows that.";

/// Say that an item is not in a bucket; for as long as anybody proposes it (an hour at least), unless told otherwise.
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
