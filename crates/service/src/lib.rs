//! The contract between the daemon and its services.
//!
//! A service is one crate. It implements [`Service`]: a section of the configuration, requests and answers on the
//! control socket, and a task that the daemon supervises. Its decisions are made by a [`Decide`]r, a pure state machine
//! over the set. The daemon runs the decider in a [`DecisionLoop`]; the simulator runs the same decider in virtual
//! time. A [`Context`] gives the service the running swarm, tables on the disk, the IPFS node, metrics and faults. Long
//! work is a job ([`Jobs`]).
//!
//! `docs/add-a-service.md` is a tutorial. It explains a complete service, `examples/heartbeat.rs`.
//!
//! # In short
//! - **Inputs**: the set, requests of clients, and sections of the configuration.
//! - **Outputs**: statements, answers, metrics, and actions of deciders.
//! - **Invariants**: a statement is on the disk before it is published; a durable job survives a restart; a
//!   service that ends is restarted with backoff.
//! - **Start reading** at `contract.rs`, `decide.rs` and `jobs.rs`.

mod banner;
mod context;
mod contract;
mod decide;
mod decision_loop;
mod facts;
mod handover;
mod jobs;
mod listed_by;
mod open_questions;
mod permission_file;
mod private;
mod providers;
mod random;
mod registry;
mod settings;
mod shared_values;
mod supervise;
mod wake;
mod wanted_files;

pub use banner::Banner;
pub use context::{Context, Environment, Folders, NoHome};
pub use contract::{Endpoint, Service, ServiceError};
pub use control::{Failure, FailureKind, MAX_ANSWER_BYTES, MAX_PAGE_ROWS, Places, Protocol, page};
pub use decide::{Decide, Decision};
pub use decision_loop::DecisionLoop;
pub use facts::LocalFacts;
pub use handover::{Handover, HandoverError};
pub use jobs::{
    Job, JobEnd, JobError, JobKind, JobNumber, JobRow, JobState, JobStatus, Jobs, Progress, ProgressReporter,
};
pub use listed_by::ListedBy;
pub use open_questions::OpenQuestions;
pub use permission_file::PermissionFile;
pub use private::{FileId, Overlap, PrivatePlace, PrivatePlaces, holds_key};
pub use providers::{
    MAX_ADDRESSES, MAX_HOLDERS, ProviderSearch, ProviderTable, choose_holders, concerns_providers,
    holders_of, parse_provider, provider, providers_of, published_addresses,
};
pub use random::random;
pub use registry::{OpenError, Registration, Router, Services};
pub use settings::{SettingsError, SettingsType, nearest, parse_settings};
pub use shared_values::SharedValues;
pub use supervise::supervise;
pub use wanted_files::WantedFiles;

/// Imports that most services need.
pub mod prelude {
    pub use crate::{
        Context, Decide, Decision, DecisionLoop, Endpoint, Failure, JobKind, JobNumber, JobStatus, Jobs,
        ProgressReporter, Protocol, Registration, Service, ServiceError,
    };
    pub use swarm::Swarm;
    pub use telemetry::Metric;
}
