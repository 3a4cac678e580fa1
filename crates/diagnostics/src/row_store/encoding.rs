//! A stored row as bytes.
//!
//! | bytes | content |
//! |---|---|
//! | 0 to 7 | milliseconds since the boot, big-endian |
//! | 8 to 15 | time of day in seconds, big-endian |
//! | 16 | 0: the row has no place in time; 1: the time is exact; 2: it is an estimate |
//! | for each value: 1 to 5 | number of the series times two, plus one if the value is no whole number, as LEB128 |
//! | 1 to 10, or 8 | a whole number as LEB128 in zigzag form, or the eight bytes of the floating-point number |
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::collectors::intake::Position;
use crate::metrics::Series;
use crate::sample::Readings;
use dcache::Time;
use std::collections::BTreeMap;

/// Size, in bytes, of the part before the values.
const HEAD_BYTES: usize = 17;
/// Greatest whole number that every floating-point number below it can represent.
const MAX_WHOLE: f64 = 9_007_199_254_740_992.0;

/// Writes a row.
pub(super) fn encode_row(millis: u64, position: Option<Position>, values: &[(u32, f64)]) -> Vec<u8> {
    let mut row = millis.to_be_bytes().to_vec();
    row.resize(HEAD_BYTES, 0);
    if let Some(position) = position {
        set_position(&mut row, position);
    }
    for (number, value) in values {
        let whole = whole(*value);
        put(&mut row, u64::from(*number) << 1 | u64::from(whole.is_none()));
        match whole {
            Some(whole) => put(&mut row, ((whole << 1) ^ (whole >> 63)) as u64),
            None => row.extend_from_slice(&value.to_be_bytes()),
        }
    }
    row
}

/// Changes the place of a row.
pub(super) fn set_position(row: &mut [u8], position: Position) {
    if let Some(place) = row.get_mut(8..HEAD_BYTES) {
        place[..8].copy_from_slice(&position.time.0.to_be_bytes());
        place[8] = if position.is_exact { 1 } else { 2 };
    }
}

/// Reads the place and the values of a row. Series without a name are left out.
pub(super) fn decode_row(row: &[u8], names: &BTreeMap<u32, Series>) -> Option<(Option<Position>, Readings)> {
    let (head, mut rest) = row.split_first_chunk::<HEAD_BYTES>()?;
    let time = Time(u64::from_be_bytes(*head[8..].first_chunk()?));
    let position = match head[16] {
        0 => None,
        kind => Some(Position { time, is_exact: kind == 1 }),
    };
    let mut readings = Readings::default();
    while !rest.is_empty() {
        let tag = take(&mut rest)?;
        let value = if tag & 1 == 0 {
            let zigzag = take(&mut rest)?;
            ((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64)) as f64
        } else {
            let (value, after) = rest.split_first_chunk()?;
            rest = after;
            f64::from_be_bytes(*value)
        };
        if let Some(series) = u32::try_from(tag >> 1).ok().and_then(|number| names.get(&number)) {
            readings.put(series.clone(), value);
        }
    }
    Some((position, readings))
}

/// Returns the value as a whole number, if that loses nothing.
fn whole(value: f64) -> Option<i64> {
    let is_whole =
        value.fract() == 0.0 && value.abs() < MAX_WHOLE && !(value == 0.0 && value.is_sign_negative());
    is_whole.then_some(value as i64)
}

fn put(row: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        row.push(number as u8 | 0x80);
        number >>= 7;
    }
    row.push(number as u8);
}

fn take(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Label, TEMPERATURE};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_row_is_the_same_after_writing_and_reading(
            millis in any::<u64>(),
            place in proptest::option::of((any::<u64>(), any::<bool>())),
            values in proptest::collection::btree_map(0..2000_u32, prop_oneof![
                any::<f64>().prop_filter("finite", |value| value.is_finite()),
                (-9_007_199_254_740_993_i64..9_007_199_254_740_993).prop_map(|whole| whole as f64),
                Just(-0.0),
            ], 0..100),
        ) {
            let name = |number: &u32| Series { metric: &TEMPERATURE, label: Label::new(&format!("{number:04}")) };
            let names: BTreeMap<u32, Series> = values.keys().map(|number| (*number, name(number))).collect();
            let position = place.map(|(time, is_exact)| Position { time: Time(time), is_exact });
            let listed: Vec<(u32, f64)> = values.clone().into_iter().collect();
            let row = encode_row(millis, position, &listed);
            let (read, readings) = decode_row(&row, &names).unwrap();
            let bits: Vec<u64> = readings.iter().map(|reading| reading.value.to_bits()).collect();
            let expected: Vec<u64> = values.values().map(|value| value.to_bits()).collect();
            prop_assert_eq!((read, bits), (position, expected));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = decode_row(&bytes, &BTreeMap::new());
        }
    }
}
