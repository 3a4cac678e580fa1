//! `usage`: shows, permits, denies and deletes the usage statistics of this robot, and shows the totals of a collector.

use super::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::output::Output;
use crate::output::usage::{Totals, UsageStatus};
use crate::text::count;
use ::usage::{Answer, Request};
use clap::{Args, Subcommand};
use serde::Serialize;

const EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost usage show       shows whether statistics are sent, and exactly which bytes
  dt-swarm-cli localhost usage allow      permits them
  dt-swarm-cli localhost usage deny       denies them, and drops what was prepared
  dt-swarm-cli localhost usage forget     denies them, and lets the collectors delete what was sent
  dt-swarm-cli localhost usage totals     on a collector: shows the totals of the last weeks";

/// Shows, permits or denies usage statistics of this robot, and deletes those that were sent.
///
/// Without consent, nothing is sent. With it, the robot sends one short report after each week to a collector that an admin of the
/// swarm has named. A report contains known words and classes of numbers, and no identity. Without a subcommand, `usage` is `usage
/// show`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Usage {
    #[command(subcommand)]
    command: Option<UsageCommand>,
}

#[derive(Debug, Subcommand)]
enum UsageCommand {
    /// Shows whether statistics are sent, and the reports, exactly as they are sent.
    Show,
    /// Permits statistics with the present list of fields.
    Allow,
    /// Denies statistics, and drops what was prepared.
    Deny,
    /// Denies statistics, and lets the collectors delete the reports that were sent.
    Forget,
    /// Shows what this robot has collected as a collector: values that at least five robots have in common.
    Totals(TotalsArguments),
}

#[derive(Debug, Args)]
struct TotalsArguments {
    /// Number of weeks to show, up to 12
    #[arg(long, value_name = "NUMBER", default_value_t = 4)]
    weeks: usize,
}

/// The output of the subcommands.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum UsageOutput {
    Status(Box<UsageStatus>),
    Forgetting(Forgetting),
    Totals(Totals),
}

/// The reports that collectors are asked to delete.
#[derive(Debug, Serialize)]
pub(crate) struct Forgetting {
    /// Number of reports that a collector has to confirm.
    pending_reports: usize,
}

impl Command for Usage {
    type Output = UsageOutput;

    fn run(&self, context: &Context) -> Result<UsageOutput, CliError> {
        let request = match &self.command {
            None | Some(UsageCommand::Show) => Request::Show {},
            Some(UsageCommand::Allow) => Request::Decide { is_allowed: true },
            Some(UsageCommand::Deny) => Request::Decide { is_allowed: false },
            Some(UsageCommand::Forget) => Request::Forget {},
            Some(UsageCommand::Totals(TotalsArguments { weeks })) => Request::Totals { weeks: *weeks },
        };
        let mut client = context.client()?;
        match client.call::<::usage::Usage>(&request)? {
            Answer::Status(status) => {
                Ok(UsageOutput::Status(Box::new(UsageStatus::new(*status, &context.names()))))
            }
            Answer::Forgetting { reports } => {
                Ok(UsageOutput::Forgetting(Forgetting { pending_reports: reports }))
            }
            Answer::Totals { is_collector, minimum, weeks } => {
                Ok(UsageOutput::Totals(Totals { is_collector, minimum_robots: minimum, weeks }))
            }
        }
    }
}

impl Output for UsageOutput {
    fn show(&self) -> String {
        match self {
            Self::Status(status) => status.show(),
            Self::Forgetting(forgetting) => forgetting.show(),
            Self::Totals(totals) => totals.show(),
        }
    }
}

impl Forgetting {
    fn show(&self) -> String {
        match self.pending_reports {
            0 => {
                "Usage statistics are denied. No report has left this robot, so there is nothing to delete.\n"
                    .to_owned()
            }
            reports => format!(
                "Usage statistics are denied. The collectors are asked to delete {}. `usage show` lists those that are not \
                 confirmed yet.\n",
                count(reports, "report")
            ),
        }
    }
}
