//! The nick of this node on an IRC server.

use dcache::PeerId;

/// Maximum length of a nick (RFC 2812, section 1.2.1). Many servers allow more; some truncate longer ones.
const MAX_NICK: usize = 9;
/// Length of the suffix. It distinguishes robots with similar names, and the candidates of one robot.
const SUFFIX: usize = 4;
const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
/// Number of possible suffixes.
const SUFFIXES: u64 = 36 * 36 * 36 * 36;

/// Returns the candidate for one attempt: as much of the robot's name as fits, then four characters derived from its
/// key. The candidates of one robot all differ for more than a million attempts. They are in lower case, because
/// servers treat `A` and `a` as equal.
pub(crate) fn nick(hostname: &str, peer: &PeerId, attempt: u32) -> String {
    let mut nick: String =
        hostname.to_ascii_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    // A nick must not begin with a digit.
    if !nick.starts_with(|first: char| first.is_ascii_lowercase()) {
        nick.insert(0, 'd');
    }
    nick.truncate(MAX_NICK - SUFFIX);
    nick + &suffix(peer, attempt)
}

fn suffix(peer: &PeerId, attempt: u32) -> String {
    let [a, b, c, d, e, f, g, h, ..] = *peer.public_key();
    let start = u64::from(u32::from_be_bytes([a, b, c, d]));
    // The stride and the number of suffixes are coprime, so all suffixes occur before one is repeated.
    let stride = 6 * u64::from(u32::from_be_bytes([e, f, g, h])) + 1;
    let number = (start + stride % SUFFIXES * u64::from(attempt)) % SUFFIXES;
    let digit = |place: u32| char::from(DIGITS[(number / 36_u64.pow(place) % 36) as usize]);
    (0..SUFFIX as u32).map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_robot_is_recognised_by_its_nick() {
        let peer = PeerId::from_public_key([7; 32]);
        let suffix = suffix(&peer, 0);
        assert_eq!(nick("Duckie-Bot07", &peer, 0), format!("ducki{suffix}"));
        assert_eq!(nick("07", &peer, 0), format!("d07{suffix}"));
        assert_eq!(nick("Ñandú", &peer, 0), format!("and{suffix}"));
        assert_eq!(nick("", &peer, 0), format!("d{suffix}"));
    }

    proptest! {
        #[test]
        fn nicks_are_valid_and_differ(hostname in "\\PC{0,30}", key: [u8; 32], first in 0..1_000_000_u32) {
            let peer = PeerId::from_public_key(key);
            let attempts = first..first + 50;
            let nicks: Vec<String> = attempts.clone().map(|attempt| nick(&hostname, &peer, attempt)).collect();
            for nick in &nicks {
                prop_assert!((1..=MAX_NICK).contains(&nick.len()));
                prop_assert!(nick.starts_with(|first: char| first.is_ascii_lowercase()));
                prop_assert!(nick.chars().all(|one| one.is_ascii_lowercase() || one.is_ascii_digit()));
            }
            prop_assert_eq!(nicks.iter().collect::<BTreeSet<_>>().len(), nicks.len());
            let again: Vec<String> = attempts.map(|attempt| nick(&hostname, &peer, attempt)).collect();
            prop_assert_eq!(nicks, again);
        }
    }
}
