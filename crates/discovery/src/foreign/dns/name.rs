//! Names in DNS messages.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

/// Maximum size of a name as it is sent, in bytes (RFC 1035, section 3.1).
const MAX_NAME_BYTES: usize = 255;
/// Maximum size of a label, in bytes.
pub(super) const MAX_LABEL_BYTES: usize = 63;
/// Maximum number of pointers that are followed in one name. A name has at most 127 labels, and each may come from
/// another place.
const MAX_POINTERS: usize = 127;

/// A name: labels of any bytes. Names are equal if they differ only in the case of ASCII letters.
#[derive(Clone, Debug, Default)]
pub struct Name(Vec<Vec<u8>>);

impl Name {
    /// Returns the name with these labels, or `None` if a label or the name is too long, or a label is empty.
    pub fn new<L: AsRef<[u8]>>(labels: impl IntoIterator<Item = L>) -> Option<Self> {
        let labels: Vec<Vec<u8>> = labels.into_iter().map(|label| label.as_ref().to_vec()).collect();
        let fits = |label: &Vec<u8>| (1..=MAX_LABEL_BYTES).contains(&label.len());
        let bytes = labels.iter().map(|label| label.len() + 1).sum::<usize>() + 1;
        (labels.iter().all(fits) && bytes <= MAX_NAME_BYTES).then_some(Self(labels))
    }

    /// Returns the labels, the most specific one first.
    pub fn labels(&self) -> &[Vec<u8>] {
        &self.0
    }

    /// Returns the labels before `suffix`, or `None` if the name does not end with it.
    pub fn before(&self, suffix: &Self) -> Option<&[Vec<u8>]> {
        let (own, end) = self.0.split_at(self.0.len().checked_sub(suffix.0.len())?);
        is_same(end, &suffix.0).then_some(own)
    }

    /// Returns a text that is the same for equal names, to find a name in a map.
    pub(crate) fn key(&self) -> Vec<u8> {
        self.0.iter().flat_map(|label| [label.to_ascii_lowercase(), vec![0]].concat()).collect()
    }

    /// Reads the name that begins at `begin` in a message. Returns it with the place behind it.
    ///
    /// Each pointer has to lead to a place before the part of the name in which it stands, so the reader cannot run in a
    /// circle.
    pub(super) fn read(bytes: &[u8], begin: usize) -> Option<(Self, usize)> {
        let (mut labels, mut size, mut pointers) = (Vec::new(), 1, 0);
        let (mut at, mut part, mut end) = (begin, begin, None);
        loop {
            let first = *bytes.get(at)?;
            let length = usize::from(first & 0x3f);
            match first >> 6 {
                0 if length == 0 => return Some((Self(labels), end.unwrap_or(at + 1))),
                0 => {
                    labels.push(bytes.get(at + 1..at + 1 + length)?.to_vec());
                    size += length + 1;
                    at += length + 1;
                }
                3 => {
                    let target = length << 8 | usize::from(*bytes.get(at + 1)?);
                    end = end.or(Some(at + 2));
                    if target >= part {
                        return None;
                    }
                    (at, part) = (target, target);
                    pointers += 1;
                }
                _ => return None,
            }
            if size > MAX_NAME_BYTES || pointers > MAX_POINTERS {
                return None;
            }
        }
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        is_same(&self.0, &other.0)
    }
}

impl Eq for Name {}

fn is_same(one: &[Vec<u8>], other: &[Vec<u8>]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(a, b)| a.eq_ignore_ascii_case(b))
}
