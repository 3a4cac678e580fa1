//! The limits of addresses.

/// Maximum number of bytes of an address.
pub const MAX_ADDRESS_BYTES: usize = 512;
/// Maximum number of channels in one address.
pub const MAX_HOPS: u8 = 8;
