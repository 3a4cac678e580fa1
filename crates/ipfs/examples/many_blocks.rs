//! Measures the cost of a large store: `cargo run --release -p ipfs --example many_blocks FOLDER [BLOCKS] [BYTES]`
//!
//! Fills a store in the folder with this number of blocks of this size, and opens it again. The page cache is emptied
//! before; this needs root, and a message says when it fails. Prints times and memory. The folder should be on the disk
//! that is measured. 131,000 blocks of 262,144 bytes are 32 GB; smaller blocks show whether opening depends on their
//! size.
#![allow(missing_docs, reason = "an example")]

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use cid::Cid;
use ipfs::store::{Store, StoreConfig};
use multihash_codetable::{Code, MultihashDigest};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("FOLDER is missing")?;
    let blocks: u32 = arguments.next().map_or(Ok(131_000), |number| number.parse())?;
    let bytes: usize = arguments.next().map_or(Ok(4096), |number| number.parse())?;
    let config = StoreConfig { directory: folder.into(), max_bytes: u64::MAX, min_free_bytes: 0 };
    let begun = Instant::now();
    let (store, _) = Store::open(config.clone())?;
    for number in 0..blocks {
        let data: Vec<u8> = number.to_le_bytes().into_iter().cycle().take(bytes).collect();
        store.put(&Cid::new_v1(0x55, Code::Sha2_256.digest(&data)), &data)?;
    }
    store.sync()?;
    println!("{blocks} blocks of {bytes} bytes stored and synced in {:.1?}", begun.elapsed());
    drop(store);
    if std::fs::write("/proc/sys/vm/drop_caches", "3").is_err() {
        println!("not root: the page cache is not emptied, so opening is faster than after a start");
    }
    let before = resident()?;
    let begun = Instant::now();
    let (store, report) = Store::open(config)?;
    println!("opened in {:.2?}: {} blocks", begun.elapsed(), report.blocks);
    println!("memory: {:.1} MB more than before", (resident()? - before) as f64 / 1e6);
    drop(store);
    Ok(())
}

fn resident() -> Result<u64, Box<dyn Error>> {
    let text = std::fs::read_to_string(Path::new("/proc/self/statm"))?;
    let pages: u64 = text.split(' ').nth(1).ok_or("no resident pages")?.parse()?;
    Ok(pages * 4096)
}
