//! A peer without a daemon: the test itself signs and sends its records.

use dcache::{End, Keypair, PeerId, Record};
use routing::{Address, Envelope};

use crate::clock::now;
use crate::error::Result;
use crate::proposal::proposal;

/// Validity of the records in seconds, longer than any test runs.
const LIFETIME: u64 = 3600;

/// A key that signs proposals, with sequence numbers from 1.
pub struct TestSigner {
    key: Keypair,
    sequence: u64,
}

impl TestSigner {
    /// Makes a signer with the key of this seed, which has not signed anything yet.
    pub fn new(seed: [u8; 32]) -> Self {
        Self { key: Keypair::from_seed(seed), sequence: 0 }
    }

    /// Returns the signer's identity.
    pub fn peer_id(&self) -> PeerId {
        self.key.peer_id()
    }

    /// Signs a proposal that is valid for one hour from the present time.
    ///
    /// # Errors
    /// When the bucket or the data is malformed.
    pub fn propose(&mut self, bucket: &str, data: &str) -> Result<Record> {
        let statement = proposal(bucket, data, now(), LIFETIME)?;
        self.sequence += 1;
        Ok(Record::sign(statement, &self.key, self.sequence, End::default()))
    }

    /// Returns a record in an envelope from this signer to every brain.
    pub fn envelope(&self, record: &Record) -> Envelope {
        Envelope::record(Address::brain(self.peer_id()), Address::every_brain(), record)
    }
}
