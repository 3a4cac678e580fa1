//! The message of the hole punching protocol (`/libp2p/dcutr`): a protobuf message after its length, an unsigned
//! varint.
use libp2p::Multiaddr;
use prost::Message as _;

/// Maximum length of a message in bytes. The protocol allows no more.
pub const MAX_PUNCH_BYTES: usize = 4096;
/// Maximum number of addresses that are read of one message.
const MAX_ADDRESSES: usize = 8;

/// A message of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PunchMessage {
    /// The addresses of the sender, as others saw them.
    Connect(Vec<Multiaddr>),
    /// The receiver must dial now.
    Sync,
}

/// The bytes are no message of the protocol.
#[derive(Debug, thiserror::Error)]
pub enum PunchDecodeError {
    /// The bytes are no protobuf message.
    #[error("not a protobuf message")]
    Protobuf(#[from] prost::DecodeError),
    /// The kind of message is unknown.
    #[error("unknown kind of message: {0}")]
    Kind(i32),
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
struct HolePunch {
    #[prost(int32, required, tag = "1")]
    kind: i32,
    #[prost(bytes = "vec", repeated, tag = "2")]
    addresses: Vec<Vec<u8>>,
}

const CONNECT: i32 = 100;
const SYNC: i32 = 300;

impl PunchMessage {
    /// Encodes the message, with its length in front.
    pub fn encode(&self) -> Vec<u8> {
        let message = match self {
            Self::Connect(addresses) => {
                let addresses = addresses.iter().take(MAX_ADDRESSES).map(Multiaddr::to_vec).collect();
                HolePunch { kind: CONNECT, addresses }
            }
            Self::Sync => HolePunch { kind: SYNC, addresses: Vec::new() },
        };
        message.encode_length_delimited_to_vec()
    }

    /// Decodes a message without its length. Addresses that are not valid are left out, and so are those after the
    /// first eight.
    ///
    /// # Errors
    /// When the bytes are no message of the protocol.
    pub fn decode(bytes: &[u8]) -> Result<Self, PunchDecodeError> {
        let message = HolePunch::decode(bytes)?;
        match message.kind {
            CONNECT => {
                let addresses = message.addresses.into_iter().take(MAX_ADDRESSES);
                Ok(Self::Connect(addresses.filter_map(|bytes| bytes.try_into().ok()).collect()))
            }
            SYNC => Ok(Self::Sync),
            kind => Err(PunchDecodeError::Kind(kind)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_the_bytes_of_the_specification() {
        let address: Multiaddr = "/ip4/1.2.3.4/tcp/5".parse().unwrap();
        let connect = PunchMessage::Connect(vec![address.clone()]);
        let bytes = connect.encode();
        assert_eq!(bytes, [&[12, 8, 100, 18, 8], address.to_vec().as_slice()].concat());
        assert_eq!(PunchMessage::decode(&bytes[1..]).unwrap(), connect);
        assert_eq!(PunchMessage::Sync.encode(), [3, 8, 0xac, 2]);
    }

    #[test]
    fn of_many_addresses_the_first_valid_ones_are_read() {
        let mut addresses = vec![vec![0xff; 9]];
        addresses.extend((0..200).map(|port| {
            let address: Multiaddr = format!("/ip4/1.2.3.4/tcp/{}", 1 + port).parse().unwrap();
            address.to_vec()
        }));
        let bytes = HolePunch { kind: CONNECT, addresses }.encode_to_vec();
        let Ok(PunchMessage::Connect(read)) = PunchMessage::decode(&bytes) else { panic!() };
        assert_eq!(read.len(), MAX_ADDRESSES - 1);
    }

    #[test]
    fn other_bytes_are_refused() {
        assert!(matches!(PunchMessage::decode(&[8, 1]), Err(PunchDecodeError::Kind(1))));
        assert!(matches!(PunchMessage::decode(&[0xff; 5]), Err(PunchDecodeError::Protobuf(_))));
    }
}
