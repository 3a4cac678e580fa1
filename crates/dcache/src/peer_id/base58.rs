//! Base58 of just the length that our peer IDs have. Every line names some, and reading or writing one by the algorithm
//! for any length takes longer than all the JSON around it; many digits at a time take a small part of that.

/// Bytes of a peer ID; the first is always zero, and the second such that the rest has one digit less than [`CHARS`].
pub(super) const BYTES: usize = 38;
/// Characters of its text; the first stands for the zero byte.
pub(super) const CHARS: usize = 52;

const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/// The digit of each character.
const DIGITS: [u8; 256] = digits();
/// Of a character that is none.
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

/// Writing: five digits at a time, because processors divide words of 64 bits fast, and none that are longer.
mod written {
    pub(super) const GROUP: usize = 5;
    pub(super) const OF_GROUP: u64 = 58u64.pow(GROUP as u32);
    pub(super) const WORDS: usize = super::BYTES.div_ceil(4);
    pub(super) const DIGITS: usize = GROUP * super::CHARS.div_ceil(GROUP);
}

/// The text of a peer ID's bytes.
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

/// Divides by what a group counts up to; gives what is left over.
fn divide(number: &mut [u32]) -> u64 {
    let mut rest = 0;
    for word in number {
        let dividend = rest << 32 | u64::from(*word);
        // Fits: the rest is less than the divisor.
        *word = (dividend / written::OF_GROUP) as u32;
        rest = dividend % written::OF_GROUP;
    }
    rest
}

/// Reading: ten digits at a time, because processors multiply words of 64 bits into 128.
mod read {
    pub(super) const GROUP: usize = 10;
    pub(super) const OF_GROUP: u128 = 58u128.pow(GROUP as u32);
    pub(super) const WORDS: usize = super::BYTES.div_ceil(8);
    pub(super) const DIGITS: usize = GROUP * super::CHARS.div_ceil(GROUP);
}

/// The bytes of a peer ID's text; `None` when it is no such text.
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
    // A zero byte more, or less, would be another text.
    (text.starts_with('1') && spare.iter().all(|byte| *byte == 0) && bytes[0] == 0).then_some(bytes)
}

/// Makes room for a group, and puts it there. Fifty-two digits need fewer than the 320 bits there are.
fn multiply(number: &mut [u64; read::WORDS], group: u64) {
    let mut carry = u128::from(group);
    for word in number.iter_mut().rev() {
        let product = u128::from(*word) * read::OF_GROUP + carry;
        // The lower half stays.
        *word = product as u64;
        carry = product >> 64;
    }
}
