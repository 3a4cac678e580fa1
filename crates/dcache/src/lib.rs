//! The heart of dt-swarm.
