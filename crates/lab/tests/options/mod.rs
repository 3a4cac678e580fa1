//! Parsing of the options of experiments, as on a command line.

use clap::Parser;

#[derive(Parser)]
struct CommandLine<T: clap::Args> {
    #[command(flatten)]
    options: T,
}

/// Returns the options that these arguments give.
pub(crate) fn options<T: clap::Args>(arguments: &[&str]) -> T {
    CommandLine::parse_from(std::iter::once(&"test").chain(arguments)).options
}
