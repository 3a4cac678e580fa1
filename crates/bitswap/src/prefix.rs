//! CID prefixes: what a block on the wire says about itself besides its data.
use bytes::{Buf, Bytes};
use cid::{Cid, Version, multihash::Multihash};
use multihash_codetable::{Code, MultihashDigest};
use prost::encoding::{decode_varint, encode_varint};

/// The multicodec of the hash function that is no hash: the digest is the data itself.
pub(crate) const IDENTITY: u64 = 0x00;
/// dag-pb, the only codec that a version 0 CID can have.
const DAG_PB: u64 = 0x70;
/// A digest of more bytes does not fit a [`Cid`].
const MAX_DIGEST_BYTES: usize = 64;

/// The prefix of a CID: version, codec, hash function and digest length, each an unsigned varint.
pub(crate) fn encode(cid: &Cid) -> Bytes {
    let mut out = Vec::with_capacity(8);
    for number in [u64::from(cid.version()), cid.codec(), cid.hash().code(), u64::from(cid.hash().size())] {
        encode_varint(number, &mut out);
    }
    out.into()
}

/// The CID that `data` has under `prefix`, or nothing when the prefix is broken or its hash function not known here.
///
/// Data that is not what was asked for thus gets another CID than the one asked for: nothing to compare, nothing to
/// believe.
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

/// Whether a block with such a hash can be checked.
pub(crate) fn is_known(hash: &Multihash<64>) -> bool {
    hash.code() == IDENTITY || Code::try_from(hash.code()).is_ok()
}

/// Whether `data` is what `hash` names. Hash functions that are not known here match nothing.
pub(crate) fn matches(hash: &Multihash<64>, data: &[u8]) -> bool {
    digest(hash.code(), data).is_some_and(|computed| computed == *hash)
}
