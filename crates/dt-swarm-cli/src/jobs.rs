//! Work of the daemon that takes its time: it is begun, looked at until it is done, and given up with this program.

use crate::error::CliError;
use crate::text::size;
use content::{Answer, Content, Pinned, Request};
use control::Client;
use service::{JobState, JobStatus, Progress};
use std::io::{self, IsTerminal as _, Write as _};

/// Has the daemon do this, and shows on a terminal how far it is. The daemon gives up a job at which nobody looks.
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

/// Shows progress on a line of its own, which the next call overwrites.
fn show(progress: Option<Progress>) {
    let text = progress.map(|Progress { done, total }| match total {
        Some(total) if total > 0 => {
            // Blocks have a few bytes more than the content that they hold.
            let done = done.min(total);
            format!("{} of {} ({} %)", size(done), size(total), u128::from(done) * 100 / u128::from(total))
        }
        _ => size(done),
    });
    // Without a place for it nothing is lost.
    let _ = write!(io::stderr(), "\r\x1b[K{}", text.unwrap_or_default());
}
