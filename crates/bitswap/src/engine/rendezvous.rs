//! Rendezvous hashing selects which of the peers that want a block (its *wanters*) fetches it from a source first.
//!
//! Every node computes the same score for each wanter and block, a hash of both, without exchanging messages. The wanter
//! with the highest score fetches the block. All nodes know the wanters, because each peer sends its wantlist to every
//! other peer. So each byte leaves a slow source about once, and each wanter fetches its share.
//!
//! Source: Thaler and Ravishankar, *Using name-based mappings to increase hit rates*, 1998.
use cid::multihash::Multihash;

/// Returns the score of the wanter with this token for a block.
pub(super) fn score(token: u64, block: &Multihash<64>) -> u64 {
    let digest = block.digest();
    let tail = digest.rchunks(8).next().unwrap_or_default();
    let word = tail.iter().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
    mix(token ^ mix(word))
}

/// The finalizer of splitmix64 (Steele, Lea and Flood, 2014). Each input bit changes about half of the output bits.
fn mix(mut word: u64) -> u64 {
    word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use multihash_codetable::{Code, MultihashDigest};

    #[test]
    fn each_of_ten_wanters_gets_about_a_tenth_of_the_blocks() {
        let mut shares = [0u32; 10];
        for number in 0u32..10_000 {
            let block = Code::Sha2_256.digest(&number.to_le_bytes());
            let best = (0..10u64).max_by_key(|token| score(*token, &block)).unwrap();
            shares[best as usize] += 1;
        }
        assert!(shares.iter().all(|share| (850..1150).contains(share)), "{shares:?}");
    }
}
