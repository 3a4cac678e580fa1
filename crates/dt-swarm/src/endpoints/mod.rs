//! Handlers of requests to the daemon that belong to no service.

mod routes;
mod swarm;

pub(crate) use routes::RouteEndpoint;
pub(crate) use swarm::SwarmEndpoint;
