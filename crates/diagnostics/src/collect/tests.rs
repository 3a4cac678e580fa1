use super::*;
use crate::metrics::{
    ALL, BATTERY_CHARGE, BATTERY_TIME_LEFT, CPU_COUNT, CPU_UTILIZATION, CUSTOM, DISK_WEAR, DISK_WRITTEN,
    FILESYSTEM_UTILIZATION, HostMetric, LOAD_5, LOAD_SHARE, Label, MEMORY_UTILIZATION, NETWORK_RECEIVED,
    NETWORK_SENT, SWAP_UTILIZATION, Series, TEMPERATURE, THROTTLED, UNDER_VOLTAGE, UNDER_VOLTAGE_SINCE_BOOT,
    VOLTAGE, WIFI_SIGNAL,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The files of a robot with a Raspberry Pi, as far as they are read.
const RASPBERRY: &[(&str, &str)] = &[
    ("proc/sys/kernel/random/boot_id", "0d3ad5b4-a5e4-4d9c-b7b9-2f6e6a6f7c11\n"),
    ("proc/uptime", "12345.67 45000.00\n"),
    (
        "proc/stat",
        "cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 50 0 50 350 50 0 0 0 0 0\ncpu1 50 0 50 350 50 0 0 0 0 0\n",
    ),
    ("proc/loadavg", "0.50 1.00 1.50 1/200 999\n"),
    ("proc/meminfo", "MemTotal: 4000 kB\nMemAvailable: 1000 kB\nSwapTotal: 200 kB\nSwapFree: 50 kB\n"),
    (
        "proc/net/dev",
        "Inter-| Receive | Transmit\n face |bytes\n    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n \
         wlan0: 1000 9 1 2 0 0 0 0 2000 8 3 4 0 0 0 0\n veth1: 5 5 5 5 5 5 5 5 5 5 5 5 5 5 5 5\n",
    ),
    (
        "proc/net/wireless",
        "Inter-| sta-|\n face | tus |\n wlan0: 0000   54.  -56.  -256        0 0 0 0 0 0\n",
    ),
    (
        "proc/diskstats",
        " 179 0 mmcblk0 10 2 300 4 50 6 700 8 0 90 12 0 0 0 0\n 7 0 loop0 1 1 1 1 1 1 1 1 1 1 1\n",
    ),
    ("sys/block/mmcblk0/device/life_time", "0x02 0x01\n"),
    ("sys/block/loop0/size", "1\n"),
    ("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n"),
    ("sys/class/thermal/thermal_zone0/temp", "51234\n"),
    ("sys/class/thermal/thermal_zone1/type", "PMIC-Die\n"),
    ("sys/class/thermal/thermal_zone1/temp", "100000\n"),
    ("sys/class/hwmon/hwmon0/name", "cpu_thermal\n"),
    ("sys/class/hwmon/hwmon0/temp1_input", "51234\n"),
    ("sys/class/hwmon/hwmon1/name", "nvme\n"),
    ("sys/class/hwmon/hwmon1/temp1_input", "40000\n"),
    ("sys/class/hwmon/hwmon1/temp2_input", "41000\n"),
    ("sys/class/hwmon/hwmon1/temp3_input", "999999\n"),
    ("sys/devices/platform/soc/soc:firmware/get_throttled", "50001\n"),
    ("sys/class/power_supply/BAT0/type", "Battery\n"),
    ("sys/class/power_supply/BAT0/capacity", "42\n"),
    ("sys/class/power_supply/BAT0/status", "Discharging\n"),
    ("sys/class/power_supply/BAT0/voltage_now", "7400000\n"),
    ("sys/class/power_supply/BAT0/time_to_empty_now", "3600\n"),
    ("sys/class/power_supply/mouse/type", "Battery\n"),
    ("sys/class/power_supply/mouse/scope", "Device\n"),
    ("sys/class/power_supply/mouse/capacity", "5\n"),
    (
        "text/a.prom",
        "# TYPE ok gauge\nok{disk=\"sda\"} 1\nbroken\nnot_a_number NaN\nhw_temperature_celsius 20\n",
    ),
    ("text/b.txt", "other 1\n"),
];

/// The files of a host in memory, by their paths without the first `/`.
#[derive(Default)]
struct Files(BTreeMap<String, String>);

impl Files {
    fn new(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect())
    }

    fn write(&mut self, path: &str, text: &str) {
        self.0.insert(path.to_owned(), text.to_owned());
    }
}

impl Root for Files {
    fn read(&self, path: &str) -> Option<String> {
        self.0.get(path.strip_prefix('/')?).cloned()
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let inside = |path: &String| {
            let rest = format!("/{path}").strip_prefix(folder)?.strip_prefix('/')?.to_owned();
            rest.split('/').next().map(str::to_owned)
        };
        self.0.keys().filter_map(inside).collect::<BTreeSet<String>>().into_iter().collect()
    }

    fn space(&self, path: &str) -> Option<Space> {
        let space = Space { id: 7, total: 1000, unused: 250, available: 250 };
        ["/", "/text"].contains(&path).then_some(space)
    }
}

fn places() -> Places {
    let filesystems = ["/", "/text", "/none"].map(str::to_owned).to_vec();
    Places { filesystems, text_files: Some("/text".to_owned()) }
}

fn value(readings: &Readings, metric: &'static HostMetric, label: &str) -> Option<f64> {
    readings.get(&Series { metric, label: Label::new(label) })
}

#[test]
fn all_readings_of_a_robot_are_collected() {
    let mut root = Files::new(RASPBERRY);
    let mut collector = Collector::new(places());
    let (stamp, first) = collector.collect(&root, None).unwrap();
    assert_eq!(stamp.uptime(), Duration::from_millis(12_345_670));
    assert_eq!(value(&first, &CPU_UTILIZATION, ""), None, "the first sample has nothing to compare with");
    root.write("proc/stat", "cpu 150 0 150 750 150 0 0 0\ncpu0 1\ncpu1 1\n");
    let (_, readings) = collector.collect(&root, None).unwrap();
    for (metric, label, expected) in [
        (&CPU_UTILIZATION, "", Some(0.5)),
        (&CPU_COUNT, "", Some(2.0)),
        (&LOAD_5, "", Some(1.0)),
        (&LOAD_SHARE, "", Some(0.5)),
        (&MEMORY_UTILIZATION, "", Some(0.75)),
        (&SWAP_UTILIZATION, "", Some(0.75)),
        (&NETWORK_RECEIVED, "wlan0", Some(1000.0)),
        (&NETWORK_SENT, "wlan0", Some(2000.0)),
        (&NETWORK_SENT, "lo", None),
        (&NETWORK_SENT, "veth1", None),
        (&WIFI_SIGNAL, "wlan0", Some(-56.0)),
        (&DISK_WRITTEN, "mmcblk0", Some(700.0 * 512.0)),
        (&DISK_WRITTEN, "loop0", None),
        (&DISK_WEAR, "mmcblk0", Some(0.2)),
        (&TEMPERATURE, "cpu-thermal", Some(51.234)),
        (&TEMPERATURE, "cpu_thermal", None),
        (&TEMPERATURE, "PMIC-Die", None),
        (&TEMPERATURE, "nvme", Some(40.0)),
        (&TEMPERATURE, "nvme-2", Some(41.0)),
        (&TEMPERATURE, "nvme-3", None),
        (&UNDER_VOLTAGE, "", Some(1.0)),
        (&THROTTLED, "", Some(0.0)),
        (&UNDER_VOLTAGE_SINCE_BOOT, "", Some(1.0)),
        (&BATTERY_CHARGE, "BAT0", Some(0.42)),
        (&BATTERY_CHARGE, "mouse", None),
        (&BATTERY_TIME_LEFT, "BAT0", Some(3600.0)),
        (&VOLTAGE, "BAT0", Some(7.4)),
        (&FILESYSTEM_UTILIZATION, "/", Some(0.75)),
        (&CUSTOM, "ok{disk=\"sda\"}", Some(1.0)),
        (&CUSTOM, "other", None),
        (&CUSTOM, "hw_temperature_celsius", None),
    ] {
        assert_eq!(value(&readings, metric, label), expected, "{} {label}", metric.metric.name);
    }
    assert_eq!(readings.of(&FILESYSTEM_UTILIZATION).count(), 1, "both paths are in one file system");
    assert_eq!(readings.omitted(), 3, "a wrong line, a value that is no number, and a name of dt-swarm");
}

#[test]
fn a_board_without_the_file_of_the_firmware_tells_its_voltage_by_a_sensor() {
    let files = [
        ("proc/sys/kernel/random/boot_id", "0d3ad5b4-a5e4-4d9c-b7b9-2f6e6a6f7c11\n"),
        ("proc/uptime", "1.00 1.00\n"),
        ("sys/class/hwmon/hwmon3/name", "rpi_volt\n"),
        ("sys/class/hwmon/hwmon3/in0_lcrit_alarm", "1\n"),
    ];
    let root = Files::new(&files);
    let (_, readings) = Collector::default().collect(&root, None).unwrap();
    assert_eq!((value(&readings, &UNDER_VOLTAGE, ""), value(&readings, &THROTTLED, "")), (Some(1.0), None));
}

#[test]
fn a_host_that_does_not_tell_its_boot_has_no_samples() {
    for wrong in [("proc/uptime", "-1 2"), ("proc/uptime", ""), ("proc/sys/kernel/random/boot_id", "7")] {
        let mut root = Files::new(RASPBERRY);
        root.write(wrong.0, wrong.1);
        assert_eq!(Collector::default().collect(&root, None), None);
    }
}

/// A host whose files all have the same text.
struct Noise {
    text: String,
    names: Vec<String>,
}

impl Root for Noise {
    fn read(&self, path: &str) -> Option<String> {
        let is_stamp = path.ends_with("boot_id") || path.ends_with("uptime");
        let stamp = || if path.ends_with("uptime") { "1 1" } else { "0d3ad5b4a5e44d9cb7b92f6e6a6f7c11" };
        Some(if is_stamp { stamp().to_owned() } else { self.text.clone() })
    }

    fn names(&self, _folder: &str) -> Vec<String> {
        self.names.clone()
    }

    fn space(&self, _path: &str) -> Option<Space> {
        Some(Space { id: 1, total: u64::MAX, unused: 1, available: u64::MAX })
    }
}

proptest! {
    #[test]
    fn any_text_in_all_files_gives_bounded_and_finite_readings(
        text in prop_oneof![
            "(?s).{0,200}",
            "(cpu[0-9]?|MemTotal|MemAvailable|SwapTotal|wlan0|x:)?( |:|\n|[0-9]{1,20}|-|\\.|kB|0x){0,60}",
        ],
    ) {
        let names = ["thermal_zone0", "temp1_input", "a.prom", "firmware", "sda", "é\u{1b}"];
        let root = Noise { text, names: names.map(str::to_owned).to_vec() };
        let mut collector = Collector::new(places());
        for _ in 0..2 {
            let (_, readings) = collector.collect(&root, None).unwrap();
            prop_assert!(readings.len() <= crate::sample::MAX_READINGS);
            prop_assert!(readings.iter().all(|reading| reading.value.is_finite()));
            prop_assert!(readings.iter().all(|reading| ALL.contains(&reading.series.metric)));
        }
    }
}
