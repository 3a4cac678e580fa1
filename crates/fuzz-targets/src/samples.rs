//! What the targets' seeds are made of.

use dcache::{Data, End, Item, Keypair, Kind, PeerId, Record, Statement, Time, Validity, buckets};

/// A key like any other.
pub(crate) fn keypair() -> Keypair {
    Keypair::from_seed([1; 32])
}

/// Its owner.
pub(crate) fn peer() -> PeerId {
    keypair().peer_id()
}

/// A signed statement.
#[expect(clippy::expect_used, reason = "the parts are well within their bounds")]
pub(crate) fn record() -> Record {
    let bucket = buckets::SHARE_FILES.path();
    let data = Data::new("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku").expect("short data");
    let validity = Validity::starting(Time(1_511_000_000), 600);
    let statement = Statement::new(Kind::Propose, Item { bucket, data }, validity).expect("a short payload");
    Record::sign(statement, &keypair(), 7, End::default())
}
