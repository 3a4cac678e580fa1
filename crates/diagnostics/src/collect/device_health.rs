//! The answer of dt-device-health, the service of Duckietown's robots that reads the board and the battery. It is asked
//! at `http://127.0.0.1:8085/`.
//!
//! Its texts `ND` mean that there is no data. It also gives zeros for what a board does not have, such as the voltages
//! of a Jetson and the graphics processor of a Raspberry Pi.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::metrics::{
    BATTERY_CHARGE, BATTERY_CHARGING, BATTERY_CURRENT, BATTERY_CYCLES, BATTERY_TIME_LEFT, BOARD_STATUS,
    FREQUENCY_CAPPED, FREQUENCY_CAPPED_SINCE_BOOT, GPU_MEMORY_USED, GPU_POWER, GPU_UTILIZATION, HostMetric,
    TEMPERATURE, THROTTLED, THROTTLED_SINCE_BOOT, UNDER_VOLTAGE, UNDER_VOLTAGE_SINCE_BOOT, VOLTAGE,
};
use crate::sample::Readings;
use serde_json::Value;

/// Maximum size of an answer in bytes. An answer with many components has about 10 kB.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// Maximum number of messages about the status that are kept.
const MAX_MESSAGES: usize = 8;
/// Maximum size of a text in bytes.
const MAX_TEXT_BYTES: usize = 128;
/// Text that means that there is no data.
const NO_DATA: &str = "ND";
/// Maximum time, in seconds, until a battery is empty. A gauge that has no estimate gives a longer one.
const MAX_TIME_TO_EMPTY: f64 = 7.0 * 24.0 * 3600.0;
/// Name of the battery in labels.
const BATTERY: &str = "battery";
/// Name of the board in labels.
const BOARD: &str = "board";
/// Name of the graphics processor in labels.
const GPU: &str = "gpu";

/// Answer of dt-device-health, in its own units. `None` stands for no data.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeviceHealth {
    /// Status that it concludes.
    pub status: Option<Status>,
    /// Reasons for the status.
    pub messages: Vec<String>,
    /// Throttling of a Raspberry Pi.
    pub throttling: Throttling,
    /// Temperature of the processor in degrees Celsius.
    pub temperature: Option<f64>,
    /// Voltages of the processor's core and of the memory, in volts.
    pub volts: Volts,
    /// Memory in bytes.
    pub memory: Usage,
    /// Swap space in bytes.
    pub swap: Usage,
    /// The file system `/` in bytes.
    pub disk: Usage,
    /// Use of the processor.
    pub cpu: Cpu,
    /// Battery of a Duckiebot.
    pub battery: Battery,
    /// The graphics processor.
    pub gpu: Gpu,
    /// Name of the board, such as `Raspberry Pi`.
    pub board: Option<String>,
    /// Model of the board, such as `4B`.
    pub model: Option<String>,
    /// Version of the disk image.
    pub software: Option<String>,
    /// Version of the firmware.
    pub firmware: Option<String>,
}

/// Status that dt-device-health concludes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Nothing is wrong.
    Ok,
    /// Something is worse than it should be.
    Warning,
    /// Something is wrong.
    Error,
}

/// Throttling, now and since the boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Throttling {
    /// Whether the supply voltage is too low.
    pub under_voltage_now: Option<bool>,
    /// Whether the frequency is capped.
    pub freq_capped_now: Option<bool>,
    /// Whether the processor is throttled.
    pub throttling_now: Option<bool>,
    /// Whether the supply voltage was too low.
    pub under_voltage_occurred: Option<bool>,
    /// Whether the frequency was capped.
    pub freq_capped_occurred: Option<bool>,
    /// Whether the processor was throttled.
    pub throttling_occurred: Option<bool>,
}

/// Voltages in volts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Volts {
    /// Voltage of the processor's core.
    pub core: Option<f64>,
    /// Voltage of the memory.
    pub ram: Option<f64>,
}

/// Use of a memory.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Size in bytes.
    pub total: Option<f64>,
    /// Bytes in use.
    pub used: Option<f64>,
    /// Bytes that are free.
    pub free: Option<f64>,
    /// Share in use, in percent.
    pub percentage: Option<f64>,
}

/// Use of the processor.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cpu {
    /// Number of cores.
    pub cores: Option<f64>,
    /// Present frequency in hertz.
    pub frequency: Option<f64>,
    /// Share in use, in percent.
    pub percentage: Option<f64>,
}

/// The battery of a Duckiebot.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Battery {
    /// Whether there is a battery.
    pub present: Option<bool>,
    /// Whether it is being charged.
    pub charging: Option<bool>,
    /// Temperature in degrees Celsius.
    pub temperature: Option<f64>,
    /// Voltage of the cells in volts.
    pub cell_voltage: Option<f64>,
    /// Voltage of the input in volts.
    pub input_voltage: Option<f64>,
    /// Current in amperes.
    pub current: Option<f64>,
    /// Number of cycles.
    pub cycle_count: Option<f64>,
    /// Charge in percent.
    pub percentage: Option<f64>,
    /// Seconds until the battery is empty. The documentation of dt-device-health says minutes, but its code sends
    /// seconds.
    pub time_to_empty: Option<f64>,
    /// Voltages of the two outputs in volts.
    pub usb_out_voltages: [Option<f64>; 2],
}

/// The graphics processor of a Jetson.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Gpu {
    /// Share in use, in percent.
    pub percentage: Option<f64>,
    /// Temperature in degrees Celsius.
    pub temperature: Option<f64>,
    /// Power in watts.
    pub power: Option<f64>,
    /// Memory in bytes.
    pub memory: Usage,
}

impl DeviceHealth {
    /// Reads the body of an answer. Returns `None` if it is too long or is no JSON object.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let body = Some(body).filter(|body| body.len() <= MAX_ANSWER_BYTES)?;
        let all: Value = serde_json::from_slice(body).ok()?;
        all.as_object()?;
        let at = |path: &str| all.pointer(path);
        let volts = |name: &str| positive(number(at(&format!("/volts/{name}"))));
        let status = text(at("/status"));
        Some(Self {
            status: status.as_deref().and_then(Status::parse),
            messages: messages(at("/status_msgs")),
            throttling: Throttling::read(at("/throttling")),
            temperature: positive(number(at("/temperature"))),
            volts: Volts { core: volts("core"), ram: volts("ram") },
            memory: Usage::read(at("/memory")),
            swap: Usage::read(at("/swap")),
            disk: Usage::read(at("/disk")),
            cpu: Cpu::read(at("/cpu")),
            battery: Battery::read(at("/battery")),
            gpu: Gpu::read(at("/gpu")),
            board: text(at("/hardware/board")),
            model: text(at("/hardware/model")),
            software: text(at("/software/version")),
            firmware: text(at("/firmware/version")),
        })
    }

    /// Adds the readings that the kernel does not tell. Percentages become shares.
    pub(super) fn add_to(&self, readings: &mut Readings) {
        if let Some(status) = self.status {
            readings.add(&BOARD_STATUS, status.level());
        }
        self.throttling.add_to(readings);
        let is_without_temperature = readings.of(&TEMPERATURE).next().is_none();
        if let Some(temperature) = self.temperature.filter(|_| is_without_temperature) {
            readings.add_for(&TEMPERATURE, BOARD, temperature);
        }
        add_all(readings, &VOLTAGE, [("core", self.volts.core), ("ram", self.volts.ram)]);
        self.battery.add_to(readings);
        self.gpu.add_to(readings);
    }
}

impl Status {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "ok" => Some(Self::Ok),
            "warning" => Some(Self::Warning),
            "error" => Some(Self::Error),
            _ => None,
        }
    }

    const fn level(self) -> f64 {
        match self {
            Self::Ok => 0.0,
            Self::Warning => 1.0,
            Self::Error => 2.0,
        }
    }
}

impl Throttling {
    fn read(value: Option<&Value>) -> Self {
        let flag = |name: &str| value?.get(name)?.as_bool();
        Self {
            under_voltage_now: flag("under-voltage-now"),
            freq_capped_now: flag("freq-capped-now"),
            throttling_now: flag("throttling-now"),
            under_voltage_occurred: flag("under-voltage-occurred"),
            freq_capped_occurred: flag("freq-capped-occurred"),
            throttling_occurred: flag("throttling-occurred"),
        }
    }

    /// Adds the flags that the kernel did not tell.
    fn add_to(&self, readings: &mut Readings) {
        let flags: [(&HostMetric, _); 6] = [
            (&UNDER_VOLTAGE, self.under_voltage_now),
            (&FREQUENCY_CAPPED, self.freq_capped_now),
            (&THROTTLED, self.throttling_now),
            (&UNDER_VOLTAGE_SINCE_BOOT, self.under_voltage_occurred),
            (&FREQUENCY_CAPPED_SINCE_BOOT, self.freq_capped_occurred),
            (&THROTTLED_SINCE_BOOT, self.throttling_occurred),
        ];
        for (metric, flag) in flags {
            if let Some(flag) = flag.filter(|_| readings.value(metric).is_none()) {
                readings.add(metric, f64::from(u8::from(flag)));
            }
        }
    }
}

impl Usage {
    fn read(value: Option<&Value>) -> Self {
        let field = |name: &str| number(value?.get(name));
        Self {
            total: field("total"),
            used: field("used"),
            free: field("free"),
            percentage: percent(field("percentage")),
        }
    }
}

impl Cpu {
    fn read(value: Option<&Value>) -> Self {
        let at = |path: &str| number(value?.pointer(path));
        Self {
            cores: at("/cores"),
            frequency: positive(at("/frequency/current")),
            percentage: percent(at("/percentage")),
        }
    }
}

impl Battery {
    fn read(value: Option<&Value>) -> Self {
        let (field, flag) = (|name: &str| number(value?.get(name)), |name: &str| value?.get(name)?.as_bool());
        let present = flag("present");
        if present == Some(false) {
            return Self { present, ..Self::default() };
        }
        let is_estimate = |seconds: &f64| (0.0..=MAX_TIME_TO_EMPTY).contains(seconds);
        Self {
            present,
            charging: flag("charging"),
            temperature: field("temperature"),
            cell_voltage: field("cell_voltage"),
            input_voltage: field("input_voltage"),
            current: field("current"),
            cycle_count: field("cycle_count"),
            percentage: percent(field("percentage")),
            time_to_empty: field("time_to_empty").filter(is_estimate),
            usb_out_voltages: [field("usb_out_1_voltage"), field("usb_out_2_voltage")],
        }
    }

    fn add_to(&self, readings: &mut Readings) {
        let charging = self.charging.map(|charging| f64::from(u8::from(charging)));
        // While the battery is being charged, it does not become empty.
        let time_left = self.time_to_empty.filter(|_| self.charging != Some(true));
        let values: [(&HostMetric, _); 6] = [
            (&BATTERY_CHARGE, self.percentage.map(|percent| percent / 100.0)),
            (&BATTERY_CHARGING, charging),
            (&BATTERY_TIME_LEFT, time_left),
            (&BATTERY_CURRENT, self.current),
            (&BATTERY_CYCLES, self.cycle_count),
            (&TEMPERATURE, self.temperature),
        ];
        for (metric, value) in values {
            add_all(readings, metric, [(BATTERY, value)]);
        }
        let [first, second] = self.usb_out_voltages;
        let voltages = [
            (BATTERY, self.cell_voltage),
            ("battery-input", self.input_voltage),
            ("usb-1", first),
            ("usb-2", second),
        ];
        add_all(readings, &VOLTAGE, voltages);
    }
}

impl Gpu {
    /// Reads the graphics processor. Where there is none, all values are zero.
    fn read(value: Option<&Value>) -> Self {
        let field = |name: &str| number(value?.get(name));
        let read = Self {
            percentage: percent(field("percentage")),
            temperature: positive(field("temperature")),
            power: field("power"),
            memory: Usage::read(value.and_then(|value| value.get("memory"))),
        };
        let is_there = read.temperature.is_some() || positive(read.power).is_some();
        if is_there { read } else { Self::default() }
    }

    fn add_to(&self, readings: &mut Readings) {
        let values: [(&HostMetric, _); 2] = [
            (&GPU_UTILIZATION, self.percentage.map(|percent| percent / 100.0)),
            (&GPU_MEMORY_USED, self.memory.used),
        ];
        for (metric, value) in values {
            if let Some(value) = value {
                readings.add(metric, value);
            }
        }
        add_all(readings, &GPU_POWER, [(GPU, self.power)]);
        if let Some(temperature) = self.temperature {
            readings.add_for(&TEMPERATURE, GPU, temperature);
        }
    }
}

/// Adds the values of a metric that are known.
fn add_all<const N: usize>(
    readings: &mut Readings,
    metric: &'static HostMetric,
    values: [(&str, Option<f64>); N],
) {
    for (label, value) in values {
        if let Some(value) = value {
            readings.add_for(metric, label, value);
        }
    }
}

/// Returns a number; `None` for the text `ND` and for every other value.
fn number(value: Option<&Value>) -> Option<f64> {
    value?.as_f64().filter(|number| number.is_finite())
}

/// Returns a number that is not zero. Zero stands for no data where a value of zero is impossible.
fn positive(number: Option<f64>) -> Option<f64> {
    number.filter(|number| *number > 0.0)
}

/// Returns a number that is a percentage.
fn percent(number: Option<f64>) -> Option<f64> {
    number.filter(|percent| (0.0..=100.0).contains(percent))
}

/// Returns a text that is no sign for missing data. A long one is cut.
fn text(value: Option<&Value>) -> Option<String> {
    let text = value?.as_str().map(str::trim).filter(|text| !text.is_empty() && *text != NO_DATA)?;
    Some(text[..text.floor_char_boundary(MAX_TEXT_BYTES)].to_owned())
}

fn messages(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    list.iter().take(MAX_MESSAGES).filter_map(|message| text(Some(message))).collect()
}

#[cfg(test)]
mod tests;
