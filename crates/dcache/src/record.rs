//! A statement with the word of one signer for it. Having a [`Record`] means that its signature was verified.

use crate::{Digest, Item, Keypair, Kind, PeerId, Signature, SignatureError, Statement, Validity};
use std::sync::Arc;

/// A signed statement. There are three ways to one: sign it, verify it, or read back what was verified before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    statement: Arc<Statement>,
    signature: Signature,
}

impl Record {
    /// Signs a statement as word number `sequence` of the key's owner.
    pub fn sign(statement: Arc<Statement>, keypair: &Keypair, sequence: u64) -> Self {
        let signature = keypair.sign(sequence, statement.payload());
        Self { statement, signature }
    }

    /// The record, when the signature fits the statement.
    ///
    /// # Errors
    /// [`SignatureError::Forged`] when it does not.
    pub fn verify(statement: Arc<Statement>, signature: Signature) -> Result<Self, SignatureError> {
        signature.verify(statement.payload())?;
        Ok(Self { statement, signature })
    }

    /// A record that this node verified before it wrote it to its own disk; nothing is verified again.
    pub fn from_own_disk(statement: Arc<Statement>, signature: Signature) -> Self {
        Self { statement, signature }
    }

    /// What it says.
    pub fn statement(&self) -> &Arc<Statement> {
        &self.statement
    }

    /// Who says so, and as which of its words.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Who says so.
    pub fn signer(&self) -> PeerId {
        self.signature.signer
    }

    /// Whether it proposes or dismisses.
    pub fn kind(&self) -> Kind {
        self.statement.kind()
    }

    /// What it is about.
    pub fn item(&self) -> &Item {
        self.statement.item()
    }

    /// When it holds.
    pub fn validity(&self) -> &Validity {
        self.statement.validity()
    }

    /// What orders the words of one signer: the sequence number, and between equals, which an honest signer never
    /// makes, the payload's hash. A total order, so that all nodes keep the same one.
    pub fn order(&self) -> (u64, Digest) {
        (self.signature.sequence, *self.statement.digest())
    }
}
