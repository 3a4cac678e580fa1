//! What the targets share: texts and records to begin with.

use dcache::{Data, Item, Keypair, Kind, PeerId, Record, Statement, Time, Validity};
use std::path::PathBuf;

/// Names the folder into which a target writes its seeds before it begins; without it there are none.
const SEEDS: &str = "DT_SWARM_SEEDS";

/// Writes the inputs from which the fuzzer goes on. They are made by the code itself, so they never grow stale.
#[expect(clippy::expect_used, reason = "a fuzzer that cannot write its corpus has nothing to go on with")]
pub fn sow<const N: usize>(seeds: [Vec<u8>; N]) {
    let Some(folder) = std::env::var_os(SEEDS).map(PathBuf::from) else {
        return;
    };
    for (number, seed) in seeds.iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{number}")), seed).expect("a corpus that can be written");
    }
}

/// A key like any other.
pub fn keypair() -> Keypair {
    Keypair::from_seed([1; 32])
}

/// Its owner.
pub fn peer() -> PeerId {
    keypair().peer_id()
}

/// A signed statement.
#[expect(clippy::expect_used, reason = "the parts are well within their bounds")]
pub fn record() -> Record {
    let bucket = "share/files".parse().expect("a short path");
    let data = Data::new("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku").expect("short data");
    let validity = Validity::starting(Time(1_511_000_000), 600);
    let statement = Statement::new(Kind::Propose, Item { bucket, data }, validity).expect("a short payload");
    Record::sign(statement.into(), &keypair(), 7)
}
