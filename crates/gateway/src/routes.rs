//! The gateway as a set of routes of an HTTP server.
use std::time::Duration;

use http_server::{Handler, Refusal, RequestHead, Response, RouteSet};
use ipfs::node::Node;
use tokio::sync::watch;

use crate::answer::answer;
use crate::blocks::{Holders, Source};
use crate::content_error::ContentError;
use crate::request::{Request, USAGE};

/// Time to wait for a block that is not here, unless something else is configured.
pub const BLOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// Returns the routes of a gateway, which are the paths below `/ipfs/`, and `/ipns/` to say that it is not implemented.
///
/// Content comes from the node, while there is one. Blocks that are not here come from the holders of the root and from
/// neighbours, each within `block_timeout`.
pub fn routes(node: watch::Receiver<Option<Node>>, holders: Holders, block_timeout: Duration) -> RouteSet {
    let gateway = Gateway { node, holders, block_timeout };
    RouteSet::new(USAGE).prefix("/ipfs/", gateway.clone()).prefix("/ipns/", gateway)
}

#[derive(Clone)]
struct Gateway {
    node: watch::Receiver<Option<Node>>,
    holders: Holders,
    block_timeout: Duration,
}

impl Gateway {
    fn source(&self) -> Result<Source, ContentError> {
        let node = self.node.borrow().clone().ok_or(ContentError::NoNode)?;
        Ok(Source { node, limit: self.block_timeout, holders: self.holders.clone() })
    }
}

impl Handler for Gateway {
    async fn handle(&self, head: RequestHead) -> Result<Response, Refusal> {
        let request = Request::read(&head)?;
        Ok(answer(request, self.source()?).await?)
    }
}
