//! Waits for changes of the table of robots.
//!
//! The daemon on this computer says when its table changes. Another daemon sends its new records, as it does to its
//! peers.

use super::super::watch::Watching;
use crate::context::Context;
use crate::error::CliError;
use control::{Client, ClientError};
use dcache::Pattern;
use dcache::buckets::{HOSTNAME, PEER, ROBOT};
use discovery::Discovery;
use discovery::protocol::{Answer, MAX_WAIT_SECONDS, Request};
use std::time::{Duration, Instant};

/// Waits for changes of the table of the daemon at HOST.
pub(super) struct Changes {
    context: Context,
    /// Maximum time of one wait.
    longest: Duration,
    source: Source,
}

/// The source of changes.
enum Source {
    /// None yet: the next wait finds one.
    Unknown,
    /// The daemon on this computer, and the last state of its table.
    Daemon { client: Client, mark: u64 },
    /// The records of the daemon at HOST.
    Records(Box<Watching>),
}

impl Changes {
    /// Makes the waits for the daemon at HOST. Each takes at most `longest`.
    pub(super) fn new(context: Context, longest: Duration) -> Self {
        Self { context, longest, source: Source::Unknown }
    }

    /// Waits for the next change, at most for the maximum time. The first call connects, and returns without a wait.
    pub(super) fn wait(&mut self) -> Result<(), CliError> {
        match &mut self.source {
            Source::Unknown => self.source = self.find()?,
            Source::Daemon { client, mark } => *mark = ask(client, Some(*mark), self.longest)?,
            Source::Records(watching) => watching.wait_for_any(Instant::now() + self.longest)?,
        }
        Ok(())
    }

    fn find(&self) -> Result<Source, CliError> {
        if self.context.is_here()?
            && let Ok(found) = self.context.find()
        {
            let timeout = self.context.timeout + Duration::from_secs(MAX_WAIT_SECONDS);
            let mut client = Client::connect(found.client.path(), timeout)?;
            match ask(&mut client, None, Duration::ZERO) {
                Ok(mark) => return Ok(Source::Daemon { client, mark }),
                // An older daemon does not know the request.
                Err(CliError::Control(ClientError::Failure(_))) => {}
                Err(error) => return Err(error),
            }
        }
        let (policy, key) = self.context.policy_and_key()?;
        let buckets = [PEER.pattern(), HOSTNAME.pattern(), ROBOT.pattern()].join(",");
        let pattern = Pattern::new(&format!("{{{buckets}}}"))?;
        let connection = self.context.connect_with(key.as_ref())?;
        let mut watching = Watching::begin(connection, &pattern, &policy)?;
        // The items that are there already are no changes.
        watching.wait_for_any(Instant::now())?;
        Ok(Source::Records(Box::new(watching)))
    }
}

/// Asks the daemon to say when its table differs from the state `mark`. Returns the new state.
fn ask(client: &mut Client, mark: Option<u64>, longest: Duration) -> Result<u64, CliError> {
    match client.call::<Discovery>(&Request::Changes { mark, seconds: longest.as_secs() })? {
        Answer::Changed { mark } => Ok(mark),
        other => Err(client.unexpected(&other).into()),
    }
}
