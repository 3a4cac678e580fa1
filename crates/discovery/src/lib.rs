//! Discovery: what this node says of itself, so that others find it by name and know where it can be reached.
//!
//! What to say is decided by a pure function over the set ([`statements`]); the shell [`run_announcer`] says it.

mod announce;
mod claims;

pub use announce::{AnnounceError, run_announcer, statements};
pub use claims::{Claim, Facts, claims};
