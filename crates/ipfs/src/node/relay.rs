//! Circuit relay v2: this node as a relay for others ([`server`]), and its own slots at relays ([`slots`]).
pub(super) mod server;
pub(super) mod slots;
