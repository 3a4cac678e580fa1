use super::*;
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeSet;

/// Returns three sets of random items: those that both sides have, those that only they have, and those that only we
/// have.
fn sets(common: usize, theirs: usize, ours: usize, seed: u64) -> [BTreeSet<u64>; 3] {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    [common, theirs, ours].map(|size| (0..size).map(|_| random.random()).collect())
}

/// Returns the difference, and the number of symbols that it took.
fn reconcile([common, theirs, ours]: &[BTreeSet<u64>; 3], step: usize) -> (Difference, usize) {
    let mut encoder = Encoder::new(common.union(theirs).copied());
    let mut decoder = Decoder::new(common.union(ours).copied());
    loop {
        decoder.add(&encoder.symbols(step)).unwrap();
        if let Some(difference) = decoder.difference() {
            return (difference, decoder.taken());
        }
    }
}

fn sorted(mut items: Vec<u64>) -> Vec<u64> {
    items.sort_unstable();
    items
}

#[test]
fn the_number_of_symbols_grows_only_with_the_difference() {
    for (differing, most) in [(0, 1.0), (1, 4.0), (10, 30.0), (100, 180.0), (1000, 1550.0)] {
        let taken =
            (0..20).map(|seed| reconcile(&sets(2000, differing / 2, differing.div_ceil(2), seed), 1).1);
        let mean = taken.sum::<usize>() as f64 / 20.0;
        assert!(mean <= most, "{differing} differing items took {mean} symbols");
    }
}

#[test]
fn forged_symbols_give_an_error_or_a_small_difference() {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    for _ in 0..2000 {
        // Each item is added to one symbol only. The decoder also removes it from other symbols, where it then appears
        // as a new item.
        let mut made_up = vec![Symbol::default(); 40];
        for symbol in &mut made_up {
            symbol.change(random.random_range(0..8), if random.random() { 1 } else { -1 });
        }
        let mut decoder = Decoder::new(0..4);
        if decoder.add(&made_up).is_ok()
            && let Some(difference) = decoder.difference()
        {
            assert!(difference.theirs.len() + difference.ours.len() <= 40);
        }
    }
}

#[test]
fn the_number_depends_on_the_salt_and_the_identifier() {
    assert_ne!(salted(1, b"a"), salted(2, b"a"));
    assert_ne!(salted(1, b"a"), salted(1, b"b"));
    assert_eq!(salted(1, b"a"), salted(1, b"a"));
}

/// Data on the wire must have the same meaning on every machine, in every release.
#[test]
fn the_sequence_of_symbols_never_changes() {
    let bytes = to_bytes(&Encoder::new((0..10).map(|n: u64| salted(7, &n.to_be_bytes()))).symbols(6));
    let sum: u64 = bytes.iter().zip(1u64..).map(|(byte, place)| u64::from(*byte) * place).sum();
    assert_eq!((bytes.len(), sum), (6 * SYMBOL_BYTES, SEQUENCE));
}

const SEQUENCE: u64 = 351_551;

proptest! {
    #[test]
    fn the_decoder_finds_exactly_the_difference(
        common in 0usize..300, theirs in 0usize..60, ours in 0usize..60, step in 1usize..50, seed: u64,
    ) {
        let sets = sets(common, theirs, ours, seed);
        let (difference, _) = reconcile(&sets, step);
        prop_assert_eq!(sorted(difference.theirs), sets[1].iter().copied().collect::<Vec<_>>());
        prop_assert_eq!(sorted(difference.ours), sets[2].iter().copied().collect::<Vec<_>>());
    }

    #[test]
    fn symbols_read_back_from_their_bytes(items in prop::collection::vec(any::<u64>(), 0..20), count in 0usize..20) {
        let symbols = Encoder::new(items).symbols(count);
        let bytes = to_bytes(&symbols);
        prop_assert_eq!(from_bytes(&bytes), Some(symbols));
        if !bytes.is_empty() {
            prop_assert_eq!(from_bytes(&bytes[1..]), None);
        }
    }

    #[test]
    fn arbitrary_bytes_cause_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Some(symbols) = from_bytes(&bytes) {
            let mut decoder = Decoder::new(0..20);
            let _ = decoder.add(&symbols);
        }
    }
}
