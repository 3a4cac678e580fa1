//! The I/O shell of the service: its settings, its requests, and its supervised tasks.

use crate::downloads::Downloads;
use crate::neighbours::run_neighbours;
use crate::protocol::{Answer, Request};
use crate::runner::run_downloads;
use crate::{Limit, Limits, Rates};
use ipfs::node::Node;
use serde::{Deserialize, Serialize};
use service::{Context, Endpoint, Failure, FailureKind, Protocol, Service, ServiceError};
use std::convert::Infallible;
use tokio::sync::watch;

/// The section `[transfers]` of the configuration: rates per second, such as `500kB` or `16Mbit`. A rate applies until
/// a user sets another one.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Maximum rate to peers on this host's networks.
    pub lan_up: Limit,
    /// Maximum rate from peers on this host's networks.
    pub lan_down: Limit,
    /// Maximum rate to all other peers.
    pub wan_up: Limit,
    /// Maximum rate from all other peers.
    pub wan_down: Limit,
}

impl Default for Settings {
    fn default() -> Self {
        Self { lan_up: Limit::None, lan_down: Limit::None, wan_up: Limit::None, wan_down: Limit::None }
    }
}

/// The service `transfers`.
pub struct Transfers {
    context: Context,
    downloads: Downloads,
    rates: Rates,
}

impl Protocol for Transfers {
    const NAME: &'static str = "transfers";
    type Request = Request;
    type Answer = Answer;
}

impl Endpoint for Transfers {
    async fn handle(&self, request: Request) -> Result<Answer, Failure> {
        match request {
            Request::Fetch(order) => self.downloads.order(order).await,
            Request::Show { job } => self.downloads.show(job),
            Request::List {} => Ok(self.downloads.show_all()),
            Request::Cancel { download } => self.downloads.cancel(&download).await,
            Request::Read { job, offset } => self.downloads.read(job, offset).await,
            Request::Collected { job } => self.downloads.collected(job).await,
            Request::Limits {} => Ok(self.limits().await),
            Request::SetLimits(limits) => {
                self.rates.set(limits).await.map_err(|error| Failure::new(FailureKind::Disk, error))?;
                Ok(self.limits().await)
            }
        }
    }
}

impl Service for Transfers {
    type Settings = Settings;

    fn open(context: Context, settings: Settings) -> Result<Self, ServiceError> {
        let Settings { lan_up, lan_down, wan_up, wan_down } = settings;
        let rates = Rates::open(context.table("limits"), Limits { lan_up, lan_down, wan_up, wan_down })?;
        Ok(Self { downloads: Downloads::open(context.clone())?, context, rates })
    }

    async fn run(&self) -> Result<Infallible, ServiceError> {
        self.context.with_node(|node| self.run_with(node)).await
    }
}

impl Transfers {
    async fn run_with(&self, node: Node) -> Result<Infallible, ServiceError> {
        let (downloads, of_downloads) = (self.downloads.clone(), node.clone());
        let fetching = self
            .context
            .supervise("downloads", move || run_downloads(downloads.clone(), of_downloads.clone()));
        let (swarm, of_neighbours) = (self.context.swarm.clone(), node.clone());
        let neighbours = self
            .context
            .supervise("neighbours", move || run_neighbours(swarm.clone(), of_neighbours.clone()));
        tokio::select! {
            never = fetching => match never {},
            never = neighbours => match never {},
            never = apply_limits(node, self.rates.current()) => match never {},
        }
    }

    async fn limits(&self) -> Answer {
        let (now, set) = self.rates.show().await;
        Answer::Limits { now, set }
    }
}

/// Applies the current limits to the node, whenever they change.
async fn apply_limits(node: Node, mut rates: watch::Receiver<ipfs::node::Rates>) -> Infallible {
    loop {
        let now = *rates.borrow_and_update();
        node.limit(now);
        if rates.changed().await.is_err() {
            // The service that owns the limits is being dropped, and this future with it.
            return std::future::pending().await;
        }
    }
}
