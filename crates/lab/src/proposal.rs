//! Proposals made by tests and experiments.

use dcache::{BucketPath, Data, Item, Kind, Statement, Time, Validity};

use crate::error::{Error, Result};

/// Returns the statement that `data` is in `bucket`, valid from `from` for `lifetime` seconds.
///
/// # Errors
/// When the bucket or the data is malformed.
pub(crate) fn proposal(bucket: &str, data: &str, from: Time, lifetime: u64) -> Result<Statement> {
    let failed = |problem: String| Error::answer(format!("proposing {data:?} in {bucket:?}"), problem);
    let bucket: BucketPath = bucket.parse().map_err(|error| failed(format!("{error}")))?;
    let data = Data::new(data).map_err(|error| failed(error.to_string()))?;
    let statement = Statement::new(Kind::Propose, Item { bucket, data }, Validity::starting(from, lifetime));
    statement.map_err(|error| failed(error.to_string()))
}
