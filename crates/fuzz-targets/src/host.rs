//! Target: the files from which a host is measured. All of them have the same text.

use diagnostics::collect::{Collector, Places, Root, Space};
use diagnostics::sample::MAX_READINGS;

/// The files of a host that have the same text, except those that tell the moment.
pub(crate) struct Files {
    text: String,
    names: Vec<String>,
}

impl Files {
    /// Returns a host without other files than those that tell the moment.
    pub(crate) fn empty() -> Self {
        Self { text: String::new(), names: Vec::new() }
    }
}

impl Root for Files {
    fn read(&self, path: &str) -> Option<String> {
        Some(match path {
            "/proc/sys/kernel/random/boot_id" => "0d3ad5b4-a5e4-4d9c-b7b9-2f6e6a6f7c11\n".to_owned(),
            "/proc/uptime" => "12345.67 45000.00\n".to_owned(),
            _ => self.text.clone(),
        })
    }

    fn names(&self, _folder: &str) -> Vec<String> {
        self.names.clone()
    }

    fn space(&self, _path: &str) -> Option<Space> {
        None
    }
}

/// Returns the beginnings of the files of a robot.
pub fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "cpu  100 0 100 700 100 0 0 0 50 0\ncpu0 50 0 50 350 50 0 0 0 25 0\nintr 7\n",
        "MemTotal:        4096 kB\nMemAvailable: 1024 kB\nSwapTotal: 200 kB\nSwapFree: 50 kB\n",
        " face |bytes\n wlan0: 1000 9 1 2 0 0 0 0 2000 8 3 4 0 0 0 0\n",
        " wlan0: 0000   54.  -56.  -256        0 0 0 0 0 0\n",
        " 179 0 sda 10 2 300 4 50 6 700 8 0 90 12 0 0 0 0\n",
        "0.50 1.00 1.50 1/200 999\n",
        "0x02 0x01\n",
        "50005\n",
        "Battery\n",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

/// Checks that the readings are bounded and finite.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let names = ["a.prom", "firmware", "hwmon0", "sda", "temp1_input", "thermal_zone0"];
    let root = Files { text: text.to_owned(), names: names.map(str::to_owned).to_vec() };
    let places = Places { filesystems: Vec::new(), text_files: Some("/text".to_owned()) };
    let mut collector = Collector::new(places);
    for _ in 0..2 {
        let collected = collector.collect(&root, None);
        let readings = collected.map(|(_, readings)| readings).unwrap_or_default();
        assert!(readings.len() <= MAX_READINGS);
        assert!(readings.iter().all(|reading| reading.value.is_finite()));
    }
}
