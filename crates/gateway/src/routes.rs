//! The gateway as a set of routes of an HTTP server.
use std::time::Duration;

use http_server::{Handler, Refusal, RequestHead, Response, RouteSet};
use ipfs::node::Node;
use tokio::sync::watch;

use crate::answer::answer;
use crate::blocks::{Holders, Source};
use crate::content_error::ContentError;
use crate::request::{Request, USAGE};

/// Default timeout for a block that is not stored on this node.
pub const BLOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// Returns the routes of a gateway: the paths below `/ipfs/`, and `/ipns/` with the answer that it is not implemented.
///
/// While `node` is `None`, requests are answered with the status 503. Blocks that are not stored on the node are fetched
/// from the holders of the root and from neighbours. The timeout for each block is `block_timeout`.
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
