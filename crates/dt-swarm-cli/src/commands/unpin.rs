//! `unpin`: keeps content no longer.

use super::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::output::Done;
use clap::Args;
use content::{Answer, Content, Request};

/// Do not keep this content any more; its blocks go when room is needed, or with `gc`. This robot does not fetch a log
/// back then, and stops saying that it keeps it.
#[derive(Debug, Args)]
pub(crate) struct Unpin {
    /// Its CID, as `storage` shows it.
    cid: String,
}

impl Command for Unpin {
    type Output = Done;

    fn run(&self, context: &Context) -> Result<Done, CliError> {
        context.order::<Content>(&Request::Unpin { cid: self.cid.clone() }, Answer::Done {})?;
        Ok(Done::new(
            "Not pinned any more; its blocks go when room is needed, or with `gc`. A shared log is not fetched back here, and \
             others may keep it; `pin` undoes that.",
        ))
    }
}
