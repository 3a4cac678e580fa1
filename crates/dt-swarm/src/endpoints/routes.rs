//! Handler of requests about routing.

use crate::routes::{Routes, RoutesError};
use brain::{Brain, Now};
use control::{Failure, FailureKind, Protocol};
use routing::Address;
use service::Endpoint;
use swarm::Swarm;
use swarm::route_protocol::{Learned, RouteAnswer, RouteProtocol, RouteRequest};

/// Handles requests about routing.
pub(crate) struct RouteEndpoint {
    pub(crate) swarm: Swarm,
    pub(crate) routes: Routes,
}

impl Protocol for RouteEndpoint {
    const NAME: &'static str = RouteProtocol::NAME;
    type Request = RouteRequest;
    type Answer = RouteAnswer;
}

impl Endpoint for RouteEndpoint {
    async fn handle(&self, request: RouteRequest) -> Result<RouteAnswer, Failure> {
        match request {
            RouteRequest::List {} => Ok(self.swarm.ask(list).await?),
            RouteRequest::Add { rule } => done(self.routes.add(rule).await),
            RouteRequest::Remove { rule } => done(self.routes.remove(&rule).await),
            RouteRequest::Explain { address } => {
                Ok(self.swarm.ask(move |brain, now| explain(brain, now, &address)).await?)
            }
        }
    }
}

fn list(brain: &Brain, now: Now) -> RouteAnswer {
    let learned = |route: routing::LearnedRoute| Learned {
        peer: route.peer,
        via: route.via,
        cost: route.cost,
        seconds: route.age,
    };
    let table = brain.table();
    RouteAnswer::Routes {
        rules: table.rules().to_vec(),
        learned: table.learned(now.elapsed).map(learned).collect(),
        paths: brain.paths().cloned().collect(),
        forwards: brain.forwards(),
    }
}

fn explain(brain: &Brain, now: Now, address: &Address) -> RouteAnswer {
    let explanation = brain.table().explain(address, now.elapsed);
    let last = brain.explain_way(&explanation);
    let text = format!("{explanation}\n{last}");
    let steps = serde_json::to_value(&explanation).unwrap_or_default();
    RouteAnswer::Explained { text, steps, last }
}

fn done(changed: Result<(), RoutesError>) -> Result<RouteAnswer, Failure> {
    changed.map(|()| RouteAnswer::Done {}).map_err(|error| {
        let kind = match &error {
            RoutesError::Write(..) => FailureKind::Disk,
            RoutesError::Stopped(_) => FailureKind::Stopped,
            RoutesError::Table(_) | RoutesError::Absent(_) | RoutesError::Configured => FailureKind::Wrong,
        };
        Failure::new(kind, error)
    })
}
