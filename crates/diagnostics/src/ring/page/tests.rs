use super::*;
use crate::metrics::{ALL, CUSTOM, NETWORK_SENT, TEMPERATURE, UPTIME};
use proptest::prelude::*;

/// Generates the readings of a row. Few labels are used, so that rows share series.
fn any_readings() -> impl Strategy<Value = Readings> {
    let value = prop_oneof![any::<f64>(), (0..1_000_000_u32).prop_map(f64::from), 0.0..1.0_f64];
    proptest::collection::vec((0..ALL.len(), "[ab]?", value), 0..20).prop_map(|added| {
        let mut readings = Readings::default();
        for (row, label, value) in added {
            readings.put(Series { metric: ALL[row], label: Label::new(&label) }, value);
        }
        readings
    })
}

fn any_row() -> impl Strategy<Value = Sample> {
    (0..3_u8, any::<u64>(), any::<u64>(), any_readings()).prop_map(|(boot, millis, sequence, readings)| {
        Sample { stamp: Stamp { boot: BootId::new([boot; 16]), millis }, sequence, readings }
    })
}

fn any_page() -> impl Strategy<Value = Page> {
    let anchor = (0..3_u8, any::<u64>(), any::<u64>());
    let resolution = proptest::sample::select(Resolution::ALL.to_vec());
    (resolution, any::<u64>(), proptest::collection::vec(any_row(), 1..16), proptest::option::of(anchor))
        .prop_map(|(resolution, number, rows, anchor)| {
            let anchor = anchor.map(|(boot, millis, time)| Anchor {
                stamp: Stamp { boot: BootId::new([boot; 16]), millis },
                time: Time(time),
            });
            Page { resolution, number, rows, anchors: anchor.into_iter().collect() }
        })
}

/// Returns the page as it is after writing and reading: with rounded values, without the series that had no room, and
/// without anchors of other boots.
fn kept(mut page: Page, is_kept: impl Fn(&Series) -> bool) -> Page {
    for row in &mut page.rows {
        let mut readings = Readings::default();
        for reading in row.readings.iter().filter(|reading| is_kept(&reading.series)) {
            readings.put(reading.series.clone(), rounded(&reading.series, reading.value));
        }
        row.readings = readings;
    }
    let boots: BTreeSet<BootId> = page.rows.iter().map(|row| row.stamp.boot).collect();
    page.anchors.retain(|anchor| boots.contains(&anchor.stamp.boot));
    page
}

fn page(rows: Vec<Sample>) -> Page {
    Page { resolution: Resolution::Minutes, number: 7, rows, anchors: Vec::new() }
}

fn row(sequence: u64, readings: Readings) -> Sample {
    Sample { stamp: Stamp { boot: BootId::new([1; 16]), millis: sequence * 10_000 }, sequence, readings }
}

proptest! {
    #[test]
    fn a_page_is_the_same_after_writing_and_reading(page in any_page()) {
        let bytes = page.encode();
        prop_assert_eq!(bytes.len(), PAGE_BYTES);
        let read = Page::decode(&bytes).unwrap().unwrap();
        let series: BTreeSet<Series> = read.readings().map(|reading| reading.series.clone()).collect();
        let last = series.last().cloned();
        let is_kept = |series: &Series| last.as_ref().is_some_and(|last| series <= last);
        prop_assert_eq!(&read, &kept(page, is_kept), "only the last series are left out");
        prop_assert_eq!(Page::decode(&read.encode()).unwrap().unwrap(), read);
    }

    #[test]
    fn a_change_of_any_byte_is_recognised(page in any_page(), at in 0..PAGE_BYTES, change in 1..=u8::MAX) {
        let mut bytes = page.encode();
        bytes[at] ^= change;
        prop_assert!(Page::decode(&bytes).is_err());
    }

    #[test]
    fn any_content_is_read_within_the_limits(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Some((rows, anchors)) = decode_content(&bytes) {
            prop_assert!(rows.len() <= MAX_ROWS && anchors.len() <= MAX_ROWS);
            prop_assert!(rows.iter().flat_map(|row| row.readings.iter()).all(|reading| reading.value.is_finite()));
        }
    }

    #[test]
    fn a_count_is_the_same_after_writing_and_reading(count in any::<u64>()) {
        let mut bytes = Vec::new();
        put_count(&mut bytes, count);
        prop_assert_eq!(Reader(&bytes).count(), Some(count));
    }
}

#[test]
fn a_slot_that_was_never_written_is_empty_and_a_short_one_is_wrong() {
    assert_eq!(Page::decode(&[0; PAGE_BYTES]), Ok(None));
    assert_eq!(Page::decode(&[1; 7]), Err(PageError::Format));
    let mut longer = page(vec![row(1, Readings::default())]).encode();
    longer.push(0);
    assert_eq!(Page::decode(&longer), Err(PageError::Checksum));
}

#[test]
fn a_later_version_has_another_format() {
    let mut bytes = page(vec![row(1, Readings::default())]).encode();
    bytes[12] = 2;
    let checksum = checksum(&bytes[CHECKSUM_BYTES..]);
    bytes[..CHECKSUM_BYTES].copy_from_slice(&checksum);
    assert_eq!(Page::decode(&bytes), Err(PageError::Format));
}

#[test]
fn a_metric_of_a_later_version_is_skipped() {
    let mut content = Vec::new();
    put_count(&mut content, 1);
    content.extend_from_slice(&[1; 16]);
    put_count(&mut content, 0);
    put_count(&mut content, 2);
    for number in [60_000, u64::from(UPTIME.number)] {
        put_count(&mut content, number);
        put_count(&mut content, 0);
    }
    for count in [1, 0, 10_000, 1] {
        put_count(&mut content, count);
    }
    put_value(&mut content, Some(1.0), &mut 0);
    put_value(&mut content, Some(2.0), &mut 0);
    let (rows, _) = decode_content(&content).unwrap();
    assert_eq!((rows[0].readings.len(), rows[0].readings.value(&UPTIME)), (1, Some(2.0)));
}

#[test]
fn a_typical_page_of_minutes_has_room_for_all_series() {
    let rows = (0..15_u32).map(|number| {
        let mut readings = Readings::default();
        for (place, metric) in ALL.iter().filter(|metric| **metric != &CUSTOM).enumerate() {
            let value = 1000.0 * (place + 1) as f64 + f64::from(number) * 1.37;
            match metric.label {
                None => readings.add(metric, value),
                Some(_) => ["wlan0", "eth0"].iter().for_each(|label| readings.add_for(metric, label, value)),
            }
        }
        row(u64::from(number), readings)
    });
    let page = page(rows.collect());
    let (series, size) = (page.rows[0].readings.len(), page.content(&[]).len());
    let all: BTreeSet<&Series> = page.readings().map(|reading| &reading.series).collect();
    let content = page.content(&all.iter().copied().take(50).collect::<Vec<_>>()).len();
    println!("{series} series; 50 of them need {content} bytes, none of them {size}");
    assert!(content <= PAGE_BYTES - CONTENT, "{content}");
}

#[test]
fn of_too_many_series_the_last_ones_are_left_out() {
    let mut readings = Readings::default();
    for number in 0..MAX_READINGS - 2 {
        readings.add_for(&CUSTOM, &format!("{number:090}"), 0.1);
    }
    readings.add_for(&NETWORK_SENT, "wlan0", 1e300);
    readings.add_for(&TEMPERATURE, "cpu", 50.5);
    let rows = (1..16).map(|sequence| row(sequence, readings.clone())).collect();
    let read = Page::decode(&page(rows).encode()).unwrap().unwrap();
    let first = &read.rows[14].readings;
    assert_eq!(
        (read.rows.len(), first.of(&TEMPERATURE).count(), first.of(&NETWORK_SENT).count()),
        (15, 1, 1)
    );
    assert!((20..60).contains(&first.len()), "{}", first.len());
}
