//! The program `dt-swarm-cli`. Its code is in the library of the same name.

fn main() -> std::process::ExitCode {
    dt_swarm_cli::main()
}
