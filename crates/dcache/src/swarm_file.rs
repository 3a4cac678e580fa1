//! The swarm file: the text whose copies define a swarm. All nodes with the same file have the same roots and the same
//! policy.
//!
//! ```toml
//! name = "class of 2027"
//! id = "5f0c…"                   # 32 hexadecimal digits: signatures are bound to it, so it stays when the roots change
//! bound_from = 1800000000        # only if the id was added later: earlier statements are signed without it
//! roots = ["12D3KooW…"]          # the peers that name the admins
//! root_threshold = 1             # number of roots that must agree to make an admin
//! bootstrap = ["/ip4/…"]         # addresses of peers outside the local network
//! key = "…"                      # optional: only nodes with the key can read and send; keep the file secret then
//!
//! [[rule]]                       # takes precedence over the rules of IPSD; the first matching rule applies
//! bucket = "share/verified"      # this bucket and all buckets below it
//! propose = "trusted"            # anybody, owner, subject, peer, trusted, admin, root, nobody
//! propose_threshold = 2
//! dismiss = "admin"
//! ```

use crate::authority::is_of_role;
use crate::buckets;
use crate::{
    Binding, BucketError, PeerId, PeerIdError, Policy, Requirement, Role, Rule, SwarmIdError, Time, Who,
};
use seal::{KeyError, SwarmKey};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::num::NonZeroU8;

/// Maximum size, in bytes, of a swarm file.
pub const MAX_SWARM_FILE_BYTES: usize = 64 * 1024;
/// Maximum size, in bytes, of a swarm's name.
const MAX_NAME: usize = 64;
/// Maximum number of roots.
const MAX_ROOTS: usize = 16;
/// Maximum number of addresses, and maximum size, in bytes, of one address.
const MAX_BOOTSTRAP: (usize, usize) = (32, 256);
/// Maximum number of rules.
const MAX_RULES: usize = 64;

/// A swarm: its name, its roots, the addresses of peers in it, and its own rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwarmFile {
    name: String,
    binding: Option<Binding>,
    roots: BTreeSet<PeerId>,
    root_threshold: NonZeroU8,
    bootstrap: Vec<String>,
    key: Option<SwarmKey>,
    rules: Vec<Rule>,
}

/// Reason why a text is not a swarm file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SwarmFileError {
    /// The text is over the size limit and was not parsed.
    #[error("a swarm file has at most {MAX_SWARM_FILE_BYTES} bytes, not {0}")]
    Length(usize),
    /// The text is not TOML, or keys are missing or unknown.
    #[error("{0}")]
    Shape(String),
    /// The name is empty, too long, or has control characters.
    #[error("a swarm's name has 1 to {MAX_NAME} bytes and no control characters")]
    Name,
    /// The swarm has no roots, or too many.
    #[error("a swarm has 1 to {MAX_ROOTS} roots, not {0}")]
    Roots(usize),
    /// A root is not the ID of a peer that can sign.
    #[error("root {0:?}: {1}")]
    Root(String, #[source] PeerIdError),
    /// The threshold is higher than the number of roots.
    #[error("root_threshold is {0}, but there are {1} roots")]
    Threshold(u8, usize),
    /// There are too many addresses, or one is too long.
    #[error("bootstrap has at most {} addresses of at most {} bytes", MAX_BOOTSTRAP.0, MAX_BOOTSTRAP.1)]
    Bootstrap,
    /// The ID is malformed.
    #[error("id: {0}")]
    Id(#[from] SwarmIdError),
    /// A `bound_from` is given, but no ID.
    #[error("bound_from requires an id")]
    Unbound,
    /// The key is malformed. The error does not show the text, which may be a secret with a typing mistake.
    #[error("key: {0}")]
    Key(#[from] KeyError),
    /// There are too many rules.
    #[error("a swarm has at most {MAX_RULES} rules, not {0}")]
    Rules(usize),
    /// The bucket of a rule is malformed.
    #[error("rule for {0:?}: {1}")]
    Bucket(String, #[source] BucketError),
    /// A rule names unknown signers.
    #[error(
        "rule for {0:?}: {1:?} is not one of anybody, owner, subject, peer, trusted, admin, root, nobody"
    )]
    Who(String, String),
    /// A rule would let the holders of a role give it to other peers, or let a peer make statements about another
    /// peer's host.
    #[error("rule for {0:?}: {1}")]
    Unsafe(String, &'static str),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bound_from: Option<Time>,
    roots: Vec<String>,
    #[serde(default = "one")]
    root_threshold: NonZeroU8,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    bootstrap: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rule: Vec<Row>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    bucket: String,
    propose: String,
    #[serde(default = "one")]
    propose_threshold: NonZeroU8,
    dismiss: String,
    #[serde(default = "one")]
    dismiss_threshold: NonZeroU8,
}

fn one() -> NonZeroU8 {
    NonZeroU8::MIN
}

impl SwarmFile {
    /// Creates a swarm with these roots and the rules of IPSD. Each root alone can make an admin.
    ///
    /// # Errors
    /// Returns an error if the name or the number of roots is out of bounds.
    pub fn new(name: &str, roots: BTreeSet<PeerId>) -> Result<Self, SwarmFileError> {
        let (name, root_threshold, binding) = (name.to_owned(), NonZeroU8::MIN, None);
        Self { name, binding, roots, root_threshold, bootstrap: Vec::new(), key: None, rules: Vec::new() }
            .checked()
    }

    /// Parses the text of a swarm file.
    ///
    /// # Errors
    /// Returns an error if the text is not a swarm file, or a part of it is out of bounds.
    pub fn parse(text: &str) -> Result<Self, SwarmFileError> {
        if text.len() > MAX_SWARM_FILE_BYTES {
            return Err(SwarmFileError::Length(text.len()));
        }
        let file: File = toml::from_str(text).map_err(|error| wrong_shape(text, &error))?;
        let File { name, id, bound_from, roots, root_threshold, bootstrap, key, rule } = file;
        if roots.len() > MAX_ROOTS {
            return Err(SwarmFileError::Roots(roots.len()));
        }
        let root = |text: String| text.parse().map_err(|error| SwarmFileError::Root(text, error));
        let roots = roots.into_iter().map(root).collect::<Result<_, _>>()?;
        let rules = rule.into_iter().map(read_rule).collect::<Result<_, _>>()?;
        let key = key.map(|key| key.parse()).transpose()?;
        let binding = match (id, bound_from) {
            (None, Some(_)) => return Err(SwarmFileError::Unbound),
            (id, from) => id.map(|id| id.parse().map(|id| Binding { id, from: from.unwrap_or_default() })),
        };
        let binding = binding.transpose()?;
        Self { name, binding, roots, root_threshold, bootstrap, key, rules }.checked()
    }

    /// Returns the same swarm with signatures bound to this ID.
    #[must_use]
    pub fn with_binding(self, binding: Binding) -> Self {
        Self { binding: Some(binding), ..self }
    }

    /// Returns the same swarm with these roots.
    ///
    /// # Errors
    /// Returns an error if the number of roots is out of bounds.
    pub fn with_roots(self, roots: BTreeSet<PeerId>) -> Result<Self, SwarmFileError> {
        Self { roots, ..self }.checked()
    }

    /// Returns the same swarm, restricted to nodes that have this key.
    #[must_use]
    pub fn with_key(self, key: SwarmKey) -> Self {
        Self { key: Some(key), ..self }
    }

    fn checked(self) -> Result<Self, SwarmFileError> {
        if self.name.is_empty() || self.name.len() > MAX_NAME || self.name.chars().any(char::is_control) {
            return Err(SwarmFileError::Name);
        }
        if self.roots.is_empty() || self.roots.len() > MAX_ROOTS {
            return Err(SwarmFileError::Roots(self.roots.len()));
        }
        if usize::from(self.root_threshold.get()) > self.roots.len() {
            return Err(SwarmFileError::Threshold(self.root_threshold.get(), self.roots.len()));
        }
        let is_long = |address: &String| address.len() > MAX_BOOTSTRAP.1;
        if self.bootstrap.len() > MAX_BOOTSTRAP.0 || self.bootstrap.iter().any(is_long) {
            return Err(SwarmFileError::Bootstrap);
        }
        if self.rules.len() > MAX_RULES {
            return Err(SwarmFileError::Rules(self.rules.len()));
        }
        self.rules.iter().try_for_each(check_rule)?;
        Ok(self)
    }

    /// Returns the name of the swarm, for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the binding of signatures, or `None` for a file that was made before the introduction of IDs.
    pub fn binding(&self) -> Option<Binding> {
        self.binding
    }

    /// Returns the addresses of peers outside the local network.
    pub fn bootstrap(&self) -> &[String] {
        &self.bootstrap
    }

    /// Returns the key of the swarm, or `None` if every node may read and send.
    pub fn key(&self) -> Option<&SwarmKey> {
        self.key.as_ref()
    }

    /// Returns the policy of the swarm.
    pub fn policy(&self) -> Policy {
        Policy::new(self.roots.clone(), self.rules.clone(), self.root_threshold).bound(self.binding)
    }

    /// Returns the text of the file.
    #[expect(
        clippy::expect_used,
        reason = "a struct of texts, numbers and lists can always be written as TOML"
    )]
    pub fn to_toml(&self) -> String {
        let file = File {
            name: self.name.clone(),
            id: self.binding.map(|binding| binding.id.to_string()),
            bound_from: self.binding.map(|binding| binding.from).filter(|from| *from != Time::default()),
            roots: self.roots.iter().map(PeerId::to_string).collect(),
            root_threshold: self.root_threshold,
            bootstrap: self.bootstrap.clone(),
            key: self.key.as_ref().map(SwarmKey::reveal),
            rule: self.rules.iter().map(write_rule).collect(),
        };
        toml::to_string(&file).expect("a swarm file can be written as TOML")
    }
}

/// Converts a parser error. The message quotes the wrong line, but if the text may contain a key, it gives only the
/// number of the line.
fn wrong_shape(text: &str, error: &toml::de::Error) -> SwarmFileError {
    if !text.contains("key") {
        return SwarmFileError::Shape(error.to_string());
    }
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = 1 + before.matches('\n').count();
    SwarmFileError::Shape(format!("line {line}: {}", error.message()))
}

fn read_rule(row: Row) -> Result<Rule, SwarmFileError> {
    let prefix = row.bucket.parse().map_err(|error| SwarmFileError::Bucket(row.bucket.clone(), error))?;
    let who =
        |text: &String| read_who(text).ok_or_else(|| SwarmFileError::Who(row.bucket.clone(), text.clone()));
    let propose = Requirement { who: who(&row.propose)?, threshold: row.propose_threshold };
    let dismiss = Requirement { who: who(&row.dismiss)?, threshold: row.dismiss_threshold };
    Ok(Rule { prefix, propose, dismiss })
}

fn write_rule(rule: &Rule) -> Row {
    Row {
        bucket: rule.prefix.to_string(),
        propose: write_who(rule.propose.who),
        propose_threshold: rule.propose.threshold,
        dismiss: write_who(rule.dismiss.who),
        dismiss_threshold: rule.dismiss.threshold,
    }
}

const WHO: [(&str, Who); 4] =
    [("anybody", Who::Anybody), ("owner", Who::Owner), ("subject", Who::Subject), ("nobody", Who::Nobody)];

fn read_who(text: &str) -> Option<Who> {
    let plain = WHO.iter().find(|(name, _)| *name == text).map(|(_, who)| *who);
    plain.or_else(|| text.parse().ok().map(Who::Role))
}

fn write_who(who: Who) -> String {
    match who {
        Who::Role(role) => role.name().to_owned(),
        plain => WHO.iter().find(|(_, other)| *other == plain).map_or("nobody", |(name, _)| name).to_owned(),
    }
}

/// Returns whether the buckets below this name have the same rights in every swarm.
fn is_fixed(first: &str) -> bool {
    [buckets::PEER.family(), buckets::PRIVATE.family()].iter().any(|family| family.tree().as_str() == first)
}

/// Checks that only stronger roles give a role, and that the rules for `peer` and `pri` are unchanged, because every
/// reader relies on them.
fn check_rule(rule: &Rule) -> Result<(), SwarmFileError> {
    let is_wrong = |why| Err(SwarmFileError::Unsafe(rule.prefix.to_string(), why));
    let first = rule.prefix.names().next().unwrap_or_default();
    let stronger = |who: Who, than: Role| matches!(who, Who::Role(role) if role > than);
    if is_fixed(first) {
        return is_wrong(
            "buckets in which peers make statements about themselves have the same rule in every swarm",
        );
    }
    let given = Role::GIVEN.into_iter().find(|(role, _)| role.name() == first);
    if let Some((role, _)) = given
        && !(is_of_role(&rule.prefix) && stronger(rule.propose.who, role) && stronger(rule.dismiss.who, role))
    {
        return is_wrong("only stronger roles may give or take a role");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
