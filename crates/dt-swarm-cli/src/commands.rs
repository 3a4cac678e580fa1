//! The commands. Each is a file of this folder, with the arguments, the code and the output of the command.
//!
//! To add a command, write its file and add a line to the list below. The clap subcommand, its name, its help and its
//! dispatch follow from that line.

use crate::context::Context;
use crate::error::CliError;
use crate::output::Print;
use clap::Subcommand;

/// A command of the program. The fields of the struct are its arguments, and the documentation of the struct is its
/// help.
pub(crate) trait Command: clap::Args {
    /// One document, or a [`Live`](crate::output::Live) sequence of documents.
    type Output: Print;

    /// Runs the command.
    ///
    /// # Errors
    /// Returns the failure of the command, as one sentence for the user. The program prints it to stderr and exits with
    /// 1.
    fn run(&self, context: &Context) -> Result<Self::Output, CliError>;
}

macro_rules! commands {
    ($($file:ident::$Command:ident,)+) => {
        $(mod $file;)+

        /// The command to run.
        #[derive(Debug, Subcommand)]
        pub(crate) enum AnyCommand {
            $($Command($file::$Command),)+
        }

        impl AnyCommand {
            /// Runs the command and prints its output.
            pub(crate) fn run(&self, context: &Context) -> Result<(), CliError> {
                match self {
                    $(Self::$Command(command) => command.run(context)?.print(context.form()),)+
                }
            }
        }
    };
}

// The help shows the commands in this order.
commands! {
    online::Online,
    find::Find,
    addresses::Addresses,
    network::Network,
    ssh::Ssh,
    forward::Forward,
    access::Access,
    summary::Summary,
    report::Report,
    log::Log,
    get::Get,
    discard::Discard,
    undiscard::Undiscard,
    unshare::Unshare,
    share::Share,
    folders::Folders,
    free::Free,
    transfers::Transfers,
    limit::Limit,
    uploads::Uploads,
    carry::Carry,
    add::Add,
    pin::Pin,
    unpin::Unpin,
    gc::Gc,
    storage::Storage,
    ping::Ping,
    stats::Stats,
    channels::Channels,
    doctor::Doctor,
    health::Health,
    fleet::Fleet,
    metrics::Metrics,
    collectors::Collectors,
    usage::Usage,
    version::Version,
    query::Query,
    watch::Watch,
    propose::Propose,
    dismiss::Dismiss,
    replace::Replace,
    grant::Grant,
    revoke::Revoke,
    keys::Keys,
    identity::Identity,
    route::Route,
    swarm::Swarm,
}
