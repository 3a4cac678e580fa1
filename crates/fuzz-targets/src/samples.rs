//! Values that the seed inputs of several targets use.

use dcache::{Data, End, Item, Keypair, Kind, PeerId, Record, Statement, Time, Validity, buckets};

/// Returns an arbitrary, fixed key pair.
pub(crate) fn keypair() -> Keypair {
    Keypair::from_seed([1; 32])
}

/// Returns the peer ID of [`keypair`].
pub(crate) fn peer() -> PeerId {
    keypair().peer_id()
}

/// Returns a record signed by [`keypair`].
#[expect(clippy::expect_used, reason = "the parts are well within their bounds")]
pub(crate) fn record() -> Record {
    let bucket = buckets::SHARE_FILES.path();
    let data = Data::new("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku").expect("short data");
    let validity = Validity::starting(Time(1_511_000_000), 600);
    let statement = Statement::new(Kind::Propose, Item { bucket, data }, validity).expect("a short payload");
    Record::sign(statement, &keypair(), 7, End::default())
}
