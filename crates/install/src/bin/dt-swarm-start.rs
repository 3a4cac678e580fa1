//! Starts dt-swarm, and returns to the version before when an update of dt-swarm does not work.
//!
//! `dt-swarm-start --folder FOLDER --fallback PROGRAM [--confirm-within SECONDS] [-- ARGUMENT ...]`

use install::starter::{self, StarterSettings};
use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

/// Usage, for people who start the program by hand.
const USAGE: &str =
    "usage: dt-swarm-start --folder FOLDER --fallback PROGRAM [--confirm-within SECONDS] [-- ARGUMENT ...]";
/// Time within which a new version must confirm that it works. The daemon itself gives up after 15 minutes.
const CONFIRM_WITHIN: Duration = Duration::from_secs(20 * 60);

fn parse(mut arguments: impl Iterator<Item = OsString>) -> Option<StarterSettings> {
    let (mut folder, mut fallback, mut confirm_within) = (None, None, CONFIRM_WITHIN);
    while let Some(option) = arguments.next() {
        match option.to_str()? {
            "--" => break,
            "--folder" => folder = Some(arguments.next()?),
            "--fallback" => fallback = Some(arguments.next()?),
            "--confirm-within" => {
                confirm_within = Duration::from_secs(arguments.next()?.to_str()?.parse().ok()?);
            }
            _ => return None,
        }
    }
    Some(StarterSettings {
        folder: folder?.into(),
        fallback: fallback?.into(),
        arguments: arguments.collect(),
        confirm_within,
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some(settings) = parse(std::env::args_os().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match starter::run(&settings).await {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(error) => {
            eprintln!("dt-swarm cannot be started from {}: {error}", settings.fallback.display());
            ExitCode::FAILURE
        }
    }
}
