//! Permissions: which peers and roles may reach which TCP ports of this robot.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use dcache::{PeerId, Role, Time};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use store::TableKey;

/// A role that a permission can name. The role *peer* is left out, because every robot can state that it is present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GivenRole {
    /// The role *trusted*, and the stronger ones.
    Trusted,
    /// The role *admin*, and the stronger one.
    Admin,
    /// The role *root*.
    Root,
}

/// Error for a text that is not a role that a permission can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a permission can name the roles trusted, admin and root; every robot can have the role peer")]
pub struct GivenRoleError;

/// A peer or a role that a permission names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grantee {
    /// The peer with this ID.
    Peer(PeerId),
    /// All peers that hold this role or a stronger one at the time of use.
    Role(GivenRole),
}

/// Permission for one grantee to reach one TCP port of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permission {
    /// The peer or role.
    pub grantee: Grantee,
    /// The TCP port.
    pub port: u16,
    /// Time at which the permission was given.
    pub given: Time,
    /// Time at which the permission ends; `None` is no end.
    #[serde(default)]
    pub until: Option<Time>,
    /// Number of the swarm in which a role was meant. The roles of another swarm do not count.
    pub swarm: u64,
}

/// Key of a permission: its grantee and its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PermissionKey(pub Grantee, pub u16);

impl Permission {
    /// Returns the key of the permission. There is at most one permission with each key.
    pub fn key(&self) -> PermissionKey {
        PermissionKey(self.grantee, self.port)
    }
}

impl GivenRole {
    /// Returns the role.
    pub const fn role(self) -> Role {
        match self {
            Self::Trusted => Role::Trusted,
            Self::Admin => Role::Admin,
            Self::Root => Role::Root,
        }
    }
}

impl FromStr for GivenRole {
    type Err = GivenRoleError;
    fn from_str(text: &str) -> Result<Self, GivenRoleError> {
        let all = [Self::Trusted, Self::Admin, Self::Root];
        all.into_iter().find(|role| role.role().name() == text).ok_or(GivenRoleError)
    }
}

impl fmt::Display for Grantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer(peer) => peer.fmt(f),
            Self::Role(role) => role.role().fmt(f),
        }
    }
}

/// The grantee, a space, and the port.
impl TableKey for PermissionKey {
    fn to_text(&self) -> String {
        format!("{} {}", self.0, self.1)
    }

    fn from_text(text: &str) -> Option<Self> {
        let (grantee, port) = text.split_once(' ')?;
        let role = grantee.parse().ok().map(Grantee::Role);
        let grantee = role.or_else(|| grantee.parse().ok().map(Grantee::Peer))?;
        Some(Self(grantee, port.parse().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::Keypair;

    #[test]
    fn keys_read_back_as_written() {
        let peer = Keypair::from_seed([1; 32]).peer_id();
        for grantee in [Grantee::Peer(peer), Grantee::Role(GivenRole::Admin)] {
            let key = PermissionKey(grantee, 22);
            assert_eq!(PermissionKey::from_text(&key.to_text()), Some(key));
        }
        assert_eq!(PermissionKey::from_text("peer 22"), None, "every robot can have this role");
    }
}
