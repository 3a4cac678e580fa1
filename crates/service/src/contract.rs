//! The traits that a service implements, and its error type.

use crate::{Banner, Context, NoHome};
use control::{Failure, Protocol};
use http_server::RouteSet;
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

/// A service: one crate, and one line in the daemon's list. Its name ([`Protocol::NAME`]) identifies its task, its
/// section of the configuration, its tables on the disk and its requests.
pub trait Service: Endpoint + Sized {
    /// Section of the configuration file. Every key has a default. Every field must be serialised even when it is
    /// absent, since the known keys are those of the serialised default value.
    type Settings: DeserializeOwned + Serialize + Default;

    /// Metrics that the service counts with [`Context::count`].
    const METRICS: &'static [Metric] = &[];

    /// Reads the state of the service from the disk. It is called once, before the daemon listens, and may block.
    ///
    /// # Errors
    /// When the service cannot start. Then the daemon does not start.
    fn open(context: Context, settings: Self::Settings) -> Result<Self, ServiceError>;

    /// Runs the service until the future is dropped. The daemon restarts it with backoff when it returns an error or
    /// panics.
    fn run(&self) -> impl Future<Output = Result<Infallible, ServiceError>> + Send;

    /// Publishes the last statements of the service. The daemon calls it once when it stops, while [`Self::run`] and the
    /// channels still run. It drops the future after a short time. The default publishes nothing.
    fn close(&self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Returns the pages of the service for the daemon's HTTP listener. The default has none.
    fn routes(&self) -> Option<RouteSet> {
        None
    }

    /// Returns the lines that the daemon prints about the service at its start.
    fn banner(&self) -> Banner {
        Banner::default()
    }
}

/// Reason why a service does not start or ended.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The daemon is stopping.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// The state of the service on the disk cannot be read or written.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The service needs a home folder, and there is none.
    #[error(transparent)]
    NoHome(#[from] NoHome),
    /// An error of the service's own type.
    #[error("{0}")]
    Other(#[source] Box<dyn Error + Send + Sync>),
}

impl ServiceError {
    /// Wraps an error of the service's own type.
    pub fn other(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Other(Box::new(error))
    }
}
