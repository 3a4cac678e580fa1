//! Records: a statement with the signature of one signer. A [`Record`] exists only if its signature was verified.

use crate::{
    BucketPath, Digest, End, Item, Keypair, Kind, PeerId, Policy, Signature, SignatureError, Statement,
    SwarmId, Validity,
};
use ed25519_dalek::VerifyingKey;
use std::cmp::Ordering;
use std::sync::Arc;

/// A signed statement. A clone shares the memory of the original. A record is created by signing a statement, by
/// verifying a signature, or by reading back a record that was verified before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record(Arc<Signed>);

#[derive(Debug, PartialEq, Eq)]
#[repr(C)]
struct Signed {
    statement: Statement,
    signature: Signature,
    id: RecordId,
}

/// Identifier of a record: the first half of the SHA-256 of its signer's public key and its signature. A signature is
/// valid for a single combination of payload, sequence number and `keep`, so the identifier covers these as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(pub [u8; 16]);

impl RecordId {
    pub(crate) fn of(signature: &Signature) -> Self {
        let mut bytes = [0; 96];
        bytes[..32].copy_from_slice(signature.signer.public_key());
        bytes[32..].copy_from_slice(&signature.bytes);
        Self(*Digest::of(&bytes).as_bytes().first_chunk().unwrap_or(&[0; 16]))
    }
}

impl Record {
    fn new(statement: Statement, signature: Signature) -> Self {
        let id = RecordId::of(&signature);
        Self(Arc::new(Signed { statement, signature, id }))
    }

    /// Signs a statement with the given sequence number. `keep` is the latest [`Record::keep`] of the records that this
    /// one replaces, or the default if it replaces none. The signature is valid in the open swarm, but not in a swarm
    /// that has an ID.
    pub fn sign(statement: Statement, keypair: &Keypair, sequence: u64, keep: End) -> Self {
        Self::sign_in(None, (statement, keep), keypair, sequence)
    }

    /// Signs a statement like [`Self::sign`], but for the swarm with this policy.
    pub fn sign_for(
        policy: &Policy,
        statement: Statement,
        keypair: &Keypair,
        sequence: u64,
        keep: End,
    ) -> Self {
        let swarm = policy.domain(statement.validity());
        Self::sign_in(swarm, (statement, keep), keypair, sequence)
    }

    fn sign_in(
        swarm: Option<SwarmId>,
        (statement, keep): (Statement, End),
        keypair: &Keypair,
        sequence: u64,
    ) -> Self {
        // `keep` is written only if it is later than the end of the validity.
        let keep = if keep > statement.validity().end() { keep } else { End::default() };
        let signature = keypair.sign_in(swarm, sequence, keep, &statement.payload());
        Self::new(statement, signature)
    }

    /// Creates a record if the signature fits the statement in the open swarm.
    ///
    /// # Errors
    /// Returns [`SignatureError::Forged`] if the signature does not fit.
    pub fn verify(statement: Statement, signature: Signature) -> Result<Self, SignatureError> {
        signature.verify(&statement.payload())?;
        Ok(Self::new(statement, signature))
    }

    /// Creates a record if the signature fits the statement in the swarm with this policy.
    ///
    /// # Errors
    /// Returns [`SignatureError::Forged`] if the signature does not fit.
    pub fn verify_for(
        policy: &Policy,
        statement: Statement,
        signature: Signature,
    ) -> Result<Self, SignatureError> {
        signature.verify_in(policy.domain(statement.validity()), &statement.payload())?;
        Ok(Self::new(statement, signature))
    }

    /// Returns whether the record was signed in the swarm with this policy. This verifies the signature.
    pub fn is_signed_for(&self, policy: &Policy) -> bool {
        let swarm = policy.domain(self.validity());
        self.signature().verify_in(swarm, &self.statement().payload()).is_ok()
    }

    /// Verifies like [`Record::verify_for`], with the signer's prepared key and the swarm's ID.
    pub(crate) fn verify_with(
        key: &VerifyingKey,
        swarm: Option<SwarmId>,
        statement: Statement,
        signature: Signature,
    ) -> Result<Self, SignatureError> {
        signature.verify_with(key, swarm, &statement.payload())?;
        Ok(Self::new(statement, signature))
    }

    /// Creates a record that this node verified before it wrote the record to its own disk. The signature is not
    /// verified again.
    pub fn from_own_disk(statement: Statement, signature: Signature) -> Self {
        Self::new(statement, signature)
    }

    /// Replaces the path of the record's bucket by `bucket`, which has the same text, to save memory. Does nothing if
    /// the texts differ, or if the record has clones.
    pub(crate) fn share_bucket(&mut self, bucket: &BucketPath) {
        if let Some(signed) = Arc::get_mut(&mut self.0) {
            signed.statement.share_bucket(bucket);
        }
    }

    /// Returns the statement that was signed.
    pub fn statement(&self) -> &Statement {
        &self.0.statement
    }

    /// Returns the signature, with the signer and the sequence number.
    pub fn signature(&self) -> &Signature {
        &self.0.signature
    }

    /// Returns the record's identifier.
    pub fn id(&self) -> RecordId {
        self.0.id
    }

    /// Returns the peer that signed the record.
    pub fn signer(&self) -> PeerId {
        self.0.signature.signer
    }

    /// Returns whether the record proposes or dismisses its item.
    pub fn kind(&self) -> Kind {
        self.0.statement.kind()
    }

    /// Returns the item that the record is about.
    pub fn item(&self) -> &Item {
        self.0.statement.item()
    }

    /// Returns the time during which the record holds.
    pub fn validity(&self) -> &Validity {
        self.0.statement.validity()
    }

    /// Returns until when the record has to be remembered: the end of its validity, or a later time if it replaced a
    /// record that had to be remembered longer.
    pub fn keep(&self) -> End {
        keep(self.statement(), self.signature())
    }

    /// Returns whether the set keeps this record, and not the given statement of the same signer about the same item.
    pub fn outranks(&self, statement: &Statement, signature: &Signature) -> bool {
        rank((self.statement(), self.signature()), (statement, signature)) != Ordering::Less
    }

    /// Compares two records of one signer; the set keeps the greater. The greater record is the one that must be
    /// remembered longer. If both must be remembered equally long, it is the one with the higher sequence number. An
    /// honest signer never makes two records that are equal in both. Such records have an arbitrary order that is the
    /// same on all nodes.
    ///
    /// For an honest signer the greater record is simply the later one, because it is never forgotten before the record
    /// that it replaces. The comparison begins with the end of the remembered time so that all nodes agree. A node that
    /// drops a record for a greater one keeps the greater one until the lesser would have expired. So the content of a
    /// set depends only on the records that it received, and not on which of them it still had when others arrived.
    pub(crate) fn rank(&self, other: &Self) -> Ordering {
        rank((self.statement(), self.signature()), (other.statement(), other.signature()))
    }
}

/// Returns until when a signed statement has to be remembered.
pub(crate) fn keep(statement: &Statement, signature: &Signature) -> End {
    signature.keep.max(statement.validity().end())
}

/// Compares like [`Record::rank`], before a signature is verified.
pub(crate) fn rank(one: (&Statement, &Signature), other: (&Statement, &Signature)) -> Ordering {
    let order =
        |(statement, signature): (&Statement, &Signature)| (keep(statement, signature), signature.sequence);
    let rest = |signature: &Signature| (signature.keep, signature.bytes, signature.signer);
    let statements = || one.0.cmp(other.0);
    order(one).cmp(&order(other)).then_with(statements).then_with(|| rest(one.1).cmp(&rest(other.1)))
}
