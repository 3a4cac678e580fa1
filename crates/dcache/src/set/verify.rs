//! Verification of records from a channel before they are admitted.

use super::Set;
use crate::{PeerId, Record, Refusal, Signature, Statement, Time};

impl Set {
    /// Verifies a record from a channel: cheap checks first, the signature last. Returns `None` for a known record,
    /// without verifying its signature. Does not admit the record: call [`Set::admit_verified`] for that.
    ///
    /// # Errors
    /// Returns the reason if the record is refused.
    pub fn verify(
        &mut self,
        statement: Statement,
        signature: Signature,
        now: Time,
    ) -> Result<Option<Record>, Refusal> {
        if self.is_known(&statement, &signature) {
            return Ok(None);
        }
        self.check(&statement, &signature, now)?;
        let key = self.keys.of(signature.signer).ok_or(Refusal::Forged)?;
        let swarm = self.policy.domain(statement.validity());
        let record = Record::verify_with(&key, swarm, statement, signature).map_err(|_| Refusal::Forged)?;
        self.keys.keep(signature.signer, key);
        Ok(Some(record))
    }

    /// Returns the number of records of `signer` in the set.
    pub fn held_of(&self, signer: PeerId) -> usize {
        self.groups(signer).map(|(_, records)| records.len()).sum()
    }
}
