//! Base58 for exactly the length of our peer IDs. Every line contains several peer IDs. The general algorithm takes
//! longer for one ID than the parsing of all the JSON around it. Processing several digits at a time takes a small part
//! of that time.

/// Size, in bytes, of a peer ID. The first byte is always zero and gives one character. The other bytes always give
/// `CHARS - 1` characters.
pub(super) const BYTES: usize = 38;
/// Number of characters of the text. The first character stands for the zero byte.
pub(super) const CHARS: usize = 52;

const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/// Digit of each character.
const DIGITS: [u8; 256] = digits();
/// Value for a character that is not a digit.
const NO_DIGIT: u8 = 255;

const fn digits() -> [u8; 256] {
    let mut digits = [NO_DIGIT; 256];
    let mut digit = 0;
    while digit < 58 {
        digits[ALPHABET[digit] as usize] = digit as u8;
        digit += 1;
    }
    digits
}

/// Encoding processes five digits at a time, because processors divide words of 64 bits fast, but not longer words.
mod written {
    pub(super) const GROUP: usize = 5;
    pub(super) const OF_GROUP: u64 = 58u64.pow(GROUP as u32);
    pub(super) const WORDS: usize = super::BYTES.div_ceil(4);
    pub(super) const DIGITS: usize = GROUP * super::CHARS.div_ceil(GROUP);
}

/// Returns the text of a peer ID's bytes.
pub(super) fn encode(bytes: &[u8; BYTES]) -> [u8; CHARS] {
    use written::{DIGITS, GROUP, WORDS};
    let mut padded = [0; 4 * WORDS];
    padded[4 * WORDS - BYTES..].copy_from_slice(bytes);
    let mut number: [u32; WORDS] = [0; WORDS];
    for (word, bytes) in number.iter_mut().zip(padded.as_chunks().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    let mut text = [ALPHABET[0]; DIGITS];
    let mut number = number.as_mut_slice();
    for group in text.as_chunks_mut::<GROUP>().0.iter_mut().rev() {
        let mut rest = divide(number);
        for character in group.iter_mut().rev() {
            *character = ALPHABET[(rest % 58) as usize];
            rest /= 58;
        }
        if let [0, shorter @ ..] = number {
            number = shorter;
        }
    }
    std::array::from_fn(|place| text[DIGITS - CHARS + place])
}

/// Divides by the number of values of a group, and returns the remainder.
fn divide(number: &mut [u32]) -> u64 {
    let mut rest = 0;
    for word in number {
        let dividend = rest << 32 | u64::from(*word);
        // The quotient fits, because the remainder is less than the divisor.
        *word = (dividend / written::OF_GROUP) as u32;
        rest = dividend % written::OF_GROUP;
    }
    rest
}

/// Decoding processes ten digits at a time, because processors multiply words of 64 bits with a result of 128 bits.
mod read {
    pub(super) const GROUP: usize = 10;
    pub(super) const OF_GROUP: u128 = 58u128.pow(GROUP as u32);
    pub(super) const WORDS: usize = super::BYTES.div_ceil(8);
    pub(super) const DIGITS: usize = GROUP * super::CHARS.div_ceil(GROUP);
}

/// Returns the bytes of a peer ID's text, or `None` if the text is not of this form.
pub(super) fn decode(text: &str) -> Option<[u8; BYTES]> {
    use read::{DIGITS, GROUP, WORDS};
    let mut padded = [ALPHABET[0]; DIGITS];
    padded[DIGITS - CHARS..].copy_from_slice(<&[u8; CHARS]>::try_from(text.as_bytes()).ok()?);
    let digits = padded.map(|character| self::DIGITS[usize::from(character)]);
    if digits.contains(&NO_DIGIT) {
        return None;
    }
    let mut number = [0; WORDS];
    for group in digits.as_chunks::<GROUP>().0 {
        multiply(&mut number, group.iter().fold(0, |value, digit| value * 58 + u64::from(*digit)));
    }
    let bytes = number.map(u64::to_be_bytes);
    let (spare, bytes) = bytes.as_flattened().split_at(8 * WORDS - BYTES);
    let bytes: [u8; BYTES] = bytes.try_into().ok()?;
    // A peer ID begins with exactly one zero byte, which the text shows as `1`.
    (text.starts_with('1') && spare.iter().all(|byte| *byte == 0) && bytes[0] == 0).then_some(bytes)
}

/// Multiplies the number by the number of values of a group, and adds the group. Fifty-two digits need fewer than the
/// 320 bits of the number.
fn multiply(number: &mut [u64; read::WORDS], group: u64) {
    let mut carry = u128::from(group);
    for word in number.iter_mut().rev() {
        let product = u128::from(*word) * read::OF_GROUP + carry;
        // The lower half stays in the word.
        *word = product as u64;
        carry = product >> 64;
    }
}
