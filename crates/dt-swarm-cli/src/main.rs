//! The command `dt-swarm-cli`; all it does is in the library beside it.

fn main() -> std::process::ExitCode {
    dt_swarm_cli::main()
}
