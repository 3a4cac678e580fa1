use super::*;
use proptest::prelude::*;

const PATIENCE: Duration = Duration::from_secs(60);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn assembler() -> Assembler<&'static str> {
    Assembler::new(PATIENCE)
}

/// Returns a long line that differs from lines with other seeds.
fn line(seed: char, bytes: usize) -> String {
    std::iter::repeat_n(seed, bytes).collect()
}

#[test]
fn a_short_line_stays_whole_and_a_long_one_becomes_fragments_for_irc() {
    let short = line('a', MAX_WHOLE_BYTES);
    assert_eq!(fragments(&short), std::slice::from_ref(&short));
    assert_eq!(assembler().take(seconds(0), "a", &short), Ok(Some(short)));
    let longest = line('ÿ', MAX_LINE_BYTES / 2);
    let pieces = fragments(&longest);
    assert_eq!(pieces.len(), MAX_FRAGMENTS);
    let most = pieces.iter().map(String::len).max().unwrap();
    // An IRC message has 512 bytes. Sender, command and channel take up to 130 of them.
    assert!(most <= 360, "{most}");
}

#[test]
fn reads_fragments_as_ipsd_describes_them() {
    let whole = "hello world";
    let piece = |number: usize, chunk: &str| {
        let (hash, chunk) = (Digest::of(whole.as_bytes()), bs58::encode(chunk).into_string());
        format!(
            r#"{{"fragment": {number}, "n": 2, "sha256_base58": "{hash}", "chunk_base58": "{chunk}", "x": 1}}"#
        )
    };
    let mut assembler = assembler();
    assert_eq!(assembler.take(seconds(0), "a", &piece(1, " world")), Ok(None));
    assert_eq!(assembler.take(seconds(0), "a", &piece(0, "hello")), Ok(Some(whole.to_owned())));
    assert_eq!(assembler.partial(), 0);
}

#[test]
fn invalid_fragments_are_refused() {
    let hash = Digest::of(b"");
    let piece = |number: &str, n: &str, chunk: &str| {
        let text =
            format!(r#"{{"fragment":{number},"n":{n},"sha256_base58":"{hash}","chunk_base58":"{chunk}"}}"#);
        assembler().take(seconds(0), "a", &text).unwrap_err()
    };
    assert_eq!(piece("2", "2", "2"), FragmentError::Number { fragment: 2, n: 2 });
    assert_eq!(piece("0", "111", "2"), FragmentError::Number { fragment: 0, n: 111 });
    assert!(matches!(piece("-1", "2", "2"), FragmentError::Shape(_)));
    for chunk in ["", "0", &"1".repeat(FRAGMENT_BYTES + 1), &"z".repeat(400)] {
        assert_eq!(piece("0", "1", chunk), FragmentError::Chunk);
    }
    assert_eq!(piece("0", "1", "2"), FragmentError::Hash);
    assert!(matches!(assembler().take(seconds(0), "a", r#"{"fragment":0}"#), Err(FragmentError::Shape(_))));
    let not_text = [255; 3];
    let (hash, chunk) = (Digest::of(&not_text), bs58::encode(not_text).into_string());
    let text = format!(r#"{{"fragment":0,"n":1,"sha256_base58":"{hash}","chunk_base58":"{chunk}"}}"#);
    assert_eq!(assembler().take(seconds(0), "a", &text), Err(FragmentError::Line));
}

#[test]
fn a_line_that_stays_incomplete_is_dropped_after_a_while() {
    let mut assembler = assembler();
    let pieces = fragments(&line('a', 400));
    assert_eq!(assembler.take(seconds(0), "a", &pieces[0]), Ok(None));
    assert_eq!(assembler.take(seconds(60), "a", &pieces[1]), Ok(None));
    // A fragment that arrives again does not count as new.
    assert_eq!(assembler.take(seconds(119), "a", &pieces[1]), Ok(None));
    assembler.age_out(seconds(121));
    assert_eq!(assembler.partial(), 0);
    assert_eq!(assembler.take(seconds(121), "a", &pieces[2]), Ok(None));
}

#[test]
fn a_sender_displaces_only_its_own_lines() {
    let mut assembler = assembler();
    let honest = fragments(&line('é', 200));
    let hostile: Vec<Vec<String>> = ('a'..='z').map(|seed| fragments(&line(seed, 10_000))).collect();
    assert_eq!(assembler.take(seconds(0), "honest", &honest[0]), Ok(None));
    for (time, pieces) in hostile.iter().enumerate() {
        assert_eq!(assembler.take(seconds(time as u64), "hostile", &pieces[0]), Ok(None));
    }
    assert_eq!(assembler.partial(), 1 + MAX_PARTIAL_OF_SENDER);
    // The hostile sender knows the hash and announces another number of fragments, under its own name.
    assert_eq!(assembler.take(seconds(30), "hostile", &honest[1].replace("\"n\":3", "\"n\":9")), Ok(None));
    assert_eq!(assembler.take(seconds(30), "honest", &honest[1]), Ok(None));
    assert_eq!(assembler.take(seconds(30), "honest", &honest[2]), Ok(Some(line('é', 200))));
}

#[test]
fn many_senders_displace_no_line_of_others() {
    let mut assembler = Assembler::new(PATIENCE);
    let honest = fragments(&line('é', 200));
    assert_eq!(assembler.take(seconds(0), usize::MAX, &honest[0]), Ok(None));
    let long = fragments(&line('a', MAX_LINE_BYTES));
    let taken = (0..1000).filter(|sender| assembler.take(seconds(1), *sender, &long[0]).is_ok()).count();
    assert_eq!(taken, (MAX_PARTIAL_BYTES - 3 * FRAGMENT_BYTES) / (MAX_FRAGMENTS * FRAGMENT_BYTES));
    assert_eq!(assembler.take(seconds(2), usize::MAX, &honest[1]), Ok(None));
    assert_eq!(assembler.take(seconds(2), usize::MAX, &honest[2]), Ok(Some(line('é', 200))));
    let short = fragments(&line('b', 301));
    let mut assembler = Assembler::new(PATIENCE);
    let taken = (0..1000).filter(|sender| assembler.take(seconds(1), *sender, &short[0]).is_ok()).count();
    assert_eq!(taken, MAX_PARTIAL);
    // After the timeout of these lines there is room again.
    assert_eq!(assembler.take(seconds(62), 0, &long[0]), Ok(None));
}

/// Generates lines of several senders, and their fragments in any order; some arrive twice and some get lost.
fn any_traffic() -> impl Strategy<Value = (Vec<String>, Vec<(usize, usize, u8)>)> {
    let lines = prop::collection::vec("\\PC{150,700}", 1..4);
    lines.prop_flat_map(|lines| {
        let events = lines
            .iter()
            .enumerate()
            .flat_map(|(sender, line)| (0..fragments(line).len()).map(move |number| (sender, number)));
        let events: Vec<(usize, usize)> = events.collect();
        let copies =
            prop::collection::vec(prop_oneof![1 => Just(0u8), 6 => Just(1), 2 => Just(2)], events.len());
        let events = copies.prop_map(move |copies| {
            events
                .iter()
                .zip(copies)
                .map(|(&(sender, number), copies)| (sender, number, copies))
                .collect::<Vec<_>>()
        });
        (Just(lines), events.prop_shuffle())
    })
}

proptest! {
    #[test]
    fn a_line_is_complete_once_all_its_fragments_have_arrived(traffic in any_traffic()) {
        let (lines, events) = traffic;
        let mut assembler = Assembler::new(PATIENCE);
        let pieces: Vec<Vec<String>> = lines.iter().map(|line| fragments(line)).collect();
        let mut came = vec![0; lines.len()];
        for &(sender, number, copies) in &events {
            for _ in 0..copies {
                if let Some(line) = assembler.take(seconds(1), sender, &pieces[sender][number]).unwrap() {
                    prop_assert_eq!(&line, &lines[sender]);
                    came[sender] += 1;
                }
            }
        }
        for (sender, came) in came.iter().enumerate() {
            let is_whole = events.iter().filter(|event| event.0 == sender).all(|event| event.2 > 0);
            prop_assert_eq!(*came > 0, is_whole, "{} of {:?}", sender, events);
        }
    }

    #[test]
    fn any_fragments_are_refused_or_wait_within_the_limits(
        texts in prop::collection::vec((0..300usize, 0..200usize, 0..120usize, "\\PC{0,3}"), 0..600),
    ) {
        let mut assembler = Assembler::new(PATIENCE);
        for (time, (sender, number, n, seed)) in texts.into_iter().enumerate() {
            let (hash, chunk) = (Digest::of(seed.as_bytes()), bs58::encode(&seed).into_string());
            let text = format!(r#"{{"fragment":{number},"n":{n},"sha256_base58":"{hash}","chunk_base58":"{chunk}"}}"#);
            if let Ok(Some(line)) = assembler.take(seconds(time as u64 / 10), sender, &text) {
                prop_assert_eq!(line, seed);
            }
            prop_assert!(assembler.partial() <= MAX_PARTIAL);
            prop_assert!(assembler.senders.values().all(|own| own.len() <= MAX_PARTIAL_OF_SENDER));
        }
    }
}
