//! Notices that the data folder is used on another machine than before, as after an SD card was copied or moved.
//!
//! Beside the identity, the daemon notes the properties of its machine. It changes nothing by itself when they differ:
//! only the owner knows whether another robot still uses the identity.

use dcache::PeerId;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use telemetry::{FaultReport, faults, report};

/// Name of the file in the data folder that holds the note.
const NAME: &str = "identity.machine";
/// File in which the firmware of many boards, such as the Raspberry Pi and the Jetson Nano, gives the serial number.
const BOARD_SERIAL: &str = "/proc/device-tree/serial-number";
/// Maximum number of bytes of a file with a property, and of the note.
const MAX_FILE_BYTES: u64 = 512;
/// Maximum number of characters of a property.
const MAX_PROPERTY: usize = 64;

/// The properties that distinguish this machine from others. A property that is not known is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Machine {
    /// Serial number of the board. A copied SD card does not copy it.
    board: Option<String>,
    /// Machine ID of the operating system.
    id: Option<String>,
}

impl Machine {
    /// Reads the properties of this machine. `id_file` holds its machine ID. With an empty path, no property is known.
    pub(crate) fn read(id_file: &Path) -> Self {
        match id_file.as_os_str().is_empty() {
            true => Self::default(),
            false => Self::read_from(id_file, Path::new(BOARD_SERIAL)),
        }
    }

    fn read_from(id_file: &Path, board_file: &Path) -> Self {
        Self { board: property(board_file), id: property(id_file) }
    }

    /// Returns the name of the property that shows that `self` is another machine than `before`. The board decides if
    /// it is known, since the machine ID also changes when the system is installed again.
    fn difference(&self, before: &Self) -> Option<&'static str> {
        match (&before.board, &self.board, &before.id, &self.id) {
            (Some(before), Some(now), ..) => (before != now).then_some("serial number"),
            (_, _, Some(before), Some(now)) => (before != now).then_some("machine ID"),
            _ => None,
        }
    }

    /// Returns these properties, with those of `before` that are not known now.
    fn with_former(&self, before: &Self) -> Self {
        let Self { board, id } = self.clone();
        Self { board: board.or_else(|| before.board.clone()), id: id.or_else(|| before.id.clone()) }
    }
}

/// Reads a property: printable characters without white space.
fn property(path: &Path) -> Option<String> {
    let text = read_text(path).ok()?;
    let text = text.trim_matches(|char: char| char.is_whitespace() || char == '\0');
    let is_fit = (1..=MAX_PROPERTY).contains(&text.len()) && text.chars().all(|char| char.is_ascii_graphic());
    // systemd writes this text before the first boot.
    (is_fit && text != "uninitialized").then(|| text.to_owned())
}

fn read_text(path: &Path) -> io::Result<String> {
    // Reading a pipe could wait without end.
    if !path.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut text = String::new();
    File::open(path)?.take(MAX_FILE_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// The machine on which an identity was used.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Note {
    peer: PeerId,
    machine: Machine,
}

impl Note {
    fn parse(text: &str) -> Option<Self> {
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        let machine =
            Machine { board: value("board").map(str::to_owned), id: value("machine-id").map(str::to_owned) };
        Some(Self { peer: value("peer")?.parse().ok()?, machine })
    }

    fn text(&self) -> String {
        let mut text = format!("peer {}\n", self.peer);
        let properties = [("board", &self.machine.board), ("machine-id", &self.machine.id)];
        for (key, value) in properties {
            if let Some(value) = value {
                // Writing to a String does not fail.
                let _ = writeln!(text, "{key} {value}");
            }
        }
        text
    }
}

/// The note about the machine in the data folder.
#[derive(Clone, Debug)]
pub(crate) struct MachineNote {
    path: PathBuf,
    peer: PeerId,
    machine: Machine,
}

impl MachineNote {
    /// Returns the note for this identity on this machine.
    pub(crate) fn new(data_dir: &Path, peer: PeerId, machine: Machine) -> Self {
        Self { path: data_dir.join(NAME), peer, machine }
    }

    /// Compares this machine with the note. Without a note about this identity, notes this machine. Returns the fault if
    /// the machine is another one.
    pub(crate) fn check(&self) -> Option<FaultReport> {
        let former = read_text(&self.path).ok().and_then(|text| Note::parse(&text));
        let before = former.filter(|note| note.peer == self.peer).map(|note| note.machine);
        let before = before.unwrap_or_default();
        if let Some(property) = self.machine.difference(&before) {
            return Some(report!(faults::IDENTITY_MACHINE_CHANGED, property = property));
        }
        let now = self.machine.with_former(&before);
        if now != before
            && let Err(error) = self.write(now)
        {
            tracing::warn!(path = %self.path.display(), %error, "the machine of this identity cannot be noted");
        }
        None
    }

    /// Notes that the identity belongs to this machine.
    ///
    /// # Errors
    /// When the note cannot be written.
    pub(crate) fn keep(&self) -> io::Result<()> {
        self.write(self.machine.clone())
    }

    fn write(&self, machine: Machine) -> io::Result<()> {
        let note = Note { peer: self.peer, machine };
        control::replace(&self.path, note.text().as_bytes(), 0o600)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::Keypair;
    use std::fs;

    fn machine(board: &str, id: &str) -> Machine {
        let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Machine { board: known(board), id: known(id) }
    }

    fn peer(seed: u8) -> PeerId {
        Keypair::from_seed([seed; 32]).peer_id()
    }

    fn code(note: &MachineNote) -> Option<&'static str> {
        note.check().map(|fault| fault.code())
    }

    #[test]
    fn another_machine_is_reported_until_the_owner_decides() {
        let folder = tempfile::tempdir().unwrap();
        let on = |id: &str| MachineNote::new(folder.path(), peer(1), machine("", id));
        let changed = Some("identity.machine-changed");
        assert_eq!([code(&on("a")), code(&on("a")), code(&on(""))], [None; 3]);
        assert_eq!([code(&on("b")), code(&on("b"))], [changed; 2]);
        on("b").keep().unwrap();
        assert_eq!([code(&on("b")), code(&on("a"))], [None, changed]);
        let renewed = MachineNote::new(folder.path(), peer(2), machine("", "c"));
        assert_eq!(code(&renewed), None, "another identity belongs to the machine on which it was made");
    }

    #[test]
    fn the_board_decides_where_it_is_known() {
        let differs = |before: (&str, &str), now: (&str, &str)| {
            machine(now.0, now.1).difference(&machine(before.0, before.1))
        };
        assert_eq!(differs(("1", "a"), ("1", "b")), None, "the system was installed again");
        assert_eq!(differs(("1", "a"), ("2", "a")), Some("serial number"), "the card was copied");
        assert_eq!(differs(("", "a"), ("1", "b")), Some("machine ID"));
        assert_eq!(differs(("1", ""), ("", "b")), None);
    }

    #[test]
    fn a_property_that_is_learnt_later_is_noted() {
        let folder = tempfile::tempdir().unwrap();
        let on = |board: &str, id: &str| MachineNote::new(folder.path(), peer(1), machine(board, id));
        assert_eq!([code(&on("", "a")), code(&on("1", "")), code(&on("1", "a"))], [None; 3]);
        assert!(on("2", "a").check().is_some());
    }

    #[test]
    fn only_texts_that_identify_a_machine_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let (id, board) = (folder.path().join("id"), folder.path().join("board"));
        fs::write(&id, "0d3ad5b4a5e44d9cb7b92f6e6a6f7c11\n").unwrap();
        fs::write(&board, "10000000f3a1b2c3\0").unwrap();
        let read = || Machine::read_from(&id, &board);
        assert_eq!(read(), machine("10000000f3a1b2c3", "0d3ad5b4a5e44d9cb7b92f6e6a6f7c11"));
        for wrong in ["", "uninitialized\n", "a b", &"x".repeat(65)] {
            fs::write(&id, wrong).unwrap();
            assert_eq!(read().id, None, "{wrong}");
        }
        assert_eq!(Machine::read_from(folder.path(), Path::new("/none")), Machine::default());
    }

    #[test]
    fn a_damaged_note_is_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let note = MachineNote::new(folder.path(), peer(1), machine("1", "a"));
        for damaged in ["", "peer nobody\n", "board\nmachine-id\n"] {
            fs::write(folder.path().join(NAME), damaged).unwrap();
            assert_eq!(code(&note), None);
            let text = fs::read_to_string(folder.path().join(NAME)).unwrap();
            assert_eq!(Note::parse(&text).unwrap().machine, machine("1", "a"));
        }
    }
}
