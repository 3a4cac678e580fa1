//! The supply voltage and the throttling of a Raspberry Pi.
//!
//! The firmware tells the present state and what happened since the boot, in the bits of one number. Where it cannot be
//! asked, a sensor of the kernel tells whether the voltage is too low now.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::{Root, number_in, word_in};
use crate::metrics::{
    FREQUENCY_CAPPED, FREQUENCY_CAPPED_SINCE_BOOT, HostMetric, THROTTLED, THROTTLED_SINCE_BOOT,
    UNDER_VOLTAGE, UNDER_VOLTAGE_SINCE_BOOT,
};
use crate::sample::Readings;

/// Folder of the devices of the board. The name of the firmware ends with [`FIRMWARE`].
const BOARD: &str = "/sys/devices/platform/soc";
/// End of the name of the firmware.
const FIRMWARE: &str = "firmware";
/// Folder of sensors.
const SENSORS: &str = "/sys/class/hwmon";
/// Sensor of the supply voltage.
const VOLTAGE_SENSOR: &str = "rpi_volt";
/// Bits of the firmware's number, and their metrics.
const BITS: [(u32, &HostMetric); 6] = [
    (0, &UNDER_VOLTAGE),
    (1, &FREQUENCY_CAPPED),
    (2, &THROTTLED),
    (16, &UNDER_VOLTAGE_SINCE_BOOT),
    (17, &FREQUENCY_CAPPED_SINCE_BOOT),
    (18, &THROTTLED_SINCE_BOOT),
];

/// Adds the readings of the board.
pub(super) fn read(root: &impl Root, readings: &mut Readings) {
    let devices = root.names(BOARD);
    let firmware = devices.iter().find(|name| name.ends_with(FIRMWARE));
    let bits = firmware.and_then(|name| bits(&root.read(&format!("{BOARD}/{name}/get_throttled"))?));
    match bits {
        Some(bits) => {
            for (bit, metric) in BITS {
                readings.add(metric, f64::from(bits >> bit & 1));
            }
        }
        None => read_sensor(root, readings),
    }
}

fn read_sensor(root: &impl Root, readings: &mut Readings) {
    for sensor in root.names(SENSORS) {
        let folder = format!("{SENSORS}/{sensor}");
        if word_in(root, &format!("{folder}/name")).as_deref() == Some(VOLTAGE_SENSOR)
            && let Some(alarm) = number_in(root, &format!("{folder}/in0_lcrit_alarm"))
        {
            readings.add(&UNDER_VOLTAGE, f64::from(u8::from(alarm != 0.0)));
        }
    }
}

/// Reads the firmware's number, in hexadecimal with or without a prefix.
fn bits(text: &str) -> Option<u32> {
    let text = text.trim();
    u32::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_the_firmware_is_read() {
        assert_eq!((bits("50005\n"), bits("0x0"), bits("")), (Some(0x50005), Some(0), None));
        assert_eq!((bits("throttled"), bits("100000000")), (None, None));
    }
}
