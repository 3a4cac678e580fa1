//! Robots whose temperature and battery are files of the test.
#![allow(dead_code, reason = "each test program uses some of the functions")]

use lab::daemon::Robot;
use lab::{Error, Host, Lab, Result};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Rules about the machine that runs the test, whose load does not matter.
const OFF: [&str; 6] =
    ["cpu.overloaded", "memory.scarce", "swap.full", "filesystem.full", "wifi.weak", "clock.uncertain"];

fn io<T>(path: &Path, result: std::io::Result<T>) -> Result<T> {
    result.map_err(|source| Error::Io { what: path.display().to_string(), source })
}

/// Writes a file of the robot's host.
pub(crate) fn write(path: &Path, text: &str) -> Result {
    if let Some(folder) = path.parent() {
        io(folder, fs::create_dir_all(folder))?;
    }
    io(path, fs::write(path, text))
}

fn root(host: &Host) -> PathBuf {
    host.folder().join("root")
}

/// Sets the temperature of a robot, in degrees Celsius.
pub(crate) fn set_temperature(robot: &Robot, degrees: u32) -> Result {
    write(&root(robot.host()).join("sys/class/thermal/thermal_zone0/temp"), &format!("{degrees}000\n"))
}

/// Sets the charge of a robot's battery in percent.
pub(crate) fn set_charge(robot: &Robot, percent: u32) -> Result {
    write(&root(robot.host()).join("sys/class/power_supply/battery/capacity"), &format!("{percent}\n"))
}

/// Makes a robot with 50 °C and a full battery. Its daemon does not run yet. `top` are keys at the top of the configuration,
/// and `keys` are keys of its section `[diagnostics]`.
pub(crate) fn robot(lab: &Lab, name: &str, top: &str, keys: &str) -> Result<Robot> {
    robot_on(lab.host(name)?, top, keys)
}

/// Makes a robot like [`robot`] on a host.
pub(crate) fn robot_on(host: Host, top: &str, keys: &str) -> Result<Robot> {
    let root = root(&host);
    io(&root, fs::create_dir_all(&root))?;
    io(&root, symlink("/proc", root.join("proc")))?;
    write(&root.join("sys/class/thermal/thermal_zone0/type"), "cpu-thermal\n")?;
    write(&root.join("sys/class/power_supply/battery/type"), "Battery\n")?;
    let off: String = OFF.iter().map(|code| format!("[diagnostics.rules.{code:?}]\noff = true\n")).collect();
    let configuration = format!("{top}\n[diagnostics]\nhost_root = {root:?}\n{keys}\n{off}");
    let robot = Robot::new(host, &configuration)?;
    set_temperature(&robot, 50)?;
    set_charge(&robot, 100)?;
    Ok(robot)
}
