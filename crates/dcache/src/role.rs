//! Roles: what a peer may do beyond what everybody may.

use std::fmt;
use std::str::FromStr;

/// A role in the swarm, the weakest first. Whoever holds one may do all that the weaker ones may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Says of itself that it is there, and no admin denies it (bucket `peer`).
    Peer,
    /// Whose checks and copies count (bucket `trusted`).
    Trusted,
    /// Says who is trusted (bucket `admin`).
    Admin,
    /// Says who is admin; named in the swarm file, by nobody else. The original calls it *mama*.
    Root,
}

/// Not the name of a role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the roles are root, admin, trusted and peer")]
pub struct RoleError;

impl Role {
    /// The roles that signed records give and take, the stronger first: each is given by stronger ones only.
    pub(crate) const GIVEN: [Self; 2] = [Self::Admin, Self::Trusted];

    /// Its name, which is also that of its bucket.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Trusted => "trusted",
            Self::Admin => "admin",
            Self::Root => "root",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = RoleError;
    fn from_str(text: &str) -> Result<Self, RoleError> {
        let all = [Self::Peer, Self::Trusted, Self::Admin, Self::Root];
        all.into_iter().find(|role| role.name() == text).ok_or(RoleError)
    }
}
