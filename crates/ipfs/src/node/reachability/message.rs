//! The messages of AutoNAT v2. On a stream for requests, each is a protobuf message after its length, an unsigned
//! varint.
//!
//! A client names addresses and a number. The server dials one of the addresses, and returns the number over the new
//! connection. So the client knows that the address leads to it.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use libp2p::Multiaddr;
use prost::Message as _;

/// Maximum length of a message in bytes.
pub const MAX_PROBE_BYTES: usize = 4104;
/// Maximum number of addresses that are read of one request.
pub const MAX_PROBE_ADDRESSES: usize = 8;
/// Maximum number of bytes of padding in one message.
pub(super) const MAX_PADDING: usize = 4096;

/// A message on a stream for requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeMessage {
    /// The client asks the server to dial one of these addresses.
    Request {
        /// The addresses, those of most interest first. An address that cannot be read is `None`.
        addresses: Vec<Option<Multiaddr>>,
        /// The number that the server returns over the new connection.
        nonce: u64,
    },
    /// The server tells the result.
    Response(ProbeResponse),
    /// The server asks for this number of bytes before it dials, so that its dial costs the client more than the target.
    PaddingRequest(u64),
    /// The client sends this number of bytes of padding.
    Padding(usize),
}

/// The result of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeResponse {
    /// The server does not serve the request now, or dials none of the addresses.
    Refused,
    /// The server dialled the address with this index, with this result.
    Dialled(u32, DialResult),
}

/// The result of a dial of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialResult {
    /// The address leads to the client.
    Reached,
    /// No connection could be made.
    Unreachable,
    /// A connection was made, but the client did not take the number.
    NotConfirmed,
}

/// The bytes are no message of the protocol.
#[derive(Debug, thiserror::Error)]
pub enum ProbeDecodeError {
    /// The bytes are no protobuf message.
    #[error("not a protobuf message")]
    Protobuf(#[from] prost::DecodeError),
    /// The message is of no known kind.
    #[error("unknown kind of message")]
    Kind,
    /// The message has more padding than the protocol allows.
    #[error("more than {MAX_PADDING} bytes of padding")]
    TooLong,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
struct Envelope {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4")]
    kind: Option<Kind>,
}

#[derive(Clone, PartialEq, Eq, prost::Oneof)]
enum Kind {
    #[prost(message, tag = "1")]
    Request(Request),
    #[prost(message, tag = "2")]
    Response(Response),
    #[prost(message, tag = "3")]
    PaddingRequest(PaddingRequest),
    #[prost(message, tag = "4")]
    Padding(Padding),
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
struct Request {
    #[prost(bytes = "vec", repeated, tag = "1")]
    addresses: Vec<Vec<u8>>,
    #[prost(fixed64, tag = "2")]
    nonce: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
struct Response {
    #[prost(int32, tag = "1")]
    status: i32,
    #[prost(uint32, tag = "2")]
    index: u32,
    #[prost(int32, tag = "3")]
    dial: i32,
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
struct PaddingRequest {
    #[prost(uint32, tag = "1")]
    index: u32,
    #[prost(uint64, tag = "2")]
    bytes: u64,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
struct Padding {
    #[prost(bytes = "vec", tag = "1")]
    data: Vec<u8>,
}

/// The message on the new connection.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
struct DialBack {
    #[prost(fixed64, tag = "1")]
    nonce: u64,
}

const OK: i32 = 200;
const DIAL_REFUSED: i32 = 101;
const DIAL_ERROR: i32 = 100;
const DIAL_BACK_ERROR: i32 = 101;

/// The answer to a [`DialBack`]: an empty message, because its only field has the value zero.
pub(super) const DIAL_BACK_ANSWER: [u8; 1] = [0];
/// Maximum length of a message on the new connection in bytes.
pub(super) const MAX_DIAL_BACK_BYTES: usize = 64;

impl ProbeMessage {
    /// Encodes the message, with its length in front. An address that could not be read becomes an empty one.
    pub fn encode(&self) -> Vec<u8> {
        let kind = match self {
            Self::Request { addresses, nonce } => {
                let bytes =
                    |address: &Option<Multiaddr>| address.as_ref().map_or(Vec::new(), Multiaddr::to_vec);
                let addresses = addresses.iter().take(MAX_PROBE_ADDRESSES).map(bytes).collect();
                Kind::Request(Request { addresses, nonce: *nonce })
            }
            Self::Response(response) => Kind::Response(Response::from(*response)),
            Self::PaddingRequest(bytes) => Kind::PaddingRequest(PaddingRequest { index: 0, bytes: *bytes }),
            Self::Padding(bytes) => Kind::Padding(Padding { data: vec![0; (*bytes).min(MAX_PADDING)] }),
        };
        Envelope { kind: Some(kind) }.encode_length_delimited_to_vec()
    }

    /// Decodes a message without its length.
    ///
    /// # Errors
    /// When the bytes are no message of the protocol.
    pub fn decode(bytes: &[u8]) -> Result<Self, ProbeDecodeError> {
        Ok(match Envelope::decode(bytes)?.kind.ok_or(ProbeDecodeError::Kind)? {
            Kind::Request(Request { addresses, nonce }) => {
                let read = |bytes: Vec<u8>| Multiaddr::try_from(bytes).ok().filter(|read| !read.is_empty());
                let addresses = addresses.into_iter().take(MAX_PROBE_ADDRESSES).map(read).collect();
                Self::Request { addresses, nonce }
            }
            Kind::Response(response) => Self::Response(response.into()),
            Kind::PaddingRequest(request) => Self::PaddingRequest(request.bytes),
            Kind::Padding(padding) if padding.data.len() <= MAX_PADDING => Self::Padding(padding.data.len()),
            Kind::Padding(_) => return Err(ProbeDecodeError::TooLong),
        })
    }
}

impl From<ProbeResponse> for Response {
    fn from(response: ProbeResponse) -> Self {
        match response {
            ProbeResponse::Refused => Self { status: DIAL_REFUSED, index: 0, dial: 0 },
            ProbeResponse::Dialled(index, result) => {
                let dial = match result {
                    DialResult::Reached => OK,
                    DialResult::Unreachable => DIAL_ERROR,
                    DialResult::NotConfirmed => DIAL_BACK_ERROR,
                };
                Self { status: OK, index, dial }
            }
        }
    }
}

impl From<Response> for ProbeResponse {
    fn from(Response { status, index, dial }: Response) -> Self {
        match (status, dial) {
            (OK, OK) => Self::Dialled(index, DialResult::Reached),
            (OK, DIAL_ERROR) => Self::Dialled(index, DialResult::Unreachable),
            (OK, DIAL_BACK_ERROR) => Self::Dialled(index, DialResult::NotConfirmed),
            _ => Self::Refused,
        }
    }
}

/// Encodes the message on the new connection, with its length in front.
pub(super) fn encode_dial_back(nonce: u64) -> Vec<u8> {
    DialBack { nonce }.encode_length_delimited_to_vec()
}

/// Returns the number in a message on the new connection, without its length.
pub(super) fn decode_dial_back(bytes: &[u8]) -> Result<u64, ProbeDecodeError> {
    Ok(DialBack::decode(bytes)?.nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_the_bytes_of_the_specification() {
        let address: Multiaddr = "/ip4/1.2.3.4/tcp/5".parse().unwrap();
        let request = ProbeMessage::Request { addresses: vec![Some(address.clone())], nonce: 7 };
        let bytes = request.encode();
        let nonce = [0x11, 7, 0, 0, 0, 0, 0, 0, 0];
        let body = [&[10, 8], address.to_vec().as_slice(), nonce.as_slice()].concat();
        assert_eq!(bytes, [&[21, 10, 19], body.as_slice()].concat());
        assert_eq!(ProbeMessage::decode(&bytes[1..]).unwrap(), request);
        let reached = ProbeMessage::Response(ProbeResponse::Dialled(0, DialResult::Reached));
        assert_eq!(reached.encode(), [8, 18, 6, 8, 200, 1, 24, 200, 1]);
        assert_eq!(encode_dial_back(7), [&[9, 9], &nonce[1..]].concat());
        assert_eq!(decode_dial_back(&encode_dial_back(7)[1..]).unwrap(), 7);
    }

    #[test]
    fn all_messages_are_read_as_they_were_written() {
        let address = |port| format!("/ip4/1.2.3.4/tcp/{port}").parse().ok();
        let messages = [
            ProbeMessage::Request { addresses: vec![address(1), None, address(2)], nonce: u64::MAX },
            ProbeMessage::Response(ProbeResponse::Refused),
            ProbeMessage::Response(ProbeResponse::Dialled(1, DialResult::Unreachable)),
            ProbeMessage::Response(ProbeResponse::Dialled(3, DialResult::NotConfirmed)),
            ProbeMessage::PaddingRequest(30_000),
        ];
        for message in messages {
            let encoded = message.encode();
            assert_eq!(ProbeMessage::decode(&encoded[1..]).unwrap(), message);
        }
        let padding = ProbeMessage::Padding(MAX_PADDING).encode();
        assert!(padding.len() <= MAX_PROBE_BYTES + 2);
        assert_eq!(ProbeMessage::decode(&padding[2..]).unwrap(), ProbeMessage::Padding(MAX_PADDING));
    }

    #[test]
    fn of_many_addresses_the_first_ones_are_read() {
        let addresses = (0..200).map(|port| format!("/ip4/1.2.3.4/tcp/{}", 1 + port).parse::<Multiaddr>());
        let addresses = addresses.map(|address| address.unwrap().to_vec()).collect();
        let kind = Some(Kind::Request(Request { addresses, nonce: 1 }));
        let read = ProbeMessage::decode(&Envelope { kind }.encode_to_vec()).unwrap();
        assert!(
            matches!(read, ProbeMessage::Request { addresses, .. } if addresses.len() == MAX_PROBE_ADDRESSES)
        );
    }

    #[test]
    fn other_bytes_are_refused() {
        assert!(matches!(ProbeMessage::decode(&[]), Err(ProbeDecodeError::Kind)));
        assert!(matches!(ProbeMessage::decode(&[0xff; 5]), Err(ProbeDecodeError::Protobuf(_))));
        assert!(decode_dial_back(&[0xff; 5]).is_err());
    }
}
