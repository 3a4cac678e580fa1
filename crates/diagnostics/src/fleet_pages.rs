//! Keeps the list of robots while a client reads its pages, so that all pages come from the same list.

use crate::fleet::RobotHealth;
use service::page;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Time after which a list is dropped. A client reads all pages within moments.
const KEPT: Duration = Duration::from_secs(20);
/// Estimated size, in bytes of JSON, of a row without its texts, and of a finding without its texts.
const ROW_BYTES: usize = 240;
/// Maximum number of bytes of JSON for each byte of text, because of escapes.
const ESCAPED: usize = 6;

/// The last list. Clones refer to the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct FleetPages(Arc<Mutex<Option<List>>>);

/// The robots of a list, and the time at which it was made.
type List = (Instant, Vec<RobotHealth>);

impl FleetPages {
    /// Keeps a new list, and returns the page after its first `from` robots. Must be called within a runtime.
    pub(crate) fn put(&self, robots: Vec<RobotHealth>, from: usize) -> Vec<RobotHealth> {
        let page = page_of(&robots, from);
        if from + page.len() < robots.len() {
            let (now, pages) = (Instant::now(), self.clone());
            *self.list() = Some((now, robots));
            tokio::spawn(async move {
                sleep(KEPT).await;
                pages.list().take_if(|(made, _)| *made == now);
            });
        }
        page
    }

    /// Returns the page after the first `from` robots, or `None` if there is no list. Drops the list at its end.
    pub(crate) fn page(&self, from: usize) -> Option<Vec<RobotHealth>> {
        let mut list = self.list();
        let (_, robots) = list.as_ref()?;
        let page = page_of(robots, from);
        if page.is_empty() {
            *list = None;
        }
        Some(page)
    }

    fn list(&self) -> MutexGuard<'_, Option<List>> {
        // Each change is a single assignment, so a poisoned lock is safe to use.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn page_of(robots: &[RobotHealth], from: usize) -> Vec<RobotHealth> {
    page(robots.iter().skip(from), |robot| bytes(robot)).into_iter().cloned().collect()
}

/// Returns the size of a row in bytes of text that may need escapes.
fn bytes(robot: &RobotHealth) -> usize {
    let texts = robot.findings.iter().map(|finding| {
        let own = [&finding.code, &finding.label, &finding.sentence, &finding.way_out];
        own.iter().map(|text| text.len()).sum::<usize>()
    });
    let text = robot.name.as_ref().map_or(0, String::len) + texts.sum::<usize>();
    text + ROW_BYTES * (1 + robot.findings.len()) / ESCAPED
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::ReportState;
    use crate::health::{Finding, Level};
    use crate::protocol::Answer;
    use dcache::Keypair;

    fn robot(name: String, findings: usize) -> RobotHealth {
        let long = || "\u{1}".repeat(100);
        let finding = Finding {
            code: long(),
            level: Level::Error,
            label: long(),
            value: -1.234_567_890_123e-200,
            sentence: long(),
            way_out: long(),
        };
        RobotHealth {
            peer: Keypair::from_seed([1; 32]).peer_id(),
            name: Some(name),
            level: Level::Error,
            state: ReportState::Stated,
            findings: vec![finding; findings],
            more: u32::MAX,
            age_seconds: u64::MAX,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn all_pages_come_from_the_same_list() {
        let pages = FleetPages::default();
        assert_eq!(pages.page(500), None);
        let robots: Vec<RobotHealth> = (0..1200).map(|number| robot(number.to_string(), 0)).collect();
        let mut read = pages.put(robots.clone(), 0);
        while let Some(page) = pages.page(read.len()).filter(|page| !page.is_empty()) {
            read.extend(page);
        }
        assert!(read == robots, "each robot comes once, in order");
        assert_eq!(pages.page(500), None, "the list is dropped at its end");
        pages.put(robots, 0);
        sleep(KEPT + Duration::from_secs(1)).await;
        assert_eq!(pages.page(500), None, "a list that nobody reads is dropped");
    }

    #[test]
    fn a_page_fits_into_an_answer_even_if_all_texts_need_escapes() {
        for findings in [0, 4] {
            let robots = page_of(&vec![robot("\u{1}".repeat(64), findings); 2000], 0);
            let answer = serde_json::to_string(&Answer::Fleet { robots }).unwrap();
            assert!(answer.len() < service::MAX_ANSWER_BYTES, "{}", answer.len());
        }
    }
}
