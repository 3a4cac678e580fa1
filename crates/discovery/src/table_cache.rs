//! Keeps the table of robots while a client reads its pages, so that it is made once and not for each page.

use crate::protocol::{Fact, Robot};
use service::page;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Time after which a table is dropped. A client reads all pages within moments.
const KEPT: Duration = Duration::from_secs(20);
/// Estimated size, in bytes of JSON, of a row without its facts.
const ROW_BYTES: usize = 420;
/// Estimated size, in bytes of JSON, of a fact without its text.
const FACT_BYTES: usize = 70;
/// Maximum number of bytes of JSON for each byte of text, because of escapes.
const ESCAPED: usize = 6;

/// The last table. Clones refer to the same table.
#[derive(Clone, Default)]
pub(crate) struct TableCache(Arc<Mutex<Option<Table>>>);

/// The rows of a table, and the time at which it was made.
type Table = (Instant, Vec<Robot>);

impl TableCache {
    /// Keeps a new table in place of the former one, and returns its first page. Must be called within a runtime.
    pub(crate) fn put(&self, rows: Vec<Robot>, is_brief: bool) -> Vec<Robot> {
        let first = page_of(&rows, 0, is_brief);
        if first.len() < rows.len() {
            let (now, cache) = (Instant::now(), self.clone());
            *self.table() = Some((now, rows));
            tokio::spawn(async move {
                sleep(KEPT).await;
                cache.table().take_if(|(made, _)| *made == now);
            });
        }
        first
    }

    /// Returns the page after the first `from` rows, or `None` if there is no table. Drops the table at its end.
    pub(crate) fn page(&self, from: usize, is_brief: bool) -> Option<Vec<Robot>> {
        let mut table = self.table();
        let (_, rows) = table.as_ref()?;
        let page = page_of(rows, from, is_brief);
        if page.is_empty() {
            *table = None;
        }
        Some(page)
    }

    fn table(&self) -> MutexGuard<'_, Option<Table>> {
        // Each change is a single assignment, so a poisoned lock is safe to use.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the page after the first `from` rows.
pub(crate) fn page_of(rows: &[Robot], from: usize, is_brief: bool) -> Vec<Robot> {
    let rows = rows.iter().skip(from);
    match is_brief {
        true => page(rows.map(Robot::brief), bytes),
        false => page(rows, |robot| bytes(robot)).into_iter().cloned().collect(),
    }
}

/// Returns the size of a row in bytes of text that may need escapes.
fn bytes(robot: &Robot) -> usize {
    let Robot { name, robot_type, configuration, hardware, distro, device, version, boot, status, .. } =
        robot;
    let facts = [name, robot_type, configuration, hardware, distro, device, version, boot, status];
    let facts = facts.into_iter().flatten().chain(&robot.addresses);
    let (mut text, mut other) = (0, ROW_BYTES);
    for Fact { value, .. } in facts {
        text += value.len();
        other += FACT_BYTES;
    }
    for heard in &robot.heard {
        text += heard.channel.len() + heard.address.as_ref().map_or(0, String::len);
        other += FACT_BYTES;
    }
    text + other / ESCAPED
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Answer, Heard, MAX_HEARD, MAX_SHOWN_ADDRESSES, Source};

    fn fact(value: &str) -> Fact {
        Fact { value: value.to_owned(), age_seconds: 999_999, source: Source::Record }
    }

    #[tokio::test(start_paused = true)]
    async fn all_pages_of_a_table_come_from_the_same_table() {
        let cache = TableCache::default();
        let page = |from| cache.page(from, false);
        assert_eq!(page(0), None);
        let named = |number: usize| Robot { name: Some(fact(&number.to_string())), ..Robot::default() };
        let rows: Vec<Robot> = (0..1200).map(named).collect();
        let mut read = cache.put(rows.clone(), false);
        while let Some(page) = page(read.len()).filter(|page| !page.is_empty()) {
            read.extend(page);
        }
        assert!(read == rows, "each row comes once, in order");
        assert_eq!(page(0), None, "the table is dropped at its end");
        cache.put(rows, false);
        sleep(KEPT + Duration::from_secs(1)).await;
        assert_eq!(page(500), None, "a table that nobody reads is dropped");
    }

    #[test]
    fn a_page_fits_into_an_answer_even_if_all_texts_need_escapes() {
        let long = fact(&"\u{1}".repeat(64));
        let some = Some(long.clone());
        let heard = Heard { channel: "\u{1}".repeat(40), address: Some("[::]:1".into()), age_seconds: 9 };
        let robot = Robot {
            name: some.clone(),
            robot_type: some.clone(),
            device: some,
            heard: vec![heard; MAX_HEARD],
            addresses: vec![long; MAX_SHOWN_ADDRESSES],
            ..Robot::default()
        };
        for robot in [robot, Robot::default()] {
            for is_brief in [false, true] {
                let robots = page_of(&vec![robot.clone(); 2000], 0, is_brief);
                let answer = serde_json::to_string(&Answer::Robots { robots }).unwrap();
                assert!(answer.len() < service::MAX_ANSWER_BYTES, "{}", answer.len());
            }
        }
    }

    #[test]
    fn brief_rows_have_what_one_line_shows_and_are_small() {
        let heard = |channel: &str| Heard { channel: channel.to_owned(), address: None, age_seconds: 9 };
        let robot = Robot {
            name: Some(fact("entebot208")),
            device: Some(fact("00044be5a1b2")),
            boot: Some(fact("0d3ad5b4a5e44d9c")),
            heard: vec![heard("udp eth0"), heard("irc")],
            addresses: vec![fact("/ip4/10.0.0.7/tcp/8000/dswarm-line"); 3],
            age_seconds: Some(9),
            shares_name: true,
            ..Robot::default()
        };
        let brief = page_of(std::slice::from_ref(&robot), 0, true).remove(0);
        assert_eq!((&brief.name, brief.age_seconds, brief.shares_name), (&robot.name, Some(9), true));
        assert_eq!(brief.heard, [heard("udp eth0")]);
        assert!(brief.addresses.is_empty() && brief.device.is_none() && brief.boot.is_none());
        let text = serde_json::to_string(&brief).unwrap();
        assert!(text.len() < 320 && !text.contains("null"), "{text}");
        assert_eq!(serde_json::from_str::<Robot>(&text).unwrap(), brief);
    }
}
