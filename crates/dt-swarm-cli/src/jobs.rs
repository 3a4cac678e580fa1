//! Runs long jobs of the daemon: starts a job, polls it until it ends, and shows its progress. The daemon cancels the
//! job when this program ends.

use crate::error::CliError;
use crate::text::size;
use content::{Answer, Content, Pinned, Request};
use control::Client;
use service::{JobState, JobStatus, Progress};
use std::io::{self, IsTerminal as _, Write as _};

/// Asks the daemon to run the job, and shows its progress on a terminal. The daemon cancels a job that no client polls.
pub(crate) fn run(client: &mut Client, request: &Request) -> Result<Pinned, CliError> {
    let job = match client.call::<Content>(request)? {
        Answer::Started { job } => job,
        other => return Err(client.unexpected(&other).into()),
    };
    let is_seen = io::stderr().is_terminal();
    loop {
        let status = client.call::<Content>(&Request::Job { job });
        if let Ok(Answer::Job(JobStatus { progress, state: JobState::Running, .. })) = status {
            if is_seen {
                show(Some(progress));
            }
            continue;
        }
        if is_seen {
            show(None);
        }
        return match status? {
            Answer::Job(JobStatus { state: JobState::Done(pinned), .. }) => Ok(pinned),
            Answer::Job(JobStatus { state: JobState::Failed(reason), .. }) => Err(CliError::Failed(reason)),
            other => Err(client.unexpected(&other).into()),
        };
    }
}

/// Shows the progress on the current line, in place of the progress of the last call. `None` clears the line.
fn show(progress: Option<Progress>) {
    let text = progress.map(|Progress { done, total }| match total {
        Some(total) if total > 0 => {
            // The blocks are a few bytes larger than their content.
            let done = done.min(total);
            format!("{} of {} ({} %)", size(done), size(total), u128::from(done) * 100 / u128::from(total))
        }
        _ => size(done),
    });
    // A failure to show the progress is ignored.
    let _ = write!(io::stderr(), "\r\x1b[K{}", text.unwrap_or_default());
}
