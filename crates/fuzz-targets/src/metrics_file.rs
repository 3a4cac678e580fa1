//! Target: a text file in which a local program leaves values.

use diagnostics::collect::text_file::{MAX_SERIES, parse};

/// Returns the seed inputs, from which the fuzzer starts.
pub fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "# HELP a b\n# TYPE a gauge\na 1\na:b_c{x=\"1\",y=\"a\\\"b\\\\\\n}\"} -1.5e3 1700000000000\n",
        "a NaN\nb +Inf\nc{} 0\nwrong line\n",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

/// Checks that the number of series is bounded, and that each is the same when it is read again.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let parsed = parse(text);
    assert!(parsed.values.len() <= MAX_SERIES);
    for (label, value) in parsed.values {
        let again = parse(&format!("{label} {value}")).values;
        assert!(matches!(&*again, [(same, _)] if *same == label), "{label}");
    }
}
