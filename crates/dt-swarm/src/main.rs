//! `dt-swarm`, the daemon: see `dt-swarm --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    dt_swarm::run(dt_swarm::SERVICES)
}
