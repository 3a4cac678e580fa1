//! Robots whose temperature, battery and disk are planted: files and file systems of the lab in place of the kernel's.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::daemon::Robot;
use crate::{Error, Host, Lab, Result, SmallDisk};

/// Rules about the machine that runs the lab, whose load does not matter.
const OFF: [&str; 5] = ["cpu.overloaded", "memory.scarce", "swap.full", "wifi.weak", "clock.uncertain"];
/// Rule about the disk of that machine. It is on for a robot with a planted disk.
const DISK_FULL: &str = "filesystem.full";
/// Size of a planted disk, in bytes.
const DISK_BYTES: u64 = 32 << 20;

/// Writes a file of a robot's host.
///
/// # Errors
/// When the file or its folder cannot be written.
pub fn write(path: &Path, text: &str) -> Result {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(Error::io(folder.display().to_string()))?;
    }
    fs::write(path, text).map_err(Error::io(path.display().to_string()))
}

fn root(host: &Host) -> PathBuf {
    host.folder().join("root")
}

/// Sets the temperature of a robot, in degrees Celsius.
///
/// # Errors
/// When the file cannot be written.
pub fn set_temperature(robot: &Robot, degrees: u32) -> Result {
    write(&root(robot.host()).join("sys/class/thermal/thermal_zone0/temp"), &format!("{degrees}000\n"))
}

/// Sets the charge of a robot's battery in percent.
///
/// # Errors
/// When the file cannot be written.
pub fn set_charge(robot: &Robot, percent: u32) -> Result {
    write(&root(robot.host()).join("sys/class/power_supply/battery/capacity"), &format!("{percent}\n"))
}

/// Makes a robot with 50 °C and a full battery. Its daemon does not run yet. `top` are keys at the top of the
/// configuration, and `keys` are keys of its section `[diagnostics]`.
///
/// # Errors
/// When the host cannot be made.
pub fn robot(lab: &Lab, name: &str, top: &str, keys: &str) -> Result<Robot> {
    robot_on(lab.host(name)?, top, keys)
}

/// Makes a robot like [`robot`] on a host.
///
/// # Errors
/// When its files cannot be written.
pub fn robot_on(host: Host, top: &str, keys: &str) -> Result<Robot> {
    robot_without_rules(host, (top, keys), &[&OFF[..], &[DISK_FULL]].concat())
}

/// Makes a robot as [`robot`], with a disk of its own.
///
/// # Errors
/// When the host or the disk cannot be made.
pub fn robot_with_disk(lab: &Lab, name: &str) -> Result<(Robot, SmallDisk)> {
    let host = lab.host(name)?;
    let folder = host.folder().join("card");
    let disk = SmallDisk::mount(&folder, DISK_BYTES)?;
    let robot = robot_without_rules(host, ("", &format!("filesystems = [{folder:?}]")), &OFF)?;
    Ok((robot, disk))
}

/// Returns the tables of a configuration that leave out the rules about the machine that runs the lab.
pub fn without_machine_rules() -> String {
    tables(&[&OFF[..], &[DISK_FULL]].concat())
}

fn tables(off: &[&str]) -> String {
    off.iter().map(|code| format!("[diagnostics.rules.{code:?}]\noff = true\n")).collect()
}

fn robot_without_rules(host: Host, (top, keys): (&str, &str), off: &[&str]) -> Result<Robot> {
    let root = root(&host);
    fs::create_dir_all(&root).map_err(Error::io(root.display().to_string()))?;
    symlink("/proc", root.join("proc")).map_err(Error::io(root.display().to_string()))?;
    write(&root.join("sys/class/thermal/thermal_zone0/type"), "cpu-thermal\n")?;
    write(&root.join("sys/class/power_supply/battery/type"), "Battery\n")?;
    let off = tables(off);
    let configuration = format!("{top}\n[diagnostics]\nhost_root = {root:?}\n{keys}\n{off}");
    let robot = Robot::new(host, &configuration)?;
    set_temperature(&robot, 50)?;
    set_charge(&robot, 100)?;
    Ok(robot)
}
