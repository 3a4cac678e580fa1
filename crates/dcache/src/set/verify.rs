//! Checking what a channel brought before it is taken in.

use super::Set;
use crate::{PeerId, Record, Refusal, Signature, Statement, Time};

impl Set {
    /// Checks what a channel brought: cheap checks first, the signature last, and not at all for what is known, for which
    /// it returns `None`. Nothing is taken in: see [`Set::admit_verified`].
    ///
    /// # Errors
    /// When the record is refused, with the reason.
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

    /// Returns the number of records of `signer` that are held.
    pub fn held_of(&self, signer: PeerId) -> usize {
        self.groups(signer).map(|(_, records)| records.len()).sum()
    }
}
