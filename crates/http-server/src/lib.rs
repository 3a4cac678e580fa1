//! A small HTTP server for programs and browsers on this computer: the listener, its limits, and the routing to handlers.
//!
//! The crate is independent of the services. A server is built from a list of [`RouteSet`]s, one for each service that
//! uses HTTP:
//!
//! ```
//! use http_server::{RequestHead, Response, RouteSet, Router, body};
//!
//! async fn metrics(_head: RequestHead) -> Result<Response, http_server::Refusal> {
//!     Ok(Response::new(body::whole("up 1\n")))
//! }
//!
//! let metrics = RouteSet::new("metrics are at /metrics").exact("/metrics", metrics);
//! let router = Router::new(vec![metrics])?;
//! # Ok::<(), http_server::DuplicateRoute>(())
//! ```
//!
//! [`run_server`] listens and answers with these routes. The following rules apply to every request on every route:
//! - The number of connections is limited, both in total and for each host.
//! - The size of a request's head is limited. There are timeouts for receiving it, and for sending the answer.
//! - Only `GET` and `HEAD` are answered, and bodies of requests are not read. Changes go over the control socket.
//! - `Host` has to name this host, and pages of other sites cannot embed an answer: see [`check_head`].
//! - Every answer, including errors, has `X-Content-Type-Options: nosniff`, `Content-Security-Policy: sandbox`,
//!   `Cross-Origin-Resource-Policy: same-origin` and `Referrer-Policy: no-referrer`. A page that another peer shared can
//!   therefore run no script, and has an origin of its own.
//!
//! # In short
//! - **Inputs**: TCP connections of clients.
//! - **Outputs**: the answers of the handlers, with the headers above.
//! - **Start reading** at `router.rs`, then `check.rs`.

pub mod body;

mod check;
mod connections;
mod host;
mod listener;
mod refusal;
mod router;
mod routes;
mod settings;
mod write_timeout;

pub use body::{Body, BodySource};
pub use check::{ClientAddress, MAX_TARGET_BYTES, RequestHead, check_head, header_texts};
pub use host::is_ours;
pub use listener::{BindError, Listener, ServerError, run_server};
pub use refusal::Refusal;
pub use router::{DuplicateRoute, Router};
pub use routes::{Handler, Response, RouteSet};
pub use settings::Settings;
