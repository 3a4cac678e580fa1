//! Collects the readings of a host: from files of the kernel, from text files of local programs, and from
//! dt-device-health.
//!
//! Every reader takes the text of a file, and ignores what it does not understand. A sample reads about 60 small files
//! and starts no process. All files are read through a [`Root`], so that a folder can stand for the host.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod battery;
mod board;
mod cpu;
pub mod device_health;
mod disk;
mod filesystem;
mod memory;
mod network;
mod sensors;
#[cfg(test)]
mod tests;
pub mod text_file;

use crate::metrics::UPTIME;
use crate::sample::{BootId, Readings, Stamp};
use cpu::CpuTimes;
use device_health::DeviceHealth;

/// Maximum size, in bytes, of a file that is read. The largest one, `/proc/stat`, has a few KiB on a robot.
pub const MAX_FILE_BYTES: usize = 64 * 1024;
/// Maximum number of names of a folder that are read.
pub const MAX_NAMES: usize = 256;

/// Access to the files of a host. The paths are absolute.
pub trait Root {
    /// Returns the first [`MAX_FILE_BYTES`] of a file, or `None` if it cannot be read or is no text.
    fn read(&self, path: &str) -> Option<String>;

    /// Returns at most [`MAX_NAMES`] names in a folder, sorted. A folder that cannot be read has no names.
    fn names(&self, folder: &str) -> Vec<String>;

    /// Returns the space of the file system that contains a path.
    fn space(&self, path: &str) -> Option<Space>;
}

/// The space of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// ID of the file system. Two paths with the same ID are in the same file system.
    pub id: u64,
    /// Size in bytes.
    pub total: u64,
    /// Bytes that no file uses. Some of them may be reserved for the administrator.
    pub unused: u64,
    /// Bytes that users other than the administrator can still write.
    pub available: u64,
}

/// The parts of a host that are not the same on all robots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Paths whose file systems are measured.
    pub filesystems: Vec<String>,
    /// Folder with text files of local programs, whose names end with `.prom`.
    pub text_files: Option<String>,
}

/// Collects readings, and keeps the values of the last time from which rates are computed.
#[derive(Clone, Debug, Default)]
pub struct Collector {
    places: Places,
    cpu: Option<CpuTimes>,
}

impl Collector {
    /// Creates a collector for a host with these places.
    pub fn new(places: Places) -> Self {
        Self { places, cpu: None }
    }

    /// Reads the moment and all readings. `device` is the last answer of dt-device-health, if it runs. Returns `None`
    /// on a host that does not tell its boot and the time since then.
    pub fn collect(&mut self, root: &impl Root, device: Option<&DeviceHealth>) -> Option<(Stamp, Readings)> {
        let stamp = stamp(root)?;
        let mut readings = Readings::default();
        readings.add(&UPTIME, stamp.uptime().as_secs_f64());
        self.cpu = cpu::read(root, self.cpu, &mut readings);
        memory::read(root, &mut readings);
        sensors::read(root, &mut readings);
        board::read(root, &mut readings);
        battery::read(root, &mut readings);
        filesystem::read(root, &self.places.filesystems, &mut readings);
        disk::read(root, &mut readings);
        network::read(root, &mut readings);
        if let Some(device) = device {
            device.add_to(&mut readings);
        }
        if let Some(folder) = &self.places.text_files {
            text_file::read(root, folder, &mut readings);
        }
        Some((stamp, readings))
    }

    /// Reads the moment and only the readings whose faults can end a robot within minutes: temperatures, the supply of the
    /// board, the battery, and the space of file systems. It is done several times between two samples.
    pub fn look(&self, root: &impl Root) -> Option<(Stamp, Readings)> {
        let stamp = stamp(root)?;
        let mut readings = Readings::default();
        sensors::read(root, &mut readings);
        board::read(root, &mut readings);
        battery::read(root, &mut readings);
        filesystem::read(root, &self.places.filesystems, &mut readings);
        Some((stamp, readings))
    }
}

/// Returns the present moment of the host.
pub fn stamp(root: &impl Root) -> Option<Stamp> {
    let boot = BootId::parse(&root.read("/proc/sys/kernel/random/boot_id")?)?;
    let seconds = root.read("/proc/uptime")?.split_whitespace().next().and_then(number)?;
    // A conversion of a float saturates, so a wrong text gives a wrong moment and no overflow.
    (seconds >= 0.0).then_some(Stamp { boot, millis: (seconds * 1000.0).round() as u64 })
}

/// Reads a number. Texts such as `nan` and `inf` are no numbers here.
fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

/// Reads a file that consists of one number.
fn number_in(root: &impl Root, path: &str) -> Option<f64> {
    number(&root.read(path)?)
}

/// Reads a file that consists of one short text.
fn word_in(root: &impl Root, path: &str) -> Option<String> {
    let text = root.read(path)?;
    let word = text.trim();
    (!word.is_empty()).then(|| word.to_owned())
}
