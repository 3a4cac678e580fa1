//! A statement with the signature of one signer. Having a [`Record`] means that its signature was verified.

use crate::{
    BucketPath, Digest, End, Item, Keypair, Kind, PeerId, Policy, Signature, SignatureError, Statement,
    SwarmId, Validity,
};
use ed25519_dalek::VerifyingKey;
use std::cmp::Ordering;
use std::sync::Arc;

/// A signed statement; a clone is the same one. There are three ways to one: sign it, verify it, or read back what was
/// verified before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record(Arc<Signed>);

#[derive(Debug, PartialEq, Eq)]
#[repr(C)]
struct Signed {
    statement: Statement,
    signature: Signature,
    id: RecordId,
}

/// Names one record: the first half of the SHA-256 of its signer's public key and its signature. A signature fits one
/// payload, sequence number and end only, so these are covered as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(pub [u8; 16]);

impl RecordId {
    fn of(signature: &Signature) -> Self {
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

    /// Signs a statement as record number `sequence` of the key's owner. `keep` is the longest [`Record::keep`] of the
    /// records that it replaces; the default when it replaces none. It counts in the open swarm, and in no swarm that has an
    /// ID.
    pub fn sign(statement: Statement, keypair: &Keypair, sequence: u64, keep: End) -> Self {
        Self::sign_in(None, (statement, keep), keypair, sequence)
    }

    /// As [`Self::sign`], for the swarm with this policy.
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
        // Said only when it says more than the validity does.
        let keep = if keep > statement.validity().end() { keep } else { End::default() };
        let signature = keypair.sign_in(swarm, sequence, keep, &statement.payload());
        Self::new(statement, signature)
    }

    /// The record, when the signature fits the statement in the open swarm.
    ///
    /// # Errors
    /// [`SignatureError::Forged`] when it does not.
    pub fn verify(statement: Statement, signature: Signature) -> Result<Self, SignatureError> {
        signature.verify(&statement.payload())?;
        Ok(Self::new(statement, signature))
    }

    /// The record, when the signature fits the statement in the swarm with this policy.
    ///
    /// # Errors
    /// [`SignatureError::Forged`] when it does not.
    pub fn verify_for(
        policy: &Policy,
        statement: Statement,
        signature: Signature,
    ) -> Result<Self, SignatureError> {
        signature.verify_in(policy.domain(statement.validity()), &statement.payload())?;
        Ok(Self::new(statement, signature))
    }

    /// Returns whether the record was signed in the swarm with this policy. Verifies the signature.
    pub fn is_signed_for(&self, policy: &Policy) -> bool {
        let swarm = policy.domain(self.validity());
        self.signature().verify_in(swarm, &self.statement().payload()).is_ok()
    }

    /// As [`Record::verify_for`], with the signer's key and the swarm's ID at hand.
    pub(crate) fn verify_with(
        key: &VerifyingKey,
        swarm: Option<SwarmId>,
        statement: Statement,
        signature: Signature,
    ) -> Result<Self, SignatureError> {
        signature.verify_with(key, swarm, &statement.payload())?;
        Ok(Self::new(statement, signature))
    }

    /// A record that this node verified before it wrote it to its own disk; nothing is verified again.
    pub fn from_own_disk(statement: Statement, signature: Signature) -> Self {
        Self::new(statement, signature)
    }

    /// Lets its bucket's path lie in the same memory as `bucket`, if that is its bucket and nobody else has this record.
    pub(crate) fn share_bucket(&mut self, bucket: &BucketPath) {
        if let Some(signed) = Arc::get_mut(&mut self.0) {
            signed.statement.share_bucket(bucket);
        }
    }

    /// What it says.
    pub fn statement(&self) -> &Statement {
        &self.0.statement
    }

    /// Who signed it, and as which of its records.
    pub fn signature(&self) -> &Signature {
        &self.0.signature
    }

    /// What names it.
    pub fn id(&self) -> RecordId {
        self.0.id
    }

    /// Who says so.
    pub fn signer(&self) -> PeerId {
        self.0.signature.signer
    }

    /// Whether it proposes or dismisses.
    pub fn kind(&self) -> Kind {
        self.0.statement.kind()
    }

    /// What it is about.
    pub fn item(&self) -> &Item {
        self.0.statement.item()
    }

    /// When it holds.
    pub fn validity(&self) -> &Validity {
        self.0.statement.validity()
    }

    /// Until when it has to be remembered: to the end of its validity, or longer if it replaced a longer record.
    pub fn keep(&self) -> End {
        keep(self.statement(), self.signature())
    }

    /// Whether this record stays rather than a signed statement of the same signer about the same item.
    pub fn outranks(&self, statement: &Statement, signature: &Signature) -> bool {
        rank((self.statement(), self.signature()), (statement, signature)) != Ordering::Less
    }

    /// Which of two records of one signer stays, the greater: the one to be remembered longer; of equals the one with the
    /// higher sequence number; of equals still, which an honest signer never makes, any that all nodes agree on.
    ///
    /// For an honest signer that is simply the later record, since it is never to be forgotten before the one that it
    /// replaces. The end comes first because of all others: whoever drops a record for a greater one will not forget the
    /// greater one before the lesser would have been over. So what a set holds at any time depends only on the records
    /// that it saw, and not on which of them were still there when others came.
    pub(crate) fn rank(&self, other: &Self) -> Ordering {
        rank((self.statement(), self.signature()), (other.statement(), other.signature()))
    }
}

/// Until when a signed statement has to be remembered.
pub(crate) fn keep(statement: &Statement, signature: &Signature) -> End {
    signature.keep.max(statement.validity().end())
}

/// [`Record::rank`], before a signature is verified.
pub(crate) fn rank(one: (&Statement, &Signature), other: (&Statement, &Signature)) -> Ordering {
    let order =
        |(statement, signature): (&Statement, &Signature)| (keep(statement, signature), signature.sequence);
    let rest = |signature: &Signature| (signature.keep, signature.bytes, signature.signer);
    let statements = || one.0.cmp(other.0);
    order(one).cmp(&order(other)).then_with(statements).then_with(|| rest(one.1).cmp(&rest(other.1)))
}
