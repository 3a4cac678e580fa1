//! The pages in which the catalogues are sent to the command line.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::format::{CatalogEntries, CatalogEntry};
use super::known::{CatalogVersion, Catalogs, Claim};
use crate::buckets;
use crate::protocol::{CatalogFile, CatalogLine, CatalogPage, CatalogRobot};
use dcache::{Data, PeerId};
use ipfs::Cid;
use service::page;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Estimate of the length, in bytes, of one line in a page.
const LINE_BYTES: usize = 60;
/// Estimate of the length, in bytes, of a receipt in a page, without the place.
const RECEIPT_BYTES: usize = 80;

impl Catalogs {
    /// Returns the page with the files after `after`.
    pub(crate) fn page(&self, after: Option<Cid>) -> CatalogPage {
        let version = |(robot, version): (PeerId, CatalogVersion)| CatalogRobot {
            robot,
            root: version.root.to_string(),
            sequence: version.sequence,
        };
        let robots: Vec<CatalogRobot> = self.versions().map(version).collect();
        let places: BTreeMap<PeerId, usize> =
            robots.iter().enumerate().map(|(place, row)| (row.robot, place)).collect();
        let files = self.after(after).map(|(cid, claims)| file(cid, claims, &places));
        let bytes = |file: &CatalogFile| {
            let infos = file.infos.iter().map(String::len).sum::<usize>();
            let receipts = file.lines.iter().filter_map(|line| line.receipt.as_ref());
            let receipts = receipts.map(|receipt| receipt.place.len() * 2 + RECEIPT_BYTES).sum::<usize>();
            // A description has many quotation marks, which are escaped.
            infos * 2 + receipts + (file.lines.len() + 2) * LINE_BYTES
        };
        let files = page(files, bytes);
        CatalogPage { robots, files }
    }
}

fn file(cid: &Cid, claims: &[Claim], places: &BTreeMap<PeerId, usize>) -> CatalogFile {
    let (mut lines, mut infos) = (Vec::new(), Vec::<&Data>::new());
    for Claim { robot, shares, keeps, info, receipt } in claims {
        let Some(robot) = places.get(robot).copied() else { continue };
        let place = info.as_ref().map(|info| {
            infos.iter().position(|known| *known == info).unwrap_or_else(|| {
                infos.push(info);
                infos.len() - 1
            })
        });
        let receipt = receipt.as_deref().cloned();
        lines.push(CatalogLine { robot, shares: *shares, keeps: *keeps, info: place, receipt });
    }
    let infos = infos.into_iter().map(|info| info.as_str().to_owned()).collect();
    CatalogFile { cid: cid.to_string(), lines, infos }
}

/// Collects the pages of an answer.
#[derive(Clone, Debug, Default)]
pub struct Pages(BTreeMap<PeerId, (CatalogVersion, CatalogEntries)>);

impl Pages {
    /// Adds a page. Returns the CID after which the next page begins, or `None` after the last page.
    pub fn add(&mut self, page: CatalogPage) -> Option<String> {
        for row in &page.robots {
            if let Some(root) = buckets::parse(&row.root) {
                let version = CatalogVersion { root, sequence: row.sequence };
                self.0.entry(row.robot).or_insert_with(|| (version, CatalogEntries::new())).0 = version;
            }
        }
        for file in &page.files {
            let Some(cid) = buckets::parse(&file.cid) else { continue };
            for line in &file.lines {
                let robot = page.robots.get(line.robot).map(|row| row.robot);
                let Some((_, entries)) = robot.and_then(|robot| self.0.get_mut(&robot)) else { continue };
                let info =
                    line.info.and_then(|place| file.infos.get(place)).and_then(|info| Data::new(info).ok());
                let receipt = line.receipt.clone().map(Arc::new);
                let CatalogLine { shares, keeps, .. } = *line;
                entries.insert(cid, CatalogEntry { shares, keeps, info, receipt });
            }
        }
        page.files.last().map(|file| file.cid.clone())
    }

    /// Returns the catalogues.
    pub fn finish(self) -> Catalogs {
        Catalogs::of(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::tests::{entry, numbered, uploaded};
    use super::super::known::Precedence;
    use super::*;
    use crate::index::tests::peer;

    #[test]
    fn the_catalogues_are_the_same_after_they_were_sent_in_pages() {
        let version = |number| CatalogVersion { root: numbered(number), sequence: u64::from(number) };
        let entries =
            |numbers: std::ops::Range<u32>| numbers.map(|number| (numbered(number), entry(number))).collect();
        let catalogs =
            Catalogs::default().with(peer(1), version(1), Precedence::Member, entries(0..900)).unwrap();
        let catalogs = catalogs.with(peer(2), version(2), Precedence::Member, entries(800..2000)).unwrap();
        let receipts =
            (700..2500).map(|number| (numbered(number), uploaded(number, number % 2 == 0))).collect();
        let catalogs = catalogs.with(peer(3), version(3), Precedence::Member, receipts).unwrap();
        let (mut pages, mut after, mut number) = (Pages::default(), None, 0);
        loop {
            let page = catalogs.page(after);
            let text = serde_json::to_string(&page).unwrap();
            assert!(text.len() < service::MAX_ANSWER_BYTES, "{}", text.len());
            number += 1;
            match pages.add(serde_json::from_str(&text).unwrap()) {
                Some(last) => after = buckets::parse(&last),
                None => break,
            }
        }
        assert!(number > 4);
        // The catalogues are too long for a message.
        assert!(pages.finish() == catalogs, "the pages differ");
        assert_eq!(Pages::default().add(Catalogs::default().page(None)), None);
    }
}
