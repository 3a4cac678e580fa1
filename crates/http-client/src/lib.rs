//! Connections to HTTP servers, encrypted or not, and single requests with limits.
//!
//! # In short
//! - **Inputs**: addresses of servers, and bodies of requests.
//! - **Outputs**: connections ([`Connector`]), and answers of bounded size ([`post`]).
//! - **Invariants**: every wait has a limit; redirects are not followed.
//! - **Start reading** at `connect.rs`.

mod connect;
mod post;

pub use connect::{CertificatesError, ConnectError, Connector, Stream};
pub use post::{PostError, host, origin_form, post};
