//! `propose`: proposes an item for a bucket.

use super::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::output::warn;
use crate::signing::{ItemArguments, Signed};
use clap::Args;
use dcache::{Kind, buckets};

const EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost propose share/notes 'battery swapped'      is valid for an hour
  dt-swarm-cli localhost propose share/notes 'lab closed' --from 2027-01-01 --until 2027-01-07
  dt-swarm-cli localhost propose networks /ip4/10.0.0.7/tcp/8000/dswarm-line --forever --key root";

/// Proposes an item: states that it is in a bucket.
///
/// The proposal is valid for an hour unless an option says otherwise.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Propose {
    #[command(flatten)]
    item: ItemArguments,
}

impl Command for Propose {
    type Output = Signed;

    fn run(&self, context: &Context) -> Result<Signed, CliError> {
        let signed = self.item.sign(context, Kind::Propose)?;
        if *self.item.bucket() == buckets::SHARE_DISCARD.path() {
            warn(
                "a proposal in share/discard does not make robots delete a file that is `safe`; use `discard FILE|CID`",
            );
        }
        Ok(signed)
    }
}
