//! The commands. Each is a file of this folder, which has its arguments, what it does and what it gives.
//!
//! To add one, write its file and its line in the list below: the clap subcommand, its name, help and dispatch follow from it.

use crate::context::Context;
use crate::error::CliError;
use crate::output::Print;
use clap::Subcommand;

/// A command. Its fields are its arguments; the documentation of the struct is its help.
pub(crate) trait Command: clap::Args {
    /// One document, or [`Live`](crate::output::Live) ones.
    type Output: Print;

    /// Runs the command.
    ///
    /// # Errors
    /// One sentence for people. The program prints it to stderr, and exits with 1.
    fn run(&self, context: &Context) -> Result<Self::Output, CliError>;
}

macro_rules! commands {
    ($($file:ident::$Command:ident,)+) => {
        $(mod $file;)+

        /// What to ask.
        #[derive(Debug, Subcommand)]
        pub(crate) enum AnyCommand {
            $($Command($file::$Command),)+
        }

        impl AnyCommand {
            /// Runs the command and prints what it gives.
            pub(crate) fn run(&self, context: &Context) -> Result<(), CliError> {
                match self {
                    $(Self::$Command(command) => command.run(context)?.print(context.form()),)+
                }
            }
        }
    };
}

// In the order in which the help shows them.
commands! {
    summary::Summary,
    report::Report,
    get::Get,
    discard::Discard,
    undiscard::Undiscard,
    transfers::Transfers,
    limit::Limit,
    add::Add,
    pin::Pin,
    unpin::Unpin,
    gc::Gc,
    storage::Storage,
    ping::Ping,
    stats::Stats,
    channels::Channels,
    version::Version,
    query::Query,
    watch::Watch,
    propose::Propose,
    dismiss::Dismiss,
    replace::Replace,
    grant::Grant,
    revoke::Revoke,
    keys::Keys,
    route::Route,
    swarm::Swarm,
}
