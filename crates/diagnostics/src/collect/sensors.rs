//! The temperatures, from thermal zones and from other sensors.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::{Root, number_in, word_in};
use crate::metrics::TEMPERATURE;
use crate::sample::Readings;
use std::collections::BTreeSet;

/// Maximum number of temperatures that are read.
const MAX_SENSORS: usize = 16;
/// Temperatures, in degrees Celsius, that a part of a robot can have. Others come from sensors that are not connected.
const PLAUSIBLE: std::ops::RangeInclusive<f64> = -60.0..=200.0;
/// Thermal zone of Jetson boards that always shows 100 °C.
const CONSTANT: &str = "PMIC-Die";
/// Folder of the thermal zones.
const ZONES: &str = "/sys/class/thermal";
/// Folder of all other sensors.
const SENSORS: &str = "/sys/class/hwmon";

/// Adds the readings of all temperatures.
pub(super) fn read(root: &impl Root, readings: &mut Readings) {
    let mut labels = BTreeSet::new();
    for zone in root.names(ZONES).iter().filter(|name| name.starts_with("thermal_zone")) {
        let folder = format!("{ZONES}/{zone}");
        let name = word_in(root, &format!("{folder}/type")).unwrap_or_else(|| zone.clone());
        if name != CONSTANT {
            add(root, readings, &mut labels, name, &format!("{folder}/temp"));
        }
    }
    // Each thermal zone is also a sensor.
    let zones: BTreeSet<String> = labels.iter().map(|label| plain(label)).collect();
    for sensor in root.names(SENSORS) {
        let folder = format!("{SENSORS}/{sensor}");
        let name = word_in(root, &format!("{folder}/name")).unwrap_or(sensor);
        if !zones.contains(&plain(&name)) {
            for file in root.names(&folder).iter().filter(|file| is_temperature(file)) {
                add(root, readings, &mut labels, name.clone(), &format!("{folder}/{file}"));
            }
        }
    }
}

/// Adds the temperature in a file. When a name is taken, a number is added to it.
fn add(root: &impl Root, readings: &mut Readings, labels: &mut BTreeSet<String>, name: String, path: &str) {
    if labels.len() >= MAX_SENSORS {
        return;
    }
    let celsius = number_in(root, path).map(|millidegrees| millidegrees / 1000.0);
    let Some(celsius) = celsius.filter(|celsius| PLAUSIBLE.contains(celsius)) else { return };
    let mut names = std::iter::once(name.clone()).chain((2..).map(|number| format!("{name}-{number}")));
    if let Some(label) = names.find(|label| !labels.contains(label)) {
        readings.add_for(&TEMPERATURE, &label, celsius);
        labels.insert(label);
    }
}

fn is_temperature(file: &str) -> bool {
    file.starts_with("temp") && file.ends_with("_input")
}

/// Returns a name as the kernel writes it for a sensor.
fn plain(name: &str) -> String {
    name.replace('-', "_")
}
