//! Parts of the daemon that handle requests and are not services.

mod routes;
mod swarm;

pub(crate) use routes::RouteEndpoint;
pub(crate) use swarm::SwarmEndpoint;
