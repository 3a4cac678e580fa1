//! The roles of a swarm, and who may state something.

/// A role in the swarm, the weakest first. A stronger role includes all rights of the weaker ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// States that it is there, and no admin denies it.
    Peer,
    /// Checks and keeps files on behalf of the others.
    Trusted,
    /// Gives and takes the role *trusted*.
    Admin,
    /// Gives and takes the role *admin*. Only the swarm file names roots. The original calls this role *mama*.
    Root,
}

/// The signers whose statements count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Every signer.
    Anybody,
    /// The peer whose ID is the second name of the path (`pri/ID/…`).
    Owner,
    /// The peer whose ID is the item's data, as in the bucket of peers that are there.
    Subject,
    /// The peers that hold this role or a stronger one.
    Role(Role),
    /// No signer.
    Nobody,
}
