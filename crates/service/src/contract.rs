//! The contract itself.

use crate::{Banner, Context, NoHome};
use control::{Failure, Protocol};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::convert::Infallible;
use std::error::Error;
use store::TableError;
use swarm::Stopped;
use telemetry::Metric;

/// A part of the daemon that handles requests of the control socket.
pub trait Endpoint: Protocol + Send + Sync + 'static {
    /// Handles one request. The future may be dropped when the client closes the connection.
    fn handle(&self, request: Self::Request) -> impl Future<Output = Result<Self::Answer, Failure>> + Send;
}

/// A service: one crate, and one line in the daemon's list. Its name ([`Protocol::NAME`]) names its task, its section of
/// the configuration, its tables on the disk and its requests.
pub trait Service: Endpoint + Sized {
    /// Section of the configuration file. Every key has a default. Every field must be serialised, also when it is
    /// absent: the keys of the default value are the known ones.
    type Settings: DeserializeOwned + Serialize + Default;

    /// Metrics that the service counts by [`Context::count`].
    const METRICS: &'static [Metric] = &[];

    /// Reads the state of the service from the disk. It runs once, before the daemon listens, and may block.
    ///
    /// # Errors
    /// When the service cannot start. The daemon does not start then.
    fn open(context: Context, settings: Self::Settings) -> Result<Self, ServiceError>;

    /// Works until the future is dropped. It is restarted with backoff when it returns an error or panics.
    fn run(&self) -> impl Future<Output = Result<Infallible, ServiceError>> + Send;

    /// Returns what the daemon prints about the service when it starts.
    fn banner(&self) -> Banner {
        Banner::default()
    }
}

/// Why a service does not start or ended.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The daemon is stopping.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// Its state on the disk cannot be read or written.
    #[error(transparent)]
    Table(#[from] TableError),
    /// It needs a home folder.
    #[error(transparent)]
    NoHome(#[from] NoHome),
    /// An error of its own.
    #[error("{0}")]
    Other(#[source] Box<dyn Error + Send + Sync>),
}

impl ServiceError {
    /// Wraps an error of the service's own.
    pub fn other(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Other(Box::new(error))
    }
}
