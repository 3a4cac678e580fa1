//! The roles of a swarm, and the groups of signers that rules name.

/// A role in the swarm, the weakest first. A stronger role includes all rights of the weaker ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The peer states that it is present, and no admin denies it.
    Peer,
    /// Verifies and keeps files on behalf of the other peers.
    Trusted,
    /// Gives and takes the role *trusted*.
    Admin,
    /// Gives and takes the role *admin*. Only the swarm file names roots. IPSD calls this role *mama*.
    Root,
}

/// The signers whose statements count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Every signer, with or without a role.
    Anybody,
    /// The peer whose ID is the second name of the path (`pri/ID/…`).
    Owner,
    /// The peer whose ID is the item's data, as in the bucket `peer`.
    Subject,
    /// The peers that hold this role or a stronger one.
    Role(Role),
    /// No signer at all.
    Nobody,
}
