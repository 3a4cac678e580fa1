//! From older formats to the present one, step by step, all in one commit: a file is either as it was, or wholly new.

use crate::row;
use crate::store::{META, RECORDS};
use redb::{Database, ReadableTable as _, WriteTransaction};

/// The present format.
pub(crate) const FORMAT: u64 = 2;
/// The key under which the format stands.
pub(crate) const KEY: &str = "format";

/// A step from one format to the next.
type Step = fn(&WriteTransaction) -> Result<(), redb::Error>;

/// The step from format `n + 1` stands at `n`.
const STEPS: [Step; (FORMAT - 1) as usize] = [row_version_2];

/// Whether a file of this format can be brought to the present one.
pub(crate) fn is_known(format: u64) -> bool {
    (1..=FORMAT).contains(&format)
}

/// Brings a file that [`is_known`] to the present format.
pub(crate) fn migrate(database: &Database, format: u64) -> Result<(), redb::Error> {
    if format == FORMAT {
        return Ok(());
    }
    let write = database.begin_write()?;
    for (_, step) in (1..).zip(STEPS).filter(|(from, _)| *from >= format) {
        step(&write)?;
    }
    write.open_table(META)?.insert(KEY, FORMAT)?;
    Ok(write.commit()?)
}

/// Format 2: in the place where a row had until when this node had to keep it stands until when its signer wants it to
/// be kept. Signatures of before say nothing about that, so what they say is that their validity is enough.
fn row_version_2(write: &WriteTransaction) -> Result<(), redb::Error> {
    let mut records = write.open_table(RECORDS)?;
    let mut rows = Vec::new();
    for entry in records.iter()? {
        let (key, value) = entry?;
        rows.extend(row::of_version_1_to_2(value.value()).map(|row| (key.value(), row)));
    }
    for (key, row) in rows {
        records.insert(key, row.as_slice())?;
    }
    Ok(())
}
