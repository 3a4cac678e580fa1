//! The bytes of a catalogue.
//!
//! A catalogue is a file of lines. Each line is a JSON object about one file:
//!
//! ```json
//! {"cid":"bafy…","shares":true,"info":{"filename":"a.bag","size":5,"changed":1800000000,"uploader":"12D3…"}}
//! ```
//!
//! - `cid`: CID of the file, as in `share/files`.
//! - `shares`: `true` if the file is in a shared folder of this robot; otherwise absent.
//! - `keeps`: `true` if the robot keeps the file for another robot; otherwise absent.
//! - `info`: the description, as in `share/info/CID`; absent if it is too long for a record.
//! - `receipt`: the statement of this robot that the file is in a storage, as in `uploads/CID`; absent if it did not upload
//!   the file.
//!
//! A line has at least one of `shares`, `keeps` and `receipt`.
//!
//! Unknown keys are ignored. The CIDs are strictly ascending in their binary form. The file is divided into pieces of
//! whole lines. A piece ends where the hash in a CID says so, so a change of one line changes one piece. In IPFS each
//! piece is one raw block.
//!
//! A reader refuses the whole catalogue if any of this does not hold.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::buckets;
use crate::info::{Description, InfoError};
use crate::receipts::Receipt;
use bytes::Bytes;
use dcache::Data;
use ipfs::Cid;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Maximum size of a catalogue in bytes.
pub(crate) const MAX_BYTES: u64 = 32 << 20;
/// Maximum number of lines of a catalogue.
pub(crate) const MAX_LINES: usize = 100_000;
/// Maximum length of a line in bytes, with the line feed. The description and the receipt have at most 1024 bytes each.
pub(crate) const MAX_LINE_BYTES: usize = 2304;
/// Minimum length, in bytes, of a piece that ends at a hash. Smaller blocks cost more links than they save.
const MIN_PIECE_BYTES: usize = 4 << 10;
/// Maximum length of a piece in bytes.
const MAX_PIECE_BYTES: usize = 64 << 10;
/// Mean number of lines until a piece ends at a hash. With usual descriptions, a piece has about 16 KiB.
const MEAN_LINES: u32 = 64;

/// The statements of a robot about one file in its catalogue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CatalogEntry {
    /// Whether the file is in a shared folder of the robot.
    pub shares: bool,
    /// Whether the robot keeps the file for another robot.
    pub keeps: bool,
    /// Description of the file, in the form of `share/info/CID`.
    pub info: Option<Data>,
    /// Statement of the robot that the file is in a storage.
    pub receipt: Option<Arc<Receipt>>,
}

impl CatalogEntry {
    /// Returns whether the robot has the file.
    pub(crate) fn is_held(&self) -> bool {
        self.shares || self.keeps
    }
}

/// The files of a catalogue, by CID.
pub type CatalogEntries = BTreeMap<Cid, CatalogEntry>;

/// Reason why a catalogue is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// A line is too long.
    #[error("line {0} has more than {MAX_LINE_BYTES} bytes")]
    Long(usize),
    /// There are too many lines.
    #[error("it has more than {MAX_LINES} lines")]
    Many,
    /// A line is not such a JSON object.
    #[error("line {0} is not the JSON of a file: {1}")]
    Shape(usize, String),
    /// A line has no valid CID.
    #[error("line {0} has no valid CID")]
    Cid(usize),
    /// A line neither shares nor keeps the file, and has no receipt.
    #[error("line {0} states nothing about its file")]
    Nothing(usize),
    /// The CIDs are not strictly ascending.
    #[error("the CID of line {0} does not follow the one before")]
    Order(usize),
    /// A description is not valid.
    #[error("line {0}: {1}")]
    Info(usize, #[source] InfoError),
    /// A description is too long.
    #[error("the description in line {0} is longer than that of a record")]
    LongInfo(usize),
    /// A receipt is too long.
    #[error("the receipt in line {0} is longer than that of a record")]
    LongReceipt(usize),
    /// The last line does not end with a line feed.
    #[error("its last line is not complete")]
    Incomplete,
}

#[derive(Serialize, Deserialize)]
struct Line {
    cid: String,
    #[serde(default, skip_serializing_if = "is_false")]
    shares: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    keeps: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    info: Option<Description>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    receipt: Option<Receipt>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// Returns the pieces of a catalogue. Entries beyond 100,000 lines or 32 MiB are left out.
pub fn pieces(entries: &CatalogEntries) -> Vec<Bytes> {
    let (mut pieces, mut piece, mut bytes) = (Vec::new(), Vec::new(), 0);
    for (cid, entry) in entries.iter().take(MAX_LINES) {
        let Some(line) = line(cid, entry) else { continue };
        if bytes + line.len() as u64 > MAX_BYTES {
            break;
        }
        bytes += line.len() as u64;
        if piece.len() + line.len() > MAX_PIECE_BYTES {
            pieces.push(std::mem::take(&mut piece).into());
        }
        piece.extend_from_slice(line.as_bytes());
        if piece.len() >= MIN_PIECE_BYTES && ends_piece(cid) {
            pieces.push(std::mem::take(&mut piece).into());
        }
    }
    if !piece.is_empty() {
        pieces.push(piece.into());
    }
    pieces
}

/// Returns the line of a file, or `None` when its description is not valid.
fn line(cid: &Cid, entry: &CatalogEntry) -> Option<String> {
    let info = entry.info.as_ref().map(Description::from_data).transpose().ok()?;
    let receipt = entry.receipt.as_deref().cloned();
    let line = Line { cid: cid.to_string(), shares: entry.shares, keeps: entry.keeps, info, receipt };
    Some(serde_json::to_string(&line).ok()? + "\n")
}

/// Returns whether a piece ends after the line with this CID. The digest of a CID is a hash of the content.
fn ends_piece(cid: &Cid) -> bool {
    let digest = cid.hash().digest();
    let last = digest.last_chunk::<4>().copied().map_or(0, u32::from_be_bytes);
    last % MEAN_LINES == 0
}

/// Reads a catalogue whose bytes arrive in parts of any length.
#[derive(Debug, Default)]
pub struct CatalogReader {
    entries: CatalogEntries,
    /// The beginning of a line whose rest has not arrived.
    begun: Vec<u8>,
    lines: usize,
}

impl CatalogReader {
    /// Reads the next bytes.
    ///
    /// # Errors
    /// When the catalogue must be refused. The reader must not be used after that.
    pub fn read(&mut self, mut bytes: &[u8]) -> Result<(), CatalogError> {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = bytes.split_at(end);
            bytes = rest.get(1..).unwrap_or_default();
            if self.begun.is_empty() {
                self.line(line)?;
            } else {
                self.begin(line)?;
                let line = std::mem::take(&mut self.begun);
                self.line(&line)?;
            }
        }
        self.begin(bytes)
    }

    /// Ends the reading, and returns the entries.
    ///
    /// # Errors
    /// When the last line is not complete.
    pub fn finish(self) -> Result<CatalogEntries, CatalogError> {
        if self.begun.is_empty() { Ok(self.entries) } else { Err(CatalogError::Incomplete) }
    }

    fn begin(&mut self, part: &[u8]) -> Result<(), CatalogError> {
        if self.begun.len() + part.len() >= MAX_LINE_BYTES {
            return Err(CatalogError::Long(self.lines + 1));
        }
        self.begun.extend_from_slice(part);
        Ok(())
    }

    fn line(&mut self, line: &[u8]) -> Result<(), CatalogError> {
        self.lines += 1;
        let number = self.lines;
        if number > MAX_LINES {
            return Err(CatalogError::Many);
        }
        if line.len() >= MAX_LINE_BYTES {
            return Err(CatalogError::Long(number));
        }
        let read: Line =
            serde_json::from_slice(line).map_err(|error| CatalogError::Shape(number, error.to_string()))?;
        let cid = buckets::parse(&read.cid).ok_or(CatalogError::Cid(number))?;
        if !read.shares && !read.keeps && read.receipt.is_none() {
            return Err(CatalogError::Nothing(number));
        }
        if self.entries.last_key_value().is_some_and(|(last, _)| *last >= cid) {
            return Err(CatalogError::Order(number));
        }
        let info = read.info.map(|info| info_data(info, number)).transpose()?;
        if read.receipt.as_ref().is_some_and(|receipt| receipt.to_data().is_none()) {
            return Err(CatalogError::LongReceipt(number));
        }
        let receipt = read.receipt.map(Arc::new);
        self.entries.insert(cid, CatalogEntry { shares: read.shares, keeps: read.keeps, info, receipt });
        Ok(())
    }
}

fn info_data(info: Description, line: usize) -> Result<Data, CatalogError> {
    let info = info.checked().map_err(|error| CatalogError::Info(line, error))?;
    info.to_data().map_err(|_| CatalogError::LongInfo(line))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::index::tests::{cid, description};
    use crate::receipts::tests::receipt;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::sync::LazyLock;

    /// Returns the CID of the file with this number. Its last bytes are as random as those of a true CID.
    pub(crate) fn numbered(number: u32) -> Cid {
        let mut bytes = cid().to_bytes();
        let begin = bytes.len() - 32;
        let digest = dcache::Digest::of(&number.to_be_bytes());
        for (byte, hashed) in bytes[begin..].iter_mut().zip(digest.as_bytes().iter().cycle()) {
            *byte = *hashed;
        }
        Cid::try_from(bytes.as_slice()).unwrap()
    }

    pub(crate) fn entry(number: u32) -> CatalogEntry {
        // The keypair behind a peer ID takes milliseconds.
        static DESCRIPTION: LazyLock<Description> = LazyLock::new(|| description(1, "a.bag"));
        let filename = format!("run{number}.bag");
        let info = Description { filename, ..DESCRIPTION.clone() }.to_data().unwrap();
        CatalogEntry { shares: true, keeps: false, info: Some(info), receipt: None }
    }

    /// Returns the entry of a robot that uploaded the file with this number, and has it if `is_held`.
    pub(crate) fn uploaded(number: u32, is_held: bool) -> CatalogEntry {
        let receipt = Some(Arc::new(receipt(number, u64::from(number))));
        let held = if is_held { entry(number) } else { CatalogEntry::default() };
        CatalogEntry { receipt, ..held }
    }

    fn entries(numbers: impl IntoIterator<Item = u32>) -> CatalogEntries {
        numbers.into_iter().map(|number| (numbered(number), entry(number))).collect()
    }

    fn read(parts: &[Bytes]) -> Result<CatalogEntries, CatalogError> {
        let mut reader = CatalogReader::default();
        parts.iter().try_for_each(|part| reader.read(part))?;
        reader.finish()
    }

    fn text(lines: &str) -> Result<CatalogEntries, CatalogError> {
        read(&[Bytes::copy_from_slice(lines.as_bytes())])
    }

    #[test]
    fn a_change_of_one_file_changes_one_or_two_pieces_of_many() {
        let before: BTreeSet<Bytes> = pieces(&entries(0..5000)).into_iter().collect();
        let sizes: Vec<usize> = before.iter().map(Bytes::len).collect();
        assert!((40..200).contains(&sizes.len()), "{} pieces", sizes.len());
        assert!(sizes.iter().all(|size| *size <= MAX_PIECE_BYTES));
        for (what, after) in [("added", entries(0..5001)), ("removed", entries(1..5000))] {
            let after: BTreeSet<Bytes> = pieces(&after).into_iter().collect();
            let new = after.difference(&before).count();
            assert!((1..=2).contains(&new), "{new} new pieces after a file was {what}");
        }
    }

    #[test]
    fn too_many_files_are_left_out() {
        let entry = CatalogEntry { shares: true, ..CatalogEntry::default() };
        let entries: CatalogEntries =
            (0..MAX_LINES as u32 + 5).map(|number| (numbered(number), entry.clone())).collect();
        let written = pieces(&entries);
        assert!(written.iter().map(|piece| piece.len() as u64).sum::<u64>() <= MAX_BYTES);
        assert_eq!(read(&written).unwrap().len(), MAX_LINES);
    }

    #[test]
    fn a_catalogue_with_any_wrong_line_is_refused() {
        let good = pieces(&entries(0..2)).concat();
        let good = std::str::from_utf8(&good).unwrap();
        let [first, second] = good.split_inclusive('\n').collect::<Vec<_>>()[..] else { panic!("{good}") };
        assert_eq!(text(&[first, second].concat()).unwrap().len(), 2);
        assert_eq!(text("").unwrap().len(), 0);
        assert_eq!(text(&[second, first].concat()), Err(CatalogError::Order(2)));
        assert_eq!(text(&[first, first].concat()), Err(CatalogError::Order(2)));
        assert_eq!(text(first.trim_end()), Err(CatalogError::Incomplete));
        assert_eq!(text(&first.replace("\"shares\":true", "\"x\":1")), Err(CatalogError::Nothing(1)));
        assert_eq!(text(&first.replace("\"cid\":\"baf", "\"cid\":\"BAF")), Err(CatalogError::Cid(1)));
        assert!(matches!(
            text(&first.replace("run0.bag", "../0").replace("run1.bag", "../0")),
            Err(CatalogError::Info(1, _))
        ));
        assert!(matches!(text("\n"), Err(CatalogError::Shape(1, _))));
        assert_eq!(text(&"x".repeat(MAX_LINE_BYTES)), Err(CatalogError::Long(1)));
        assert_eq!(text(&("x".repeat(MAX_LINE_BYTES) + "\n")), Err(CatalogError::Long(1)));
        let receipt = |place: &str| {
            first.replace(
                "\"shares\":true",
                &format!("\"receipt\":{{\"place\":{place},\"time\":1,\"bytes\":2}}"),
            )
        };
        assert_eq!(text(&receipt("\"file:///a\"")).unwrap().len(), 1, "a receipt is a statement");
        assert!(matches!(text(&receipt("7")), Err(CatalogError::Shape(1, _))));
        assert_eq!(text(&receipt(&format!("{:?}", "x".repeat(1000)))), Err(CatalogError::LongReceipt(1)));
        let longer = first.replace("\"shares\"", "\"later\":[1],\"shares\"");
        assert_eq!(text(&longer).unwrap().len(), 1, "unknown keys are ignored");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn a_catalogue_is_the_same_after_writing_and_reading_in_any_parts(
            numbers in prop::collection::btree_set(0..100_000u32, 0..300),
            length in 1..5000usize,
        ) {
            let entry = |number: u32| match number % 4 {
                0 => uploaded(number, true),
                1 => uploaded(number, false),
                _ => entry(number),
            };
            let entries: CatalogEntries =
                numbers.into_iter().map(|number| (numbered(number), entry(number))).collect();
            let whole = pieces(&entries).concat();
            let parts: Vec<Bytes> = whole.chunks(length).map(Bytes::copy_from_slice).collect();
            prop_assert_eq!(read(&parts).unwrap(), entries);
        }

        #[test]
        fn any_text_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = read(&[bytes.into()]);
        }
    }
}
