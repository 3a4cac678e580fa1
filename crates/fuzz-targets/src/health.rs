//! Target: the health of a robot, in the JSON of its bucket.

use dcache::Data;
use diagnostics::stated::StatedHealth;

/// Returns the seed inputs, from which the fuzzer starts.
pub fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        r#"{"level":"ok"}"#,
        r#"{"level":"error","findings":[{"code":"filesystem.full","level":"error","label":"/data","value":0.98}],"more":2}"#,
        r#"{"level":"warn","findings":[{"code":"x.y","level":"stale","value":1,"sentence":"a {value}","way_out":"b"}],"later":[1]}"#,
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

/// Checks that a health that was read is harmless, and shows the same after writing and reading.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(data) = Data::new(text) else { return };
    let Some(read) = StatedHealth::from_data(&data) else { return };
    for finding in read.findings() {
        let texts = [finding.code, finding.label, finding.sentence, finding.way_out].concat();
        assert!(!texts.chars().any(telemetry::is_dangerous), "{texts:?}");
    }
    if let Ok(written) = read.to_data() {
        // The last digit of a value can change.
        assert!(StatedHealth::from_data(&written).is_some_and(|again| again.is_same(&read)));
    }
}
