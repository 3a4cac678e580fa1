//! `replace`: replaces an item in a bucket by another item.

use super::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::signing::{self, Signed, SigningOptions, Unsigned, default_length};
use crate::validity::ValidityOptions;
use clap::Args;
use dcache::{BucketPath, Data, Item, Kind};

/// Replaces an item in a bucket: dismisses the old item and proposes the new one.
///
/// The proposal is valid for an hour unless an option says otherwise. Example: `dt-swarm-cli localhost replace
/// share/notes 'lab open' 'lab closed' --for 2h`
#[derive(Debug, Args)]
pub(crate) struct Replace {
    /// The bucket, such as share/notes.
    bucket: BucketPath,
    /// The text of the item to remove.
    #[arg(value_parser = Data::new)]
    old: Data,
    /// The text of the item to add.
    #[arg(value_parser = Data::new)]
    new: Data,
    #[command(flatten)]
    validity: ValidityOptions,
    #[command(flatten)]
    signing: SigningOptions,
}

impl Command for Replace {
    type Output = Signed;

    fn run(&self, context: &Context) -> Result<Signed, CliError> {
        if self.old == self.new {
            return Err(CliError::Same);
        }
        let statement = |kind, data: &Data, validity| {
            let item = Item { bucket: self.bucket.clone(), data: data.clone() };
            Unsigned { kind, item, validity, default_length: default_length(kind) }
        };
        // The validity options are for the new item. The old item is dismissed for as long as a peer proposes it.
        let always = ValidityOptions::default();
        let dismiss = statement(Kind::Dismiss, &self.old, &always);
        let propose = statement(Kind::Propose, &self.new, &self.validity);
        signing::sign(context, vec![dismiss, propose], &self.signing)
    }
}
