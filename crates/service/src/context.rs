//! The context that the daemon gives to a service.

use crate::{
    FileId, ListedBy, LocalFacts, PrivatePlaces, ServiceError, SharedValues, WantedFiles, holds_key,
    supervise,
};
use control::{Failure, FailureKind, Places};
use dcache::Keypair;
use ipfs::node::Node;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::convert::Infallible;
use std::fmt::Display;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{Store, Table, TableKey};
use swarm::Swarm;
use telemetry::Metric;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The environment of the daemon's process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// Default paths of the daemon, such as the home folder.
    pub places: Places,
    /// Name of the host.
    pub hostname: String,
    /// Name of the robot in the variable `VEHICLE_NAME`, which overrides the name of the host.
    pub vehicle_name: Option<String>,
}

/// Folders of the daemon on the disk, and its control socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folders {
    /// The data folder: identity, records and, usually, blocks.
    pub data: PathBuf,
    /// The folder whose files are shared; `None` if there is no home folder and none is configured.
    pub shared: Option<PathBuf>,
    /// Path of the control socket. Sockets for single programs are in its folder.
    pub control_socket: PathBuf,
}

/// Error for a path in the home folder when there is no home folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no home folder: set HOME, or choose the folders with --data-dir and --shared")]
pub struct NoHome;

impl Environment {
    /// Returns `path` with a leading `~` replaced by the home folder.
    pub fn expand(&self, path: PathBuf) -> PathBuf {
        match (path.strip_prefix("~"), &self.places.home) {
            (Ok(rest), Some(home)) => home.join(rest),
            _ => path,
        }
    }

    /// Returns the path `name` in the home folder.
    ///
    /// # Errors
    /// When there is no home folder.
    pub fn in_home(&self, name: &str) -> Result<PathBuf, NoHome> {
        self.places.home.as_ref().map(|home| home.join(name)).ok_or(NoHome)
    }
}

/// The parts of the daemon that a service works with. A clone refers to the same daemon.
#[derive(Clone)]
pub struct Context {
    /// Name of the service.
    pub(crate) name: &'static str,
    /// The running swarm.
    pub swarm: Swarm,
    /// The IPFS node, or `None` while there is none. It is replaced when the key of the swarm changes.
    pub node: watch::Receiver<Option<Node>>,
    /// Facts about this node.
    pub facts: watch::Receiver<LocalFacts>,
    /// Hosts on the networks of this host at which a service found robots. The UDP channels ask them while nobody else
    /// is heard there.
    pub nearby: watch::Sender<Vec<Ipv4Addr>>,
    /// Files of which a service needs a copy. All services of the daemon share it.
    pub wanted_files: watch::Sender<WantedFiles>,
    /// The robots that list files in their catalogues.
    pub listed_by: ListedBy,
    /// Whether content of this node may leave its own networks; `None` until this is known. All services of the daemon share
    /// it.
    pub may_leave: watch::Sender<Option<bool>>,
    /// Values that services of the daemon share, by type.
    pub shared: SharedValues,
    /// The environment of the daemon's process.
    pub environment: Arc<Environment>,
    /// Files and folders of the daemon itself, which no service shares with other peers.
    pub private: Arc<PrivatePlaces>,
    /// Folders of the daemon on the disk, and its control socket.
    pub folders: Arc<Folders>,
    /// The identity of this node, from which a service may derive keys of its own. Records are signed by the swarm. `None` in
    /// tests.
    pub identity: Option<Arc<Keypair>>,
    pub(crate) store: Arc<Store>,
    pub(crate) stop: CancellationToken,
}

impl Context {
    /// Creates the context of the service called `name`.
    pub fn new(
        name: &'static str,
        swarm: Swarm,
        store: Arc<Store>,
        node: watch::Receiver<Option<Node>>,
        facts: watch::Receiver<LocalFacts>,
    ) -> Self {
        let (environment, private, stop) = (Arc::default(), Arc::default(), CancellationToken::new());
        let (folders, nearby) = (Arc::default(), watch::Sender::default());
        let (wanted_files, may_leave) = (watch::Sender::default(), watch::Sender::default());
        Self {
            name,
            swarm,
            node,
            facts,
            nearby,
            wanted_files,
            listed_by: ListedBy::default(),
            may_leave,
            shared: SharedValues::default(),
            environment,
            private,
            folders,
            identity: None,
            store,
            stop,
        }
    }

    /// Returns this context with another environment and a token that ends supervised tasks.
    #[must_use]
    pub fn within(self, environment: Arc<Environment>, stop: CancellationToken) -> Self {
        Self { environment, stop, ..self }
    }

    /// Returns this context with these files and folders of the daemon itself.
    #[must_use]
    pub fn with_private(self, private: Arc<PrivatePlaces>) -> Self {
        Self { private, ..self }
    }

    /// Returns this context with another receiver of hosts at which robots were found.
    #[must_use]
    pub fn with_nearby(self, nearby: watch::Sender<Vec<Ipv4Addr>>) -> Self {
        Self { nearby, ..self }
    }

    /// Returns this context with these folders of the daemon.
    #[must_use]
    pub fn with_folders(self, folders: Arc<Folders>) -> Self {
        Self { folders, ..self }
    }

    /// Returns this context with the identity of this node.
    #[must_use]
    pub fn with_identity(self, identity: Arc<Keypair>) -> Self {
        Self { identity: Some(identity), ..self }
    }

    /// Returns this context for the service called `name`.
    #[must_use]
    pub fn named(&self, name: &'static str) -> Self {
        Self { name, ..self.clone() }
    }

    /// Returns the service's table `name` on the disk.
    pub fn table<K: TableKey, V: Serialize + DeserializeOwned>(&self, name: &str) -> Table<K, V> {
        self.store.table(format!("{}/{name}", self.name))
    }

    /// Adds `by` to a counter of [`crate::Service::METRICS`].
    pub fn count(&self, metric: &'static Metric, by: u64) {
        self.swarm.count(metric, by);
    }

    /// Returns whether a file belongs to the daemon itself or holds a key. Such files are never shared with other
    /// peers. This call blocks.
    pub fn is_private(&self, file: &Path) -> bool {
        FileId::at(file).is_some_and(|id| self.private.ids(None).contains(&id))
            || holds_key(file, self.swarm.me())
    }

    /// Returns the IPFS node.
    ///
    /// # Errors
    /// When the node is not running now.
    pub fn current_node(&self) -> Result<Node, Failure> {
        let starting = || Failure::new(FailureKind::Stopped, "the daemon's IPFS node is starting; try again");
        self.node.borrow().clone().ok_or_else(starting)
    }

    /// Runs `work` with each IPFS node in turn. The future of `work` is dropped when its node is replaced.
    ///
    /// # Errors
    /// When `work` ends with an error, or the daemon is stopping.
    pub async fn with_node<F>(&self, mut work: impl FnMut(Node) -> F) -> Result<Infallible, ServiceError>
    where
        F: Future<Output = Result<Infallible, ServiceError>>,
    {
        let mut nodes = self.node.clone();
        loop {
            let Ok(Some(node)) = nodes.wait_for(Option::is_some).await.map(|node| node.clone()) else {
                return Err(swarm::Stopped.into());
            };
            tokio::select! {
                ended = work(node) => return ended,
                _ = nodes.changed() => {}
            }
        }
    }

    /// Runs a task of the service and restarts it with backoff when it ends.
    pub async fn supervise<F, E>(&self, task: &'static str, make: impl FnMut() -> F) -> Infallible
    where
        F: Future<Output = Result<Infallible, E>> + Send + 'static,
        E: Display + Send + 'static,
    {
        let mut make = make;
        supervise(task, self.stop.clone(), move || {
            let task = make();
            async move { task.await.map(|never| match never {}) }
        })
        .await;
        // The daemon is stopping and drops this future.
        std::future::pending().await
    }
}
