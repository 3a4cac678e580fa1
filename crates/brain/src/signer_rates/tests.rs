use super::*;
use dcache::{Data, End, Keypair, Kind, Time, Validity};

const SECOND: Duration = Duration::from_secs(1);
const NOW: Time = Time(1_800_000_000);

fn record(signer: u32, data: u64, sequence: u64) -> Record {
    let item = Item { bucket: "share/files".parse().unwrap(), data: Data::new(&data.to_string()).unwrap() };
    let statement = Statement::new(Kind::Propose, item, Validity::starting(NOW, 3600)).unwrap();
    let mut seed = [0; 32];
    seed[..4].copy_from_slice(&signer.to_be_bytes());
    Record::sign(statement, &Keypair::from_seed(seed), sequence, End::default())
}

const PUSHED: Arrival<u8> = Arrival { source: 7, is_pushed: true };
const COMPARED: Arrival<u8> = Arrival { source: 7, is_pushed: false };

/// Sends a record to a set through the rate limit, as a comparison does. Returns whether it was admitted at once.
fn say(rates: &mut SignerRates<u8>, set: &mut Set, record: Record, elapsed: Duration) -> bool {
    let is_taken = rates.take(&record, COMPARED, set, elapsed);
    if is_taken {
        set.admit_verified(record, NOW).unwrap();
    }
    is_taken
}

#[test]
fn a_signer_may_state_its_whole_quota_and_renew_it_twice_at_once() {
    let (mut rates, mut set) = (SignerRates::default(), Set::default());
    for round in 0..3 {
        for data in 0..4096 {
            let record = record(1, data, round * 5000 + data + 1);
            assert!(say(&mut rates, &mut set, record, SECOND), "{round}: {data}");
        }
    }
}

#[test]
fn news_of_a_signer_that_nobody_knows_is_admitted_slowly_and_comparisons_bring_the_rest() {
    let (mut rates, mut set, mut elapsed) = (SignerRates::default(), Set::default(), SECOND);
    let (mut pushed, mut dropped) = (0, 0);
    for data in 0..8000 {
        elapsed += Duration::from_micros(500);
        let record = record(1, data, data + 1);
        if rates.is_full(&Key::from(&record), PUSHED, &set, elapsed) {
            dropped += 1;
        } else if rates.take(&record, PUSHED, &set, elapsed) {
            set.admit_verified(record, NOW).unwrap();
            pushed += 1;
        }
        while let Some((record, _)) = rates.due(&set, elapsed) {
            set.admit_verified(record, NOW).unwrap();
            pushed += 1;
        }
    }
    // 64 and the reserve of 8 at once, and 17 in each of 4 s.
    assert!((120..=145).contains(&pushed), "{pushed}");
    assert!(dropped > 7000, "{dropped}");
    let renewal = record(1, 0, 9000);
    assert!(rates.take(&renewal, PUSHED, &set, elapsed), "known items are not limited");
    for data in 7000..7500 {
        let record = record(1, data, data + 10_000);
        assert!(say(&mut rates, &mut set, record, elapsed), "comparisons are not limited: {data}");
    }
    assert!(say(&mut rates, &mut set, record(2, 0, 1), elapsed), "other signers are not affected");
}

#[test]
fn renewals_of_many_records_that_a_signer_pushes_are_admitted_slowly() {
    let (mut rates, mut set, mut elapsed) = (SignerRates::default(), Set::default(), SECOND);
    for data in 0..200 {
        assert!(say(&mut rates, &mut set, record(1, data, data + 1), elapsed));
    }
    let mut admitted = 0;
    for number in 0..2000 {
        elapsed += Duration::from_millis(2);
        admitted += usize::from(rates.take(&record(1, number % 200, 1000 + number), PUSHED, &set, elapsed));
        admitted += std::iter::from_fn(|| rates.due(&set, elapsed)).count();
    }
    // 32 at once, and 64 in each of 4 s.
    assert!((270..=300).contains(&admitted), "{admitted}");
}

/// Pushes a record. Returns whether it was admitted at once.
fn push(rates: &mut SignerRates<u8>, set: &mut Set, record: Record, elapsed: Duration) -> bool {
    if rates.is_full(&Key::from(&record), PUSHED, set, elapsed) {
        return false;
    }
    let is_taken = rates.take(&record, PUSHED, set, elapsed);
    if is_taken {
        set.admit_verified(record, NOW).unwrap();
    }
    is_taken
}

#[test]
fn news_of_many_keys_is_admitted_slowly_and_known_signers_have_a_reserve() {
    let (mut rates, mut set, mut elapsed) = (SignerRates::default(), Set::default(), SECOND);
    assert!(say(&mut rates, &mut set, record(9999, 0, 1), elapsed));
    let (mut pushed, mut verified) = (0, 0);
    for signer in 0..8000 {
        elapsed += Duration::from_micros(500);
        let record = record(signer, 0, 1);
        verified += u64::from(!rates.is_full(&Key::from(&record), PUSHED, &set, elapsed));
        pushed += u64::from(push(&mut rates, &mut set, record, elapsed));
        while let Some((record, _)) = rates.due(&set, elapsed) {
            set.admit_verified(record, NOW).unwrap();
            pushed += 1;
        }
    }
    // 64 at once, and 16 in each of 4 s.
    assert!((110..=130).contains(&pushed), "{pushed}");
    assert!(verified < 1024 + 200, "{verified}");
    let news: Vec<bool> =
        (1..=9).map(|data| push(&mut rates, &mut set, record(9999, data, data + 1), elapsed)).collect();
    assert_eq!(news.iter().filter(|is_taken| **is_taken).count(), 8, "{news:?}");
}

#[test]
fn repeated_records_wait_and_the_latest_arrives() {
    let (mut rates, mut set) = (SignerRates::default(), Set::default());
    let (mut taken, mut elapsed) = (0, SECOND);
    for sequence in 1..=20_000 {
        elapsed += Duration::from_millis(1);
        taken += u64::from(say(&mut rates, &mut set, record(1, sequence % 10, sequence), elapsed));
        while let Some((record, _)) = rates.due(&set, elapsed) {
            set.admit_verified(record, NOW).unwrap();
            taken += 1;
        }
    }
    // 64 and three times the 10 items at once, and 2 in each of 20 s.
    assert!((120..150).contains(&taken), "{taken}");
    assert!(say(&mut rates, &mut set, record(2, 0, 1), elapsed), "other signers are not affected");
    while let Some(wake) = rates.next_wake() {
        elapsed = elapsed.max(wake);
        if let Some((record, source)) = rates.due(&set, elapsed) {
            assert_eq!(source, 7);
            set.admit_verified(record, NOW).unwrap();
        }
    }
    assert_eq!(set.latest_sequence(record(1, 0, 1).signer()), 20_000);
    assert!(elapsed < SECOND * 40, "{elapsed:?}");
    assert_eq!(rates.waiting, 0);
}

#[test]
fn a_waiting_record_is_better_than_the_same_or_earlier_ones() {
    let (mut rates, mut set) = (SignerRates::default(), Set::default());
    for sequence in 1..=400 {
        say(&mut rates, &mut set, record(1, 0, sequence), SECOND);
    }
    let has_better = |sequence| {
        let record = record(1, 0, sequence);
        rates.has_better(record.statement(), record.signature())
    };
    assert!(has_better(400) && has_better(399) && !has_better(401));
}

#[test]
fn the_state_kept_of_signers_is_bounded() {
    let (mut rates, mut set) = (SignerRates::default(), Set::default());
    for signer in 0..5000 {
        say(&mut rates, &mut set, record(signer, 0, 1), SECOND);
    }
    for sequence in 1..3000 {
        rates.take(&record(9999, sequence, sequence), COMPARED, &set, SECOND);
    }
    assert!(rates.signers.len() <= MAX_SIGNERS && rates.waiting == MAX_WAITING_OF_ONE);
    assert_eq!(rates.queue.len(), 1);
}
