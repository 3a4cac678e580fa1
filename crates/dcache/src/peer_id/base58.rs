//! Base58 of just the length that our peer IDs have. Every line names some, and reading or writing one by the algorithm
//! for any length takes longer than all the JSON around it; five digits at a time on 32-bit words take a tenth of that.

/// Bytes of a peer ID; the first is always zero, and the second such that the rest has one digit less than [`CHARS`].
pub(super) const BYTES: usize = 38;
/// Characters of its text; the first stands for the zero byte.
pub(super) const CHARS: usize = 52;

const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/// The digit of each character; 58 when it is none.
const DIGITS: [u8; 256] = digits();
/// Digits that are handled at once, and what they count up to: 58 to the power of 5.
const GROUP: usize = 5;
const OF_GROUP: u64 = 58u64.pow(GROUP as u32);
/// Enough for all bytes, and for all characters.
const WORDS: usize = BYTES.div_ceil(4);
const GROUPS: usize = CHARS.div_ceil(GROUP);
/// What is too much at the beginning.
const SPARE_BYTES: usize = 4 * WORDS - BYTES;
const SPARE_CHARS: usize = GROUP * GROUPS - CHARS;

const fn digits() -> [u8; 256] {
    let mut digits = [58; 256];
    let mut digit = 0;
    while digit < 58 {
        digits[ALPHABET[digit] as usize] = digit as u8;
        digit += 1;
    }
    digits
}

/// The text of a peer ID's bytes.
pub(super) fn encode(bytes: &[u8; BYTES]) -> [u8; CHARS] {
    let mut padded = [0; 4 * WORDS];
    padded[SPARE_BYTES..].copy_from_slice(bytes);
    let mut number: [u32; WORDS] = std::array::from_fn(|word| word_at(&padded, word));
    let mut text = [ALPHABET[0]; GROUP * GROUPS];
    for group in text.as_chunks_mut::<GROUP>().0.iter_mut().rev() {
        let mut rest = divide(&mut number);
        for character in group.iter_mut().rev() {
            *character = ALPHABET[(rest % 58) as usize];
            rest /= 58;
        }
    }
    std::array::from_fn(|place| text[SPARE_CHARS + place])
}

fn word_at(padded: &[u8; 4 * WORDS], word: usize) -> u32 {
    u32::from_be_bytes(std::array::from_fn(|byte| padded[4 * word + byte]))
}

/// Divides by what a group counts up to; gives what is left over.
fn divide(number: &mut [u32; WORDS]) -> u64 {
    let mut rest = 0;
    for word in number {
        let dividend = rest << 32 | u64::from(*word);
        // Fits: the rest is less than the divisor.
        *word = (dividend / OF_GROUP) as u32;
        rest = dividend % OF_GROUP;
    }
    rest
}

/// The bytes of a peer ID's text; `None` when it is no such text.
pub(super) fn decode(text: &str) -> Option<[u8; BYTES]> {
    let mut padded = [ALPHABET[0]; GROUP * GROUPS];
    padded[SPARE_CHARS..].copy_from_slice(<&[u8; CHARS]>::try_from(text.as_bytes()).ok()?);
    let mut number = [0; WORDS];
    for group in padded.as_chunks::<GROUP>().0 {
        let digits = group.map(|character| DIGITS[usize::from(character)]);
        if digits.contains(&58) {
            return None;
        }
        multiply(&mut number, digits.iter().fold(0, |value, digit| value * 58 + u64::from(*digit)));
    }
    let bytes = number.map(u32::to_be_bytes);
    let (spare, bytes) = bytes.as_flattened().split_at(SPARE_BYTES);
    let bytes: [u8; BYTES] = bytes.try_into().ok()?;
    // A zero byte more, or less, would be another text.
    (text.starts_with('1') && spare == [0; SPARE_BYTES] && bytes[0] == 0).then_some(bytes)
}

/// Makes room for a group, and puts it there.
fn multiply(number: &mut [u32; WORDS], group: u64) {
    let mut carry = group;
    for word in number.iter_mut().rev() {
        let product = u64::from(*word) * OF_GROUP + carry;
        // The lower half stays; 52 digits never leave a carry at the end.
        *word = product as u32;
        carry = product >> 32;
    }
}
