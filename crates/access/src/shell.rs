//! The I/O shell of the service: handles requests, and runs its tasks.

use crate::ask::{self, open};
use crate::judge::swarm_number;
use crate::permission::{Grantee, Permission, PermissionKey};
use crate::protocol::{Answer, MAX_PORTS, Request};
use crate::serve::serve;
use crate::shared::Shared;
use serde::{Deserialize, Serialize};
use service::{Context, DecisionLoop, Endpoint, Failure, FailureKind, Protocol, Service, ServiceError};
use std::convert::Infallible;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;
use store::TableError;
use tokio::sync::Semaphore;

/// Maximum number of permissions.
const MAX_PERMISSIONS: usize = 256;

/// The section `[access]` of the configuration. It has no keys: permissions are given with `access allow`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {}

/// The service `access`.
pub struct Access {
    shared: Arc<Shared>,
    /// Places for the streams of programs on this host.
    places: Arc<Semaphore>,
}

impl Protocol for Access {
    const NAME: &'static str = "access";
    type Request = Request;
    type Answer = Answer;
}

impl Endpoint for Access {
    async fn handle(&self, request: Request) -> Result<Answer, Failure> {
        match request {
            Request::Allow { grantees, ports, seconds } => self.allow(&grantees, &ports, seconds).await,
            Request::Revoke { grantees, ports } => self.take_back(&grantees, &ports).await,
            Request::List {} => {
                let permissions = self.shared.gate.lock().permissions().copied().collect();
                self.permissions(permissions).await
            }
            Request::Log {} => {
                let log = self.shared.log.log();
                let uses = log.uses().map(|(_, row)| *row).collect();
                Ok(Answer::Log { uses, refusals: log.refusals().copied().collect() })
            }
            Request::Open { peer, port } => open(&self.shared, &self.places, (peer, port)).await,
        }
    }
}

impl Service for Access {
    type Settings = Settings;

    fn open(context: Context, _settings: Settings) -> Result<Self, ServiceError> {
        let places = Arc::new(Semaphore::new(ask::MAX_STREAMS));
        Ok(Self { shared: Arc::new(Shared::open(context)?), places })
    }

    async fn run(&self) -> Result<Infallible, ServiceError> {
        let shared = &self.shared;
        tokio::select! {
            ended = shared.context.with_node(|node| {
                let shared = shared.clone();
                async move { Ok(serve(shared, node).await) }
            }) => ended,
            ended = self.judge_again() => ended,
            ended = shared.log.write() => Ok(ended?),
        }
    }

    async fn close(&self) {
        // The next start marks uses whose end was not written.
        if let Err(error) = self.shared.log.flush().await {
            tracing::warn!(%error, "the log of uses was not written");
        }
    }
}

impl Access {
    /// Ends streams that are no longer permitted, whenever a role or the time changes.
    async fn judge_again(&self) -> Result<Infallible, ServiceError> {
        let (swarm, gate) = (self.shared.context.swarm.clone(), self.shared.gate.clone());
        // Only records about roles matter, for which the loop decides in any case.
        let mut decisions = DecisionLoop::new(swarm, gate, |_| false, Duration::ZERO);
        loop {
            let ended = decisions.decide().await?;
            self.shared.revoke(ended);
            tokio::select! {
                () = decisions.changed() => {}
                () = self.shared.began.notified() => {}
            }
        }
    }

    async fn allow(
        &self,
        grantees: &[Grantee],
        ports: &[NonZeroU16],
        seconds: Option<u64>,
    ) -> Result<Answer, Failure> {
        let wrong = |message: &str| Err(Failure::new(FailureKind::Wrong, message));
        if grantees.is_empty() || ports.is_empty() || grantees.len().max(ports.len()) > MAX_PORTS {
            return wrong("a permission names some peers or roles and some ports, at most 32 of each");
        }
        let read = |set: &dcache::Set, now: dcache::Moment| {
            (swarm_number(set.policy()), set.policy().roots().is_empty(), now)
        };
        let (swarm, is_open, now) = self.shared.context.swarm.read_at(read).await?;
        if is_open && grantees.iter().any(|grantee| matches!(grantee, Grantee::Role(_))) {
            return wrong(
                "nobody holds a role, because this robot is in the open swarm: name peers by their ID",
            );
        }
        if seconds.is_some() && !now.is_certain {
            return wrong(
                "the clock of this robot is wrong, so the permission cannot have an end: set the clock",
            );
        }
        let (given, until) = (now.time, seconds.map(|seconds| now.time.plus(seconds)));
        let row = |grantee, port: &NonZeroU16| Permission { grantee, port: port.get(), given, until, swarm };
        let of = |grantee: &Grantee| ports.iter().map(|port| row(*grantee, port)).collect::<Vec<_>>();
        let new: Vec<Permission> = grantees.iter().flat_map(of).collect();
        self.add(&new).await?;
        self.permissions(new).await
    }

    /// Writes permissions to the disk, and lets them take effect.
    async fn add(&self, new: &[Permission]) -> Result<(), Failure> {
        let _writing = self.shared.writing.lock().await;
        let known = self.shared.gate.lock().permissions().count();
        if known + new.len() > MAX_PERMISSIONS {
            let message =
                format!("there are {known} permissions already; take some back with `access revoke`");
            return Err(Failure::new(FailureKind::Refused, message));
        }
        let rows: Vec<_> = new.iter().map(|permission| (permission.key(), Some(*permission))).collect();
        self.shared.table.write_async(&rows).await.map_err(disk)?;
        self.shared.gate.lock().allow(new);
        Ok(())
    }

    async fn take_back(&self, grantees: &[Grantee], ports: &[NonZeroU16]) -> Result<Answer, Failure> {
        let _writing = self.shared.writing.lock().await;
        let is_meant = |permission: &&Permission| {
            let port = |port: &NonZeroU16| port.get() == permission.port;
            (grantees.is_empty() || grantees.contains(&permission.grantee))
                && (ports.is_empty() || ports.iter().any(port))
        };
        let permissions: Vec<Permission> = {
            let mut gate = self.shared.gate.lock();
            let meant: Vec<Permission> = gate.permissions().filter(is_meant).copied().collect();
            let keys: Vec<PermissionKey> = meant.iter().map(Permission::key).collect();
            gate.take_back(&keys);
            meant
        };
        // The permissions have no effect any more, even if the disk fails.
        let streams = self.shared.judge_again().await?;
        let rows: Vec<_> = permissions.iter().map(|permission| (permission.key(), None)).collect();
        self.shared.table.write_async(&rows).await.map_err(not_durable)?;
        Ok(Answer::TakenBack { permissions, streams })
    }

    async fn permissions(&self, permissions: Vec<Permission>) -> Result<Answer, Failure> {
        let now = self.shared.now().await?.time;
        Ok(Answer::Permissions { permissions, streams: self.shared.open_streams(), now })
    }
}

fn disk(error: TableError) -> Failure {
    Failure::new(FailureKind::Disk, error)
}

fn not_durable(error: TableError) -> Failure {
    let message = format!("the permissions are taken back only until the daemon restarts, because {error}");
    Failure::new(FailureKind::Disk, message)
}
