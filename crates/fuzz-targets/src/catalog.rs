//! Target: the catalogue of a robot, and the text of the record that names it.

use crate::samples::peer;
use dcache::Time;
use logs::{
    CatalogEntries, CatalogEntry, CatalogReader, Description, Receipt, StatedCatalog, catalog_pieces,
};
use std::sync::Arc;

/// CIDs of the sample entries, in ascending order.
const CIDS: [&str; 2] = [
    "bafkreiaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku",
];

/// Returns the seed inputs, from which the fuzzer starts.
pub fn seeds() -> Vec<Vec<u8>> {
    let entries = entries();
    let whole = catalog_pieces(&entries).concat();
    let swapped =
        std::str::from_utf8(&whole).unwrap_or_default().lines().rev().collect::<Vec<_>>().join("\n");
    vec![
        whole,
        swapped.into_bytes(),
        format!("{{\"cid\":\"{}\",\"keeps\":true,\"later\":[1]}}\n", CIDS[0]).into_bytes(),
        format!(
            "{{\"cid\":\"{}\",\"receipt\":{{\"place\":\"file:///a\",\"time\":1,\"bytes\":2}}}}\n",
            CIDS[0]
        )
        .into_bytes(),
        format!("{} 7 9", CIDS[1]).into_bytes(),
        Vec::new(),
    ]
}

/// Checks that a catalogue is the same after writing and reading, however its bytes are divided.
pub fn check(bytes: &[u8]) {
    let whole = read(&[bytes]);
    let middle = bytes.len() / 2;
    assert_eq!(
        whole,
        read(&[&bytes[..middle], &bytes[middle..]]),
        "the division of the bytes does not matter"
    );
    if let Some(entries) = whole {
        let pieces = catalog_pieces(&entries);
        let parts: Vec<&[u8]> = pieces.iter().map(AsRef::as_ref).collect();
        assert_eq!(read(&parts).as_ref(), Some(&entries));
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(stated) = text.parse::<StatedCatalog>()
    {
        assert_eq!(stated.to_string(), text);
    }
}

fn read(parts: &[&[u8]]) -> Option<CatalogEntries> {
    let mut reader = CatalogReader::default();
    parts.iter().try_for_each(|part| reader.read(part)).ok()?;
    reader.finish().ok()
}

fn entries() -> CatalogEntries {
    let description = Description {
        filename: "a \"b\" é.bag".to_owned(),
        path: "run/a \"b\" é.bag".parse().ok(),
        size: 868_400,
        changed: Time(1_511_000_000),
        uploader: peer(),
        recording: None,
    };
    let entry = |(number, cid): (usize, &str)| {
        let info = description.to_data().ok().filter(|_| number == 0);
        let place = "s3://logs/a \"b\" é at http://[::1]:80".to_owned();
        let receipt = Some(Arc::new(Receipt { place, time: Time(1_800_000_000), bytes: 868_400 }));
        let receipt = receipt.filter(|_| number > 0);
        let entry = CatalogEntry { shares: number == 0, keeps: number > 0, info, receipt };
        Some((logs::buckets::parse(cid)?, entry))
    };
    CIDS.into_iter().enumerate().filter_map(entry).collect()
}
