//! The end of a run of the daemon: the signals that stop it, and the last statement of a former identity.

use dcache::buckets::RENEWED;
use dcache::{Item, PeerId, Statements, Validity};
use std::time::Duration;
use swarm::{SayError, Swarm};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Time to wait after the last statement of a former identity, so that the copies of the statement for lossy networks
/// are sent as well. The brain sends the last copy 300 ms after the first.
const LAST_COPIES: Duration = Duration::from_millis(350);
/// Maximum time to publish the last statement of a former identity.
const FAREWELL: Duration = Duration::from_secs(1);
/// Reason why the daemon ended in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It was told to stop.
    Stopped,
    /// Its identity was renewed, so the program has to start again.
    Renewed,
}

/// States, as the last statement of the former identity, which identity this robot has now. A host that shares the
/// former identity then knows that it is alone with it.
pub(crate) async fn farewell(swarm: &Swarm, renewed: PeerId) {
    let said = async {
        let now = swarm.read(|_, now| now).await.map_err(SayError::from)?;
        let item = Item { bucket: RENEWED.of(swarm.me()), data: renewed.into() };
        let mut statements = Statements::new();
        statements.propose(item, Validity::starting(now, RENEWED.lifetime()));
        swarm.say(statements).await
    };
    match tokio::time::timeout(FAREWELL, said).await {
        Ok(Ok(())) => tokio::time::sleep(LAST_COPIES).await,
        Ok(Err(error)) => tracing::warn!(%error, "the new identity could not be told to other robots"),
        Err(_) => tracing::warn!("the new identity could not be told to other robots in time"),
    }
}

/// The signals that stop the daemon.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    pub(crate) async fn wait(mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => tracing::info!("interrupted; stopping"),
            _ = self.terminate.recv() => tracing::info!("received SIGTERM; stopping"),
        }
    }
}
