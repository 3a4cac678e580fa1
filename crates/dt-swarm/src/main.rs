//! The daemon `dt-swarm`. See `dt-swarm --help` for its options.

use service::Registration;
use std::process::ExitCode;

/// The services of the daemon, one line each.
const SERVICES: &[Registration] = &[
    Registration::of::<discovery::Discovery>(),
    Registration::of::<logs::Logs>(),
    Registration::of::<content::Content>(),
    Registration::of::<transfers::Transfers>(),
];

fn main() -> ExitCode {
    dt_swarm::run(SERVICES)
}
