//! Handlers of the requests to the daemon that no service handles.

mod routes;
mod swarm;

pub(crate) use routes::RouteEndpoint;
pub(crate) use swarm::SwarmEndpoint;
