//! Reads the files in which a Duckietown robot keeps its properties.
//!
//! | property | environment variable | file |
//! |---|---|---|
//! | type | `ROBOT_TYPE` | `/data/config/robot_type` |
//! | configuration | `ROBOT_CONFIGURATION` | `/data/config/robot_configuration` |
//! | hardware | `ROBOT_HARDWARE` | `/data/config/robot_hardware` |
//! | distribution | `ROBOT_DISTRO` | `/data/config/robot_distro` |
//! | device ID | | `/data/stats/MAC/eth0`, else `/sys/class/net/eth0/address` |
//! | boot ID | | `/proc/sys/kernel/random/boot_id`, its first 16 hex digits |
//!
//! A variable overrides its file. A missing file, and the texts `NOTSET` and `__NOTSET__`, mean that the property is
//! not known.

use crate::profile::{Profile, profile_text};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// Texts that stand for a property that is not known.
const NOT_SET: [&str; 2] = ["NOTSET", "__NOTSET__"];
/// Maximum number of bytes that are read from a file.
const MAX_FILE_BYTES: u64 = 256;
/// Number of hex digits of a MAC address.
const MAC_DIGITS: usize = 12;
/// Number of hex digits of the boot ID that are stated. They distinguish the boots of all robots of a swarm.
const BOOT_DIGITS: usize = 16;

/// Reads the profile of the robot from the files below `root`, and from the variables that `variable` returns. This
/// call blocks.
pub(crate) fn read_profile(root: &Path, variable: impl Fn(&str) -> Option<String>) -> Profile {
    let file = |path: &str| read_text(&root.join(path));
    let property = |name: &str, path: &str| {
        let set = variable(name).and_then(|text| known(&text));
        set.or_else(|| known(&file(path)?))
    };
    let device = |path: &str| hex_digits(&file(path)?, ':').filter(|digits| digits.len() == MAC_DIGITS);
    let boot = file("proc/sys/kernel/random/boot_id").and_then(|text| hex_digits(&text, '-'));
    Profile {
        robot_type: property("ROBOT_TYPE", "data/config/robot_type"),
        configuration: property("ROBOT_CONFIGURATION", "data/config/robot_configuration"),
        hardware: property("ROBOT_HARDWARE", "data/config/robot_hardware"),
        distro: property("ROBOT_DISTRO", "data/config/robot_distro"),
        device: device("data/stats/MAC/eth0").or_else(|| device("sys/class/net/eth0/address")),
        boot: boot.map(|digits| digits.chars().take(BOOT_DIGITS).collect()),
        host: None,
    }
}

/// Reads the start of a file. Returns `None` for everything else than a regular file, since reading a pipe could wait
/// without end.
fn read_text(path: &Path) -> Option<String> {
    if !path.metadata().ok()?.is_file() {
        return None;
    }
    let mut text = Vec::new();
    File::open(path).ok()?.take(MAX_FILE_BYTES).read_to_end(&mut text).ok()?;
    String::from_utf8(text).ok()
}

/// Returns a property that is known, and that a profile may have.
fn known(text: &str) -> Option<String> {
    profile_text(text).filter(|text| !NOT_SET.contains(&text.as_str()))
}

/// Returns the hex digits of a text in lower case, without the separators between them. Returns `None` for a text with
/// other characters.
fn hex_digits(text: &str, separator: char) -> Option<String> {
    let digits: String = text.trim().chars().filter(|char| *char != separator).collect();
    let is_hex = !digits.is_empty() && digits.chars().all(|char| char.is_ascii_hexdigit());
    is_hex.then(|| digits.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Creates a folder with these files.
    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    fn read(files: &[(&str, &str)], variables: &[(&str, &str)]) -> Profile {
        let variable = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, text)| (*text).to_owned())
        };
        read_profile(root(files).path(), variable)
    }

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn all_files_of_a_robot_are_read() {
        let profile = read(
            &[
                ("data/config/robot_type", "duckiebot"),
                ("data/config/robot_configuration", "DB21J\n"),
                ("data/config/robot_hardware", " jetson_nano\r\n"),
                ("data/config/robot_distro", "ente"),
                ("data/stats/MAC/eth0", "48:B0:2D:3B:4C:5D\n"),
                ("sys/class/net/eth0/address", "00:00:00:00:00:01\n"),
                ("proc/sys/kernel/random/boot_id", "0d3ad5b4-a5e4-4d9c-b7b9-2f6e6a6f7c11\n"),
            ],
            &[],
        );
        let expected = Profile {
            robot_type: text("duckiebot"),
            configuration: text("DB21J"),
            hardware: text("jetson_nano"),
            distro: text("ente"),
            device: text("48b02d3b4c5d"),
            boot: text("0d3ad5b4a5e44d9c"),
            host: None,
        };
        assert_eq!(profile, expected);
    }

    #[test]
    fn a_variable_overrides_its_file_unless_it_is_not_set() {
        let files = [("data/config/robot_type", "duckiebot"), ("data/config/robot_distro", "daffy")];
        let variables =
            [("ROBOT_TYPE", "watchtower"), ("ROBOT_DISTRO", "__NOTSET__"), ("ROBOT_HARDWARE", "")];
        let profile = read(&files, &variables);
        let expected =
            Profile { robot_type: text("watchtower"), distro: text("daffy"), ..Profile::default() };
        assert_eq!(profile, expected);
    }

    #[test]
    fn missing_files_and_wrong_texts_are_unknown_properties() {
        assert!(read(&[], &[]).is_empty());
        let long = "x".repeat(300);
        let profile = read(
            &[
                ("data/config/robot_type", "NOTSET"),
                ("data/config/robot_configuration", &long),
                ("data/config/robot_hardware/file", "a folder in place of a file"),
                ("data/config/robot_distro", "a\u{7}b"),
                ("data/stats/MAC/eth0", "not a MAC address"),
                ("proc/sys/kernel/random/boot_id", "\n"),
            ],
            &[],
        );
        assert!(profile.is_empty(), "{profile:?}");
    }

    #[test]
    fn the_device_id_is_read_from_the_interface_if_the_robot_noted_none() {
        let profile = read(&[("sys/class/net/eth0/address", "48:b0:2d:3b:4c:5e\n")], &[]);
        assert_eq!(profile, Profile { device: text("48b02d3b4c5e"), ..Profile::default() });
    }
}
