//! Proof of an identity: a peer signs a random challenge, which shows that it has the key of its peer ID now.

use crate::{Keypair, PeerId};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Number of random bytes of a challenge.
pub const CHALLENGE_BYTES: usize = 32;
/// Domain tag of proofs. Because of it, a proof is not valid for a record, and no record is a proof.
const DOMAIN: &[u8] = b"dt-swarm identity proof v1\0";

/// Defines bytes of a fixed number with their form in JSON: base64url without padding.
macro_rules! bytes_in_json {
    ($(#[$doc:meta])* $name:ident, $number:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub struct $name([u8; $number]);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
                let mut bytes = [0; $number];
                // A text of any other length is not decoded.
                let is_fit = text.len() == ($number * 4_usize).div_ceil(3);
                match is_fit.then(|| URL_SAFE_NO_PAD.decode_slice(text.as_bytes(), &mut bytes)) {
                    Some(Ok($number)) => Ok(Self(bytes)),
                    _ => Err(serde::de::Error::custom(concat!(
                        stringify!($number),
                        " bytes in base64url without padding"
                    ))),
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&URL_SAFE_NO_PAD.encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), URL_SAFE_NO_PAD.encode(self.0))
            }
        }
    };
}

bytes_in_json! {
    /// Random bytes that a peer signs to prove its identity. Each question needs new ones, so that no earlier answer fits.
    Challenge, 32
}

bytes_in_json! {
    /// Signature of a [`Challenge`].
    Proof, 64
}

impl Challenge {
    /// Makes a challenge of random bytes.
    pub fn new(random: [u8; CHALLENGE_BYTES]) -> Self {
        Self(random)
    }

    fn message(self) -> Vec<u8> {
        [DOMAIN, &self.0].concat()
    }
}

impl Proof {
    /// Returns whether `peer` signed `challenge`.
    pub fn is_of(&self, peer: PeerId, challenge: Challenge) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(&self.0);
        let key = peer.verifying_key();
        key.is_some_and(|key| key.verify_strict(&challenge.message(), &signature).is_ok())
    }
}

/// Signs challenges with the key of a peer, and nothing else.
#[derive(Debug)]
pub struct Prover(Keypair);

impl Prover {
    /// Makes a prover of the peer that owns the key.
    pub fn new(keypair: Keypair) -> Self {
        Self(keypair)
    }

    /// Signs a challenge.
    pub fn prove(&self, challenge: Challenge) -> Proof {
        Proof(self.0.sign_bytes(&challenge.message()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::End;

    #[test]
    fn a_proof_is_valid_for_one_challenge_and_one_peer() {
        let (key, challenge) = (Keypair::from_seed([1; 32]), Challenge::new([7; 32]));
        let (peer, other) = (key.peer_id(), Keypair::from_seed([2; 32]).peer_id());
        let proof = Prover::new(key).prove(challenge);
        assert!(proof.is_of(peer, challenge));
        assert!(!proof.is_of(other, challenge));
        assert!(!proof.is_of(peer, Challenge::new([8; 32])), "an earlier answer does not fit");
    }

    #[test]
    fn a_signature_of_a_record_is_no_proof() {
        let (key, challenge) = (Keypair::from_seed([1; 32]), Challenge::new([b'x'; 32]));
        let record = key.sign(1, End::default(), &"x".repeat(32));
        assert!(!Proof(record.bytes).is_of(key.peer_id(), challenge));
    }

    #[test]
    fn the_json_reads_back_and_other_json_is_refused() {
        let challenge = Challenge::new([255; 32]);
        let proof = Prover::new(Keypair::from_seed([1; 32])).prove(challenge);
        let texts = (serde_json::to_string(&challenge).unwrap(), serde_json::to_string(&proof).unwrap());
        assert_eq!(serde_json::from_str::<Challenge>(&texts.0).unwrap(), challenge);
        assert_eq!(serde_json::from_str::<Proof>(&texts.1).unwrap(), proof);
        for wrong in ["\"\"", "7", "\"AA==\"", &texts.1, &texts.0.replace('_', "=")] {
            assert!(serde_json::from_str::<Challenge>(wrong).is_err(), "{wrong}");
        }
    }
}
