//! Addresses of IPSD: chains of parts, such as `/ip4/10.0.0.7/tcp/8000/dswarm-line/dswarm/ID/brain`.
//!
//! An address is checked once, when it is read: each part that begins with a keyword of IPSD (`ip4`, `ip6`, `dns`, `dns4`,
//! `dns6`, `ipfs-pubsub`, `ipfs`, `dswarm`, `cli`) has to be whole and right, with numbers, IP addresses, names and CIDs
//! in their one usual spelling, so that equal addresses are equal texts. What begins with anything else is taken as it
//! is, up to the end ([`Part::Other`]): a chain is understood piece by piece along the way, and a node must be able to
//! hand on what only a newer one at its end knows.
//!
//! Texts that only name a queue or are to match one, such as IPSD's examples `/irc/*/chan/b` and `/dswarm/X/brain`, need
//! no meaning: those are [`Segments`].

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
