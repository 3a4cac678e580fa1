//! The services of a daemon as trait objects. Opens the services, dispatches requests to them, and runs their tasks.

use crate::settings::{SettingsError, SettingsType};
use crate::{Banner, Context, Endpoint, Service, ServiceError, parse_settings};
use control::{Failure, FailureKind, Reply, RequestFrame, raw};
use http_server::RouteSet;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use telemetry::Metric;
use tokio::task::JoinSet;
use toml::Table;

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A row in the daemon's list of services.
#[derive(Clone, Copy)]
pub struct Registration {
    /// Name of the service.
    pub name: &'static str,
    /// Metrics of the service.
    pub metrics: &'static [Metric],
    settings: fn() -> SettingsType,
    open: Open,
}

/// A function that opens a service with its section of the configuration.
type Open = fn(Context, &Table) -> Result<Arc<dyn Instance>, OpenError>;

/// Reason why a service could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The section of the service in the configuration is wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The service cannot start.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

impl Registration {
    /// Creates the row of the service `S`.
    pub const fn of<S: Service>() -> Self {
        Self {
            name: S::NAME,
            metrics: S::METRICS,
            settings: SettingsType::of::<S::Settings>,
            open: open::<S>,
        }
    }

    /// Returns the type of the service's section of the configuration.
    pub fn settings(&self) -> SettingsType {
        (self.settings)()
    }
}

fn open<S: Service>(context: Context, section: &Table) -> Result<Arc<dyn Instance>, OpenError> {
    let settings = parse_settings(S::NAME, section)?;
    Ok(Arc::new(S::open(context, settings)?))
}

/// A request handler with its types erased.
trait Handler: Send + Sync {
    fn handle<'a>(&'a self, request: &'a RawValue) -> BoxFuture<'a, Reply>;
}

impl<E: Endpoint> Handler for E {
    fn handle<'a>(&'a self, request: &'a RawValue) -> BoxFuture<'a, Reply> {
        Box::pin(async move {
            let request = serde_json::from_str(request.get());
            let wrong = |error| {
                Failure::new(FailureKind::Wrong, format!("not a valid request to {}: {error}", E::NAME))
            };
            Ok(raw(&Endpoint::handle(self, request.map_err(wrong)?).await?))
        })
    }
}

/// An open service with its types erased.
trait Instance: Handler {
    fn run(self: Arc<Self>) -> BoxFuture<'static, Result<Infallible, ServiceError>>;
    fn close(&self) -> BoxFuture<'_, ()>;
    fn routes(&self) -> Option<RouteSet>;
    fn banner(&self) -> Banner;
}

impl<S: Service> Instance for S {
    fn run(self: Arc<Self>) -> BoxFuture<'static, Result<Infallible, ServiceError>> {
        Box::pin(async move { Service::run(&*self).await })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(Service::close(self))
    }

    fn routes(&self) -> Option<RouteSet> {
        Service::routes(self)
    }

    fn banner(&self) -> Banner {
        Service::banner(self)
    }
}

/// Dispatches requests by the name of their service.
#[derive(Clone, Default)]
pub struct Router(BTreeMap<&'static str, Arc<dyn Handler>>);

impl Router {
    /// Adds an endpoint of the daemon that is not a service.
    #[must_use]
    pub fn with<E: Endpoint>(mut self, endpoint: E) -> Self {
        self.0.insert(E::NAME, Arc::new(endpoint));
        self
    }

    /// Handles one request.
    ///
    /// # Errors
    /// When there is no such service, or the request failed.
    pub async fn dispatch(&self, frame: RequestFrame) -> Reply {
        let RequestFrame { service, request } = frame;
        let handler = self.0.get(service.as_str()).ok_or_else(|| self.unknown(&service))?;
        handler.handle(&request).await
    }

    fn unknown(&self, service: &str) -> Failure {
        let known = self.0.keys().copied().collect::<Vec<_>>().join(", ");
        let message = format!("this daemon has no service {service:?}; its services are {known}");
        Failure::new(FailureKind::Wrong, message)
    }
}

/// The open services of a daemon.
pub struct Services(Vec<(&'static str, Arc<dyn Instance>)>);

impl Services {
    /// Opens all services of the list, each with its section of the configuration.
    ///
    /// # Errors
    /// When a section is wrong, or a service cannot start.
    pub fn open(
        list: &[Registration],
        context: &Context,
        sections: &BTreeMap<String, Table>,
    ) -> Result<Self, OpenError> {
        let none = Table::new();
        let open = |row: &Registration| {
            let section = sections.get(row.name).unwrap_or(&none);
            Ok((row.name, (row.open)(context.named(row.name), section)?))
        };
        list.iter().map(open).collect::<Result<_, _>>().map(Self)
    }

    /// Adds all services to a router.
    #[must_use]
    pub fn route(&self, mut router: Router) -> Router {
        for (name, service) in &self.0 {
            let handler: Arc<dyn Handler> = service.clone();
            router.0.insert(name, handler);
        }
        router
    }

    /// Returns one supervised task for each service. The tasks never end by themselves; dropping a task ends it.
    pub fn tasks(&self, context: &Context) -> Vec<BoxFuture<'static, Infallible>> {
        let task = |(name, service): &(&'static str, Arc<dyn Instance>)| -> BoxFuture<'static, Infallible> {
            let (name, service, context) = (*name, service.clone(), context.clone());
            Box::pin(async move { context.supervise(name, move || service.clone().run()).await })
        };
        self.0.iter().map(task).collect()
    }

    /// Lets all services publish their last statements, at the same time. Stops waiting after `most`.
    pub async fn close(&self, most: Duration) {
        let mut closing = JoinSet::new();
        for (_, service) in self.0.clone() {
            closing.spawn(async move { service.close().await });
        }
        let all = async { while closing.join_next().await.is_some() {} };
        if tokio::time::timeout(most, all).await.is_err() {
            tracing::warn!(
                "a service did not publish its last statements in time; peers will see later that this node left"
            );
        }
    }

    /// Returns the pages of all services for the HTTP listener of the daemon.
    pub fn routes(&self) -> Vec<RouteSet> {
        self.0.iter().filter_map(|(_, service)| service.routes()).collect()
    }

    /// Returns the lines of all services in the start message of the daemon.
    pub fn banner(&self) -> Banner {
        let mut all = Banner::default();
        for banner in self.0.iter().map(|(_, service)| service.banner()) {
            all.lines.extend(banner.lines);
            all.hints.extend(banner.hints);
        }
        all
    }
}
