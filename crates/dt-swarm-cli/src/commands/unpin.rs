//! `unpin`: stops keeping content.

use super::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::output::Done;
use clap::Args;
use content::{Answer, Content, Request};

/// Stops keeping content on this robot: removes its pin.
///
/// The blocks are deleted when space is needed, or by `gc`. If the content is a shared log, this robot no longer states
/// that it keeps it, and does not fetch it again. `pin` undoes this.
#[derive(Debug, Args)]
pub(crate) struct Unpin {
    /// The CID of the content, as `storage` shows it.
    cid: String,
}

impl Command for Unpin {
    type Output = Done;

    fn run(&self, context: &Context) -> Result<Done, CliError> {
        context.order::<Content>(&Request::Unpin { cid: self.cid.clone() }, Answer::Done {})?;
        Ok(Done::new(
            "Unpinned. Its blocks are deleted when space is needed, or by `gc`. If it is a shared log, this robot does not fetch it \
             again, and other robots may keep it. `pin` undoes this.",
        ))
    }
}
