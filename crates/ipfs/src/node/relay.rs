//! Circuit relay v2: this node as a relay for others ([`server`], [`served`]), and its own slots at relays ([`slots`]).
pub(super) mod served;
pub(super) mod server;
pub(super) mod slots;
