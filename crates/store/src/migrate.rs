//! Migration of older formats to the present one, step by step, in a single commit. A file is either unchanged or
//! completely migrated.

use crate::row;
use crate::store::{META, RECORDS};
use redb::{Database, ReadableTable as _, WriteTransaction};

/// Number of the present format.
pub(crate) const FORMAT: u64 = 2;
/// Key of the format in the table `meta`.
pub(crate) const KEY: &str = "format";

/// A step from one format to the next.
type Step = fn(&WriteTransaction) -> Result<(), redb::Error>;

/// The step at index `n` migrates from format `n + 1`.
const STEPS: [Step; (FORMAT - 1) as usize] = [row_version_2];

/// Returns whether a file of this format can be migrated to the present one.
pub(crate) fn is_known(format: u64) -> bool {
    (1..=FORMAT).contains(&format)
}

/// Migrates a file of a known format (see [`is_known`]) to the present one.
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

/// Migrates to format 2. A row of version 1 has the time until which this node had to keep the record. In its place, a
/// row of version 2 has the time until which the signer wants the record to be kept. Earlier signatures do not include
/// such a time, so the record is kept until its validity ends.
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
