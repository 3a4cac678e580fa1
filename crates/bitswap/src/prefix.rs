//! CID prefixes: the part of a CID that is sent with a block's data.
use bytes::{Buf, Bytes};
use cid::{Cid, Version, multihash::Multihash};
use multihash_codetable::{Code, MultihashDigest};
use prost::encoding::{decode_varint, encode_varint};

/// The multicodec of the identity function: the digest is the data itself, not a hash.
pub(crate) const IDENTITY: u64 = 0x00;
/// The multicodec of dag-pb, the only codec that a version 0 CID can have.
const DAG_PB: u64 = 0x70;
/// Maximum length of a digest, in bytes. A longer one does not fit into a [`Cid`].
const MAX_DIGEST_BYTES: usize = 64;

/// Returns the prefix of a CID: version, codec, hash function and digest length, each as an unsigned varint.
pub(crate) fn encode(cid: &Cid) -> Bytes {
    let mut out = Vec::with_capacity(8);
    for number in [u64::from(cid.version()), cid.codec(), cid.hash().code(), u64::from(cid.hash().size())] {
        encode_varint(number, &mut out);
    }
    out.into()
}

/// Computes the CID of `data` under `prefix`. Returns `None` if the prefix is malformed or its hash function unknown.
///
/// Wrong data therefore gets a CID that was not requested. The sender's claim about the data is never trusted.
pub(crate) fn cid_of(mut prefix: impl Buf, data: &[u8]) -> Option<Cid> {
    let mut number = || decode_varint(&mut prefix).ok();
    let (version, codec, function, length) = (number()?, number()?, number()?, number()?);
    let hash = digest(function, data)?;
    if u64::from(hash.size()) != length {
        return None;
    }
    match Version::try_from(version).ok()? {
        Version::V0 if codec == DAG_PB => Cid::new_v0(hash).ok(),
        Version::V0 => None,
        Version::V1 => Some(Cid::new_v1(codec, hash)),
    }
}

fn digest(function: u64, data: &[u8]) -> Option<Multihash<64>> {
    if function == IDENTITY {
        return (data.len() <= MAX_DIGEST_BYTES).then(|| Multihash::wrap(IDENTITY, data).ok())?;
    }
    Some(Code::try_from(function).ok()?.digest(data))
}

/// Returns whether the hash function of `hash` is known, so that blocks with this hash can be verified.
pub(crate) fn is_known(hash: &Multihash<64>) -> bool {
    hash.code() == IDENTITY || Code::try_from(hash.code()).is_ok()
}

/// Returns whether `data` has the digest of `hash`. Returns false if the hash function is unknown.
pub(crate) fn matches(hash: &Multihash<64>, data: &[u8]) -> bool {
    digest(hash.code(), data).is_some_and(|computed| computed == *hash)
}
