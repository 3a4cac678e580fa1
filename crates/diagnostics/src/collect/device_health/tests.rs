use super::*;
use crate::metrics::{Label, Series};
use proptest::prelude::*;

/// Answer of a Duckiebot with a Raspberry Pi 4 and a battery.
const RASPBERRY: &str = r#"{
    "memory": {"total": 2000, "used": 500, "free": 1500, "percentage": 25.0},
    "swap": {"total": 100, "used": 0, "free": 100, "percentage": 0},
    "disk": {"total": 62000, "used": 31000, "free": 31000, "percentage": 50.0},
    "cpu": {"cores": 4, "frequency": {"min": 600000000, "max": 1500000000, "current": 1500000000}, "percentage": 12.5},
    "temperature": 51.2,
    "volts": {"core": 0.86, "ram": 1.1},
    "throttling": {"under-voltage-now": true, "freq-capped-now": false, "throttling-now": false,
        "under-voltage-occurred": true, "freq-capped-occurred": false, "throttling-occurred": false},
    "status": "error", "status_msgs": ["Under-voltage", "ND", 7],
    "battery": {"present": true, "charging": false, "temperature": 31.5, "cell_voltage": 4.05, "input_voltage": 0.0,
        "current": -1.2, "cycle_count": 17, "percentage": 83, "time_to_empty": 7200,
        "usb_out_1_voltage": 5.02, "usb_out_2_voltage": 5.01},
    "gpu": {"percentage": 0, "temperature": 0, "power": 0, "memory": {"total": 0, "used": 0, "free": 0, "percentage": 0}},
    "hardware": {"board": "Raspberry Pi", "model": "4B", "revision": "1.4", "memory": "2GB", "notes": null},
    "software": {"base": {"type": "raspios", "version": "11"}, "version": "2.0.0"},
    "firmware": {"date": {"day": 1, "month": 2, "year": 2024}, "version": "ND"}
}"#;

/// Answer of a Duckiebot with a Jetson Nano.
const JETSON: &str = r#"{
    "temperature": 40.5, "volts": {"core": 0, "ram": 0}, "status": "ok", "status_msgs": [],
    "throttling": {"under-voltage-now": false, "freq-capped-now": false, "throttling-now": false,
        "under-voltage-occurred": false, "freq-capped-occurred": false, "throttling-occurred": false},
    "battery": {"present": true, "charging": true, "percentage": 99, "time_to_empty": 3932100, "temperature": "ND"},
    "gpu": {"percentage": 30, "temperature": 39.5, "power": 2.1, "memory": {"total": 4000, "used": 1000}}
}"#;

/// Answer of a board that dt-device-health does not know, such as a Raspberry Pi 5.
const UNKNOWN: &str = r#"{"temperature": 0.0, "volts": "ND", "status": "ND", "throttling": {"under-voltage-now": "ND"},
    "battery": {"present": false, "percentage": 0}, "hardware": {"board": "ND", "model": "ND"}, "memory": null}"#;

fn read(text: &str) -> DeviceHealth {
    DeviceHealth::parse(text.as_bytes()).unwrap()
}

fn readings(text: &str) -> Readings {
    let mut readings = Readings::default();
    read(text).add_to(&mut readings);
    readings
}

fn value(readings: &Readings, metric: &'static HostMetric, label: &str) -> Option<f64> {
    readings.get(&Series { metric, label: Label::new(label) })
}

#[test]
fn the_fields_of_a_raspberry_have_the_documented_units() {
    let device = read(RASPBERRY);
    assert_eq!(device.status, Some(Status::Error));
    assert_eq!(device.messages, ["Under-voltage"]);
    assert_eq!((device.volts.core, device.volts.ram), (Some(0.86), Some(1.1)));
    assert_eq!((device.cpu.cores, device.cpu.frequency), (Some(4.0), Some(1.5e9)));
    assert_eq!(device.disk.free, Some(31_000.0));
    assert_eq!((device.memory.percentage, device.swap.used), (Some(25.0), Some(0.0)));
    assert_eq!((device.board.as_deref(), device.model.as_deref()), (Some("Raspberry Pi"), Some("4B")));
    assert_eq!((device.software.as_deref(), device.firmware), (Some("2.0.0"), None));
    assert_eq!(device.gpu, Gpu::default(), "this board has no graphics processor that is measured");
}

#[test]
fn the_readings_of_a_raspberry_are_in_the_units_of_the_table() {
    let readings = readings(RASPBERRY);
    for (metric, label, expected) in [
        (&BATTERY_CHARGE, BATTERY, Some(0.83)),
        (&BATTERY_CHARGING, BATTERY, Some(0.0)),
        (&BATTERY_TIME_LEFT, BATTERY, Some(7200.0)),
        (&BATTERY_CURRENT, BATTERY, Some(-1.2)),
        (&BATTERY_CYCLES, BATTERY, Some(17.0)),
        (&TEMPERATURE, BATTERY, Some(31.5)),
        (&TEMPERATURE, BOARD, Some(51.2)),
        (&VOLTAGE, "battery-input", Some(0.0)),
        (&VOLTAGE, "usb-2", Some(5.01)),
        (&VOLTAGE, "core", Some(0.86)),
        (&UNDER_VOLTAGE, "", Some(1.0)),
        (&THROTTLED, "", Some(0.0)),
        (&BOARD_STATUS, "", Some(2.0)),
        (&GPU_UTILIZATION, "", None),
    ] {
        assert_eq!(value(&readings, metric, label), expected, "{} {label}", metric.metric.name);
    }
}

#[test]
fn a_jetson_has_a_graphics_processor_and_no_voltages() {
    let readings = readings(JETSON);
    assert_eq!(
        (value(&readings, &GPU_UTILIZATION, ""), value(&readings, &GPU_POWER, GPU)),
        (Some(0.3), Some(2.1))
    );
    assert_eq!(
        (value(&readings, &TEMPERATURE, GPU), value(&readings, &GPU_MEMORY_USED, "")),
        (Some(39.5), Some(1000.0))
    );
    assert_eq!(readings.of(&VOLTAGE).count(), 0);
    assert_eq!(value(&readings, &BATTERY_TIME_LEFT, BATTERY), None, "65535 minutes are no estimate");
    assert_eq!(value(&readings, &TEMPERATURE, BATTERY), None);
}

#[test]
fn missing_data_gives_no_readings() {
    let device = read(UNKNOWN);
    let battery = Battery { present: Some(false), ..Battery::default() };
    assert_eq!(device, DeviceHealth { battery, ..DeviceHealth::default() });
    assert!(readings(UNKNOWN).is_empty() && readings("{}").is_empty());
}

#[test]
fn what_the_kernel_tells_is_not_replaced() {
    let mut readings = Readings::default();
    readings.add(&UNDER_VOLTAGE, 0.0);
    readings.add_for(&TEMPERATURE, "cpu-thermal", 50.0);
    read(RASPBERRY).add_to(&mut readings);
    assert_eq!(value(&readings, &UNDER_VOLTAGE, ""), Some(0.0));
    assert_eq!(value(&readings, &TEMPERATURE, BOARD), None);
    assert_eq!(value(&readings, &UNDER_VOLTAGE_SINCE_BOOT, ""), Some(1.0));
}

#[test]
fn an_answer_that_is_long_deep_or_no_object_is_refused() {
    let long = format!("{{\"status\": \"{}\"}}", "x".repeat(MAX_ANSWER_BYTES));
    for body in ["", "7", "[]", "null", "{", &long, &"[".repeat(60_000)] {
        assert_eq!(DeviceHealth::parse(body.as_bytes()), None);
    }
    assert_eq!(DeviceHealth::parse(&[0xff]), None);
    let percentages = r#"{"battery": {"percentage": 101}, "cpu": {"percentage": -1}}"#;
    assert_eq!(read(percentages), DeviceHealth::default());
}

proptest! {
    #[test]
    fn any_change_of_an_answer_is_read_without_a_panic(at in 0..RASPBERRY.len(), byte in any::<u8>()) {
        let mut body = RASPBERRY.as_bytes().to_vec();
        body[at] = byte;
        if let Some(device) = DeviceHealth::parse(&body) {
            let mut readings = Readings::default();
            device.add_to(&mut readings);
            prop_assert!(readings.iter().all(|reading| reading.value.is_finite()));
        }
    }
}
