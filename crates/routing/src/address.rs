//! Addresses of IPSD: chains of parts, such as `/ip4/10.0.0.7/tcp/8000/dswarm-line/dswarm/ID/brain`.
//!
//! An address is checked once, when it is parsed. Each part that begins with a keyword of IPSD (`ip4`, `ip6`, `dns`,
//! `dns4`, `dns6`, `ipfs-pubsub`, `ipfs`, `dswarm`, `cli`) has to be complete and valid. Numbers, IP addresses, names
//! and CIDs have to be in their one usual spelling, so that equal addresses are equal texts.
//!
//! A part that begins with another word is accepted unchanged, up to the end of the address ([`Part::Other`]). The
//! nodes along a chain interpret it part by part. So a node must be able to forward parts that only a newer node at the
//! end understands.
//!
//! Texts that only name a queue, or that are to match one, need no meaning, such as IPSD's examples `/irc/*/chan/b` and
//! `/dswarm/X/brain`. Such texts are [`Segments`].

mod chain;
mod error;
mod limits;
mod multiaddress;
mod parts;
mod read;
mod segments;

pub use chain::Address;
pub use error::AddressError;
pub use limits::{MAX_ADDRESS_BYTES, MAX_HOPS};
pub use multiaddress::MultiaddressError;
pub use parts::{Content, Family, Hop, Host, Member, Node, Part, Socket, Transport, Wild};
pub use segments::Segments;

#[cfg(test)]
mod tests;
