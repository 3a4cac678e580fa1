//! Handler of requests about the identity of this node.

use crate::identity::{self, IdentityError, Renewed};
use crate::machine::MachineNote;
use crate::shared::Shared;
use control::{Failure, FailureKind, Protocol};
use dcache::PeerId;
use service::Endpoint;
use std::sync::Arc;
use swarm::Swarm;
use swarm::identity_protocol::{IdentityAnswer, IdentityProtocol, IdentityRequest};
use telemetry::FaultReport;
use tokio::sync::Mutex;

/// Handles requests about the identity of this node. Clones refer to the same node.
#[derive(Clone)]
pub(crate) struct IdentityEndpoint {
    shared: Shared,
    swarm: Swarm,
    note: MachineNote,
    /// Held while the key or the note is written, so that requests are handled one after the other.
    writing: Arc<Mutex<()>>,
}

impl Protocol for IdentityEndpoint {
    const NAME: &'static str = IdentityProtocol::NAME;
    type Request = IdentityRequest;
    type Answer = IdentityAnswer;
}

impl Endpoint for IdentityEndpoint {
    async fn handle(&self, request: IdentityRequest) -> Result<IdentityAnswer, Failure> {
        let endpoint = self.clone();
        // A separate task finishes the change even if the connection closes.
        let handled = tokio::spawn(async move {
            match request {
                IdentityRequest::Show {} => Ok(endpoint.show()),
                IdentityRequest::Renew {} => endpoint.renew().await,
                IdentityRequest::Keep {} => endpoint.keep().await,
            }
        });
        handled.await.map_err(|error| Failure::new(FailureKind::Disk, error))?
    }
}

impl IdentityEndpoint {
    pub(crate) fn new(shared: Shared, swarm: Swarm, note: MachineNote) -> Self {
        Self { shared, swarm, note, writing: Arc::default() }
    }

    fn show(&self) -> IdentityAnswer {
        IdentityAnswer::Identity {
            peer: self.me(),
            is_copied: *self.swarm.is_copied().borrow(),
            doubt: self.shared.machine_fault.borrow().as_ref().map(FaultReport::message),
        }
    }

    /// Writes a new key, and has the daemon start again with it.
    async fn renew(&self) -> Result<IdentityAnswer, Failure> {
        let _writing = self.writing.lock().await;
        if self.shared.renewed.borrow().is_some() {
            let message = "the identity was renewed already, and the daemon is starting again";
            return Err(Failure::new(FailureKind::Stopped, message));
        }
        let shared = self.shared.clone();
        let renewed = blocking(move || identity::renew(&shared.config.data_dir, &shared.keypair)).await?;
        let Renewed { peer, former_key } =
            renewed.map_err(|error: IdentityError| Failure::new(FailureKind::Disk, error))?;
        tracing::info!(former = %self.me(), new = %peer, "this robot gets a new identity; the daemon starts again");
        self.shared.renewed.send_replace(Some(peer));
        Ok(IdentityAnswer::Renewed {
            former: self.me(),
            peer,
            former_key: former_key.display().to_string(),
            has_swarm: self.shared.membership.borrow().is_some(),
        })
    }

    /// Notes that the identity belongs to this machine.
    async fn keep(&self) -> Result<IdentityAnswer, Failure> {
        let _writing = self.writing.lock().await;
        let note = self.note.clone();
        let kept = blocking(move || note.keep()).await?;
        kept.map_err(|error| Failure::new(FailureKind::Disk, error))?;
        self.shared.machine_fault.send_replace(None);
        Ok(IdentityAnswer::Kept {})
    }

    fn me(&self) -> PeerId {
        self.swarm.me()
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Failure::new(FailureKind::Disk, error))
}
