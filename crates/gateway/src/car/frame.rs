//! The framing of a CAR: its header, and the bytes before each block.
use bytes::{BufMut as _, Bytes, BytesMut};
use ipfs::Cid;

/// Returns the header: the length, then `{"roots": [CID], "version": 1}` in DAG-CBOR.
pub(super) fn header(root: &Cid) -> Bytes {
    let link = root.to_bytes();
    let mut body = BytesMut::new();
    body.put_slice(b"\xa2\x65roots\x81\xd8\x2a");
    // In DAG-CBOR, a link is a zero byte followed by the bytes of the CID.
    byte_string_head(&mut body, link.len() + 1);
    body.put_u8(0);
    body.put_slice(&link);
    body.put_slice(b"\x67version\x01");
    let mut header = BytesMut::new();
    varint(&mut header, body.len() as u64);
    header.put_slice(&body);
    header.freeze()
}

/// Returns the bytes before a block: the length of CID and block together, then the CID.
pub(super) fn section(cid: &Cid, block: &Bytes) -> Bytes {
    let cid = cid.to_bytes();
    let mut section = BytesMut::new();
    varint(&mut section, (cid.len() + block.len()) as u64);
    section.put_slice(&cid);
    section.freeze()
}

/// Writes the head of a CBOR byte string. A CID is shorter than 256 bytes, so one length byte is enough.
fn byte_string_head(to: &mut BytesMut, length: usize) {
    let length = u8::try_from(length).unwrap_or(u8::MAX);
    if length < 24 {
        to.put_u8(0x40 | length);
    } else {
        to.put_slice(&[0x58, length]);
    }
}

/// Writes an unsigned varint: groups of seven bits, the lowest first.
fn varint(to: &mut BytesMut, mut number: u64) {
    while number >= 0x80 {
        to.put_u8(0x80 | (number & 0x7f) as u8);
        number >>= 7;
    }
    to.put_u8(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_header_has_the_bytes_of_the_specification() {
        let empty: Cid = "bafkqaaa".parse().unwrap();
        assert_eq!(
            hex(&header(&empty)),
            "19a265726f6f747381d82a45000155000067 76657273696f6e01".replace(' ', "")
        );
        let long: Cid = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku".parse().unwrap();
        assert!(
            hex(&header(&long))
                .starts_with("3aa265726f6f747381d82a582500015512 20".replace(' ', "").as_str())
        );
    }

    #[test]
    fn a_section_begins_with_its_length_and_cid() {
        let empty: Cid = "bafkqaaa".parse().unwrap();
        assert_eq!(hex(&section(&empty, &Bytes::from(vec![0; 300]))), "b00201550000");
    }
}
