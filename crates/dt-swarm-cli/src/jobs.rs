//! Work of the daemon that takes its time: it is begun, looked at until it is done, and given up with this program.

use crate::error::CliError;
use crate::text::size;
use control::{Answer, Client, Pinned, Progress, Request};
use std::io::{self, IsTerminal as _, Write as _};

/// Has the daemon do this, and shows on a terminal how far it is. The daemon gives up a job at which nobody looks.
pub(crate) fn run(client: &mut Client, request: &Request) -> Result<Pinned, CliError> {
    let work = match client.ask(request)? {
        Answer::Begun { work } => work,
        other => return Err(client.unexpected(&other).into()),
    };
    let is_seen = io::stderr().is_terminal();
    loop {
        match client.ask(&Request::Look { work }) {
            Ok(Answer::Working(progress)) if is_seen => show(Some(progress)),
            Ok(Answer::Working(_)) => {}
            ended => {
                if is_seen {
                    show(None);
                }
                return match ended? {
                    Answer::Pinned(pinned) => Ok(pinned),
                    other => Err(client.unexpected(&other).into()),
                };
            }
        }
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
