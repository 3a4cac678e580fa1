//! The control socket, and the handlers of the requests that no service handles.

mod identity;
mod routes;
mod swarm;

pub(crate) use identity::IdentityEndpoint;
pub(crate) use routes::RouteEndpoint;
pub(crate) use swarm::SwarmEndpoint;

use control::{BindError, Listener};
use service::Router;
use std::convert::Infallible;
use std::path::PathBuf;

/// Reason why the control socket is not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("the control socket cannot accept connections: {0}")]
    Accept(#[from] std::io::Error),
}

/// Serves the requests on the control socket. Ends only with an error.
pub(crate) async fn serve_control(router: Router, path: PathBuf) -> Result<Infallible, ControlError> {
    let listener = Listener::open(&path)?;
    let handle = move |frame| {
        let router = router.clone();
        async move { router.dispatch(frame).await }
    };
    Ok(control::serve(listener, handle).await?)
}
