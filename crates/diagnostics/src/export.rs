//! The page `/metrics` of the HTTP listener, for Prometheus.

use crate::exposition::{MEDIA_TYPE, exposition};
use crate::shared_monitor::SharedMonitor;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http_server::{ClientAddress, Handler, Refusal, RequestHead, Response, body};
use swarm::Swarm;

/// Answers requests for `/metrics`.
pub(crate) struct Exporter {
    pub(crate) swarm: Swarm,
    pub(crate) monitor: SharedMonitor,
    /// Whether other hosts are answered.
    pub(crate) is_for_others: bool,
}

impl Handler for Exporter {
    async fn handle(&self, head: RequestHead) -> Result<Response, Refusal> {
        let client = head.extensions.get::<ClientAddress>();
        if !self.is_for_others && !client.is_some_and(|client| client.0.to_canonical().is_loopback()) {
            let message = "only programs on this robot may read its metrics; `metrics_for_others` in the section \
                           [diagnostics] of the configuration changes this";
            return Err(Refusal::forbidden(message));
        }
        let failed = |error: &dyn std::fmt::Display| Refusal::internal(error.to_string());
        let readings =
            self.monitor.run(|monitor| monitor.readings()).await.map_err(|error| failed(&error))?;
        let status = self.swarm.ask(|brain, now| brain.status(now)).await.map_err(|error| failed(&error))?;
        let mut response = Response::new(body::whole(exposition(&readings, &status.counters)));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }
}
