//! The I/O shell of the service: runs the decider whenever the facts about the node change.

use crate::Announcer;
use crate::protocol::{Answer, Request};
use serde::{Deserialize, Serialize};
use service::{Context, DecisionLoop, Endpoint, Failure, Protocol, Service, ServiceError};
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::sleep;

/// Time in which changed facts are gathered for one decision. When a network comes up, several facts change at once.
const GATHER: Duration = Duration::from_millis(100);

/// The section `[discovery]` of the configuration. It has no keys yet.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {}

/// The service `discovery`.
pub struct Discovery {
    context: Context,
}

impl Protocol for Discovery {
    const NAME: &'static str = "discovery";
    type Request = Request;
    type Answer = Answer;
}

impl Endpoint for Discovery {
    async fn handle(&self, request: Request) -> Result<Answer, Failure> {
        match request {
            Request::Robots { .. } => Ok(Answer::Robots { robots: Vec::new() }),
            Request::Doctor { peer } => {
                let findings = crate::doctor::diagnose(&self.context, peer).await?;
                Ok(Answer::Findings { findings })
            }
        }
    }
}

impl Service for Discovery {
    type Settings = Settings;

    fn open(context: Context, _settings: Settings) -> Result<Self, ServiceError> {
        Ok(Self { context })
    }

    async fn run(&self) -> Result<Infallible, ServiceError> {
        let mut facts = self.context.facts.clone();
        let swarm = self.context.swarm.clone();
        let mut copied = swarm.is_copied();
        let announcer = Announcer::new(swarm.me(), facts.borrow_and_update().clone());
        // No record triggers a decision, since statements of other peers do not change the claims of this node.
        let mut decisions = DecisionLoop::new(swarm, announcer, |_| false, GATHER);
        loop {
            decisions.decide().await?;
            tokio::select! {
                Ok(()) = facts.changed() => sleep(GATHER).await,
                Ok(()) = copied.changed() => {}
                () = decisions.changed() => {}
            }
            let mut announcer = decisions.decider();
            announcer.set_facts(facts.borrow_and_update().clone());
            announcer.set_copied(*copied.borrow_and_update());
        }
    }
}
