//! The daemon `dt-swarm`. See `dt-swarm --help` for its options.

use std::process::ExitCode;

fn main() -> ExitCode {
    dt_swarm::run(dt_swarm::SERVICES)
}
