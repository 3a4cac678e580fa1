//! Answers questions about the metrics of this robot, of programs on it and of other robots.

use crate::monitor::Monitor;
use crate::points::{self, values};
use crate::protocol::{Points, Value};
use crate::remote::wire::{Question, Reason, Reply};
use crate::shared_monitor::SharedMonitor;
use service::{Context, Failure, FailureKind};

/// The parts of the service that answer questions.
#[derive(Clone)]
pub(crate) struct Answering {
    pub(crate) context: Context,
    pub(crate) monitor: SharedMonitor,
}

impl Answering {
    /// Returns the present values.
    ///
    /// # Errors
    /// When the daemon is stopping.
    pub(crate) async fn values(&self) -> Result<Vec<Value>, Failure> {
        let readings = self.monitor.run(|monitor| monitor.readings()).await?;
        Ok(values(&readings))
    }

    /// Returns a part of the points of a metric.
    ///
    /// # Errors
    /// When no history is kept, the disk fails, or the daemon is stopping.
    pub(crate) async fn points(
        &self,
        metric: String,
        seconds: u64,
        after: Option<u64>,
    ) -> Result<Points, Failure> {
        let moment = self.context.swarm.read_at(|_, now| now).await?;
        let question = move |monitor: &mut Monitor| {
            monitor.points(points::Question { metric: &metric, seconds, after }, moment)
        };
        let points = self.monitor.run(question).await?;
        let points = points.map_err(|error| Failure::new(FailureKind::Disk, error))?;
        let none = "this robot keeps no history, or has not read it yet; its log says why";
        points.ok_or_else(|| Failure::new(FailureKind::Refused, none))
    }

    /// Answers another robot, which does not learn more about a failure than its reason.
    pub(crate) async fn reply(&self, question: Question) -> Reply {
        let reply = match question {
            Question::Values {} => self.values().await.map(|values| Reply::Values { values }),
            Question::Points { metric, seconds, after } => {
                self.points(metric, seconds, after).await.map(Reply::Points)
            }
        };
        reply.unwrap_or_else(|failure| Reply::Refused {
            reason: match failure.kind {
                FailureKind::Refused => Reason::NoHistory,
                _ => Reason::Failed,
            },
        })
    }
}
