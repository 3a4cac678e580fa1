//! Verification of records from a channel before they are admitted.

use super::Set;
use crate::{PeerId, Record, Refusal, Signature, Statement, Time, VerifiedRecords};

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
        let swarm = self.policy.domain(statement.validity());
        let known = self.verified.as_ref().and_then(|verified| verified.get(swarm, &statement, &signature));
        if known.is_some() {
            return Ok(known);
        }
        let key = self.keys.of(signature.signer).ok_or(Refusal::Forged)?;
        let record = Record::verify_with(&key, swarm, statement, signature).map_err(|_| Refusal::Forged)?;
        self.keys.keep(signature.signer, key);
        if let Some(verified) = &self.verified {
            verified.keep(swarm, &record);
        }
        Ok(Some(record))
    }

    /// Lets this set take over the verifications of other sets in this process, and theirs take over its own. A
    /// simulator uses this.
    pub fn share_verified(&mut self, verified: VerifiedRecords) {
        self.verified = Some(verified);
    }

    /// Returns the number of records of `signer` in the set.
    pub fn held_of(&self, signer: PeerId) -> usize {
        self.groups(signer).map(|(_, records)| records.len()).sum()
    }
}
