//! Target: the profile of a robot, in the JSON of its bucket.

use dcache::Data;
use discovery::{MAX_PROFILE_BYTES, Profile};

/// Returns the seed inputs, from which the fuzzer starts.
pub fn seeds() -> Vec<Vec<u8>> {
    let text = |text: &str| Some(text.to_owned());
    let profile = Profile {
        boot: text("0d3ad5b4a5e44d9c"),
        configuration: text("DB21J"),
        device: text("00044be5a1b2"),
        distro: text("ente"),
        hardware: text("jetson_nano"),
        host: text("5f0c6a1e9b7d2438"),
        robot_type: text("duckiebot é"),
    };
    vec![
        profile.to_data().map(|data| data.as_str().into()).unwrap_or_default(),
        br#"{"type":"a\u0062","x":{"y":[1.5,null]},"boot":7,"device":" 00 ","type":"z"}"#.to_vec(),
        b"{}".to_vec(),
    ]
}

/// Checks that a profile that was read keeps the limits, and is the same after writing and reading.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(data) = Data::new(text) else { return };
    let read = Profile::from_data(&data);
    assert_eq!(read.checked(), read);
    if let Ok(written) = read.to_data() {
        assert!(written.as_str().len() <= MAX_PROFILE_BYTES);
        assert_eq!(Profile::from_data(&written), read);
    }
}
