//! The names of roles.

use crate::Role;
use crate::buckets::{self, Bucket, Fixed};
use std::fmt;
use std::str::FromStr;

/// Error for a text that is not the name of a role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the roles are root, admin, trusted and peer")]
pub struct RoleError;

impl Role {
    /// The roles that signed records give and take, with the bucket of each, the strongest first. Only peers with a
    /// stronger role can give a role.
    pub(crate) const GIVEN: [(Self, Bucket<Fixed>); 2] =
        [(Self::Admin, buckets::ADMIN), (Self::Trusted, buckets::TRUSTED)];

    /// Returns the role's name, which is also the path of the bucket that lists its holders.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Peer => buckets::PEER.family().path,
            Self::Trusted => buckets::TRUSTED.family().path,
            Self::Admin => buckets::ADMIN.family().path,
            // Roots have no bucket, because only the swarm file names them.
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
