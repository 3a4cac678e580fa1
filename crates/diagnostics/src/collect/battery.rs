//! The batteries that the kernel knows, such as that of a laptop.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::{Root, number_in, word_in};
use crate::metrics::{
    BATTERY_CHARGE, BATTERY_CHARGING, BATTERY_CURRENT, BATTERY_CYCLES, BATTERY_TIME_LEFT, TEMPERATURE,
    VOLTAGE,
};
use crate::sample::Readings;

/// Maximum number of batteries that are read.
const MAX_BATTERIES: usize = 4;
/// Folder of the power supplies.
const SUPPLIES: &str = "/sys/class/power_supply";

/// Adds the readings of all batteries. Batteries of other devices, such as a mouse, are left out.
pub(super) fn read(root: &impl Root, readings: &mut Readings) {
    let supplies = root.names(SUPPLIES);
    let word = |name: &str, file: &str| word_in(root, &format!("{SUPPLIES}/{name}/{file}"));
    let is_battery = |name: &&String| {
        word(name, "type").as_deref() == Some("Battery") && word(name, "scope").as_deref() != Some("Device")
    };
    for name in supplies.iter().filter(is_battery).take(MAX_BATTERIES) {
        let number = |file: &str| number_in(root, &format!("{SUPPLIES}/{name}/{file}"));
        let charging = word(name, "status").map(|status| f64::from(u8::from(status == "Charging")));
        // The kernel counts in percent, millionths and tenths.
        let values = [
            (&BATTERY_CHARGE, number("capacity").map(|percent| percent / 100.0)),
            (&BATTERY_CHARGING, charging),
            (&BATTERY_TIME_LEFT, number("time_to_empty_now").filter(|seconds| *seconds > 0.0)),
            (&BATTERY_CURRENT, number("current_now").map(|microamperes| microamperes / 1e6)),
            (&BATTERY_CYCLES, number("cycle_count").filter(|cycles| *cycles > 0.0)),
            (&VOLTAGE, number("voltage_now").map(|microvolts| microvolts / 1e6)),
            (&TEMPERATURE, number("temp").map(|tenths| tenths / 10.0)),
        ];
        for (metric, value) in values {
            if let Some(value) = value {
                readings.add_for(metric, name, value);
            }
        }
    }
}
