//! Target: the answer of dt-device-health.

use crate::host::Files;
use diagnostics::collect::Collector;
use diagnostics::collect::device_health::DeviceHealth;

/// Returns answers of a Raspberry Pi, a Jetson, and a board that is not known.
pub fn seeds() -> Vec<Vec<u8>> {
    let answers = [
        r#"{"temperature":51.2,"volts":{"core":0.86,"ram":1.1},"status":"error","status_msgs":["low"],"throttling":{"under-voltage-now":true,"throttling-occurred":false},"battery":{"present":true,"charging":false,"percentage":83,"time_to_empty":7200,"usb_out_1_voltage":5.02},"memory":{"total":2000,"percentage":25.0},"hardware":{"board":"Raspberry Pi","model":"4B"}}"#,
        r#"{"gpu":{"percentage":30,"temperature":39.5,"power":2.1,"memory":{"used":1000}},"cpu":{"cores":4,"frequency":{"current":1500000000}}}"#,
        r#"{"temperature":0.0,"volts":"ND","status":"ND","battery":{"present":false},"memory":null}"#,
    ];
    answers.map(|answer| answer.as_bytes().to_vec()).to_vec()
}

/// Checks that the readings of an answer are finite.
pub fn check(bytes: &[u8]) {
    let Some(device) = DeviceHealth::parse(bytes) else { return };
    let collected = Collector::default().collect(&Files::empty(), Some(&device));
    let readings = collected.map(|(_, readings)| readings).unwrap_or_default();
    assert!(readings.iter().all(|reading| reading.value.is_finite()));
    assert_eq!(readings.omitted(), 0, "an answer has fewer values than a sample has room for");
}
