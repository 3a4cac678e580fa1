//! `replace`: says that one item is in a bucket instead of another.

use super::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::signing::{self, Signed, SigningOptions, Unsigned, default_length};
use crate::validity::ValidityOptions;
use clap::Args;
use dcache::{BucketPath, Data, Item, Kind};

/// Say that one item is in a bucket instead of another; for an hour, unless told otherwise.
#[derive(Debug, Args)]
pub(crate) struct Replace {
    /// The bucket, such as share/notes.
    bucket: BucketPath,
    /// What is not to be there any more.
    #[arg(value_parser = Data::new)]
    old: Data,
    /// What is to be there.
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
        // The validity options are about the new item. The old one is dismissed for as long as anybody proposes it.
        let always = ValidityOptions::default();
        let dismiss = statement(Kind::Dismiss, &self.old, &always);
        let propose = statement(Kind::Propose, &self.new, &self.validity);
        signing::sign(context, vec![dismiss, propose], &self.signing)
    }
}
