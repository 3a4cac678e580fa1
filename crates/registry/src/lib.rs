//! A read-only registry for container images, so that the engine of this robot pulls images from other robots.
//!
//! It answers `GET` and `HEAD` of the [OCI distribution specification](https://github.com/opencontainers/distribution-spec),
//! version 1.1: `/v2/`, manifests by tag and by digest, and blobs. A [`Source`] says which images there are and gives
//! their bytes. Docker, podman and skopeo accept plain HTTP on loopback, so it needs no certificate.
//!
//! A manifest is answered only when all its blobs can be had: engines give up a pull whose blob is missing after they
//! have fetched the others. A source that gives no bytes for a while is an error, so that an engine tries another registry
//! soon.
//!
//! # In short
//! - **Inputs**: requests of an engine, the bytes of a source.
//! - **Outputs**: manifests and blobs.
//! - **Invariants**: a manifest has the digest by which it is answered; everything that is read whole is bounded.
//! - **Start reading** at `routes.rs`.

mod error;
mod manifest;
mod name;
mod range;
mod routes;
mod source;

pub use name::{Digest, NameError, Repository, Tag};
pub use routes::{Platform, Settings, routes};
pub use source::{Reader, Source, SourceError};
