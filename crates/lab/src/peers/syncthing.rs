//! Syncthing, a program of Debian that keeps folders in sync. The experiment `idle` compares its cost with ours.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::{Error, Host, Process, Result, Unavailable, process};

const PORT: u16 = 22000;
const START_LIMIT: Duration = Duration::from_secs(60);
const GENERATE_LIMIT: Duration = Duration::from_secs(60);

/// A running Syncthing. Dropping it kills it.
#[derive(Debug)]
pub struct Syncthing {
    host: Host,
    process: Process,
}

/// Checks that Syncthing is installed.
///
/// # Errors
/// [`Unavailable`] when it is not.
pub fn syncthing_available() -> Result<(), Unavailable> {
    let mut command = Command::new("syncthing");
    command.arg("--version");
    process::run(command, Duration::from_secs(10)).map(drop).map_err(|error| {
        Unavailable::new(format!("syncthing does not run ({error}): install the Debian package syncthing"))
    })
}

/// A Syncthing before its start: its host, its folder and its device ID.
struct Draft<'a> {
    host: &'a Host,
    home: PathBuf,
    id: String,
}

impl Syncthing {
    /// Starts one instance on each host. All share one folder, contact no server, and are connected when this returns.
    ///
    /// # Errors
    /// When an instance does not start or connect in time.
    pub fn start_all(hosts: &[Host]) -> Result<Vec<Self>> {
        let drafts = hosts.iter().map(Draft::generate).collect::<Result<Vec<_>>>()?;
        let all = drafts.iter().map(|draft| draft.start(&drafts)).collect::<Result<Vec<_>>>()?;
        for one in all.iter().filter(|_| all.len() > 1) {
            let is_connected = |line: &str| line.contains("Established secure connection");
            one.process.wait_for_line(is_connected, START_LIMIT)?;
        }
        Ok(all)
    }

    /// Returns the host of the instance.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Returns the process, to measure its resource usage.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Returns the folder that the instance on a host shares. The instance need not run yet.
    pub fn folder_on(host: &Host) -> PathBuf {
        host.folder().join("synced")
    }
}

impl<'a> Draft<'a> {
    fn generate(host: &'a Host) -> Result<Self> {
        let (home, folder) = (host.folder().join("syncthing"), Syncthing::folder_on(host));
        fs::create_dir_all(&folder).map_err(Error::io(folder.display().to_string()))?;
        let mut command = host.command("syncthing");
        command.args(["generate", "--no-default-folder", "--skip-port-probing"]).arg("--home").arg(&home);
        host.run(command, GENERATE_LIMIT)?.success("syncthing generate")?;
        let path = home.join("config.xml");
        let generated = fs::read_to_string(&path).map_err(Error::io(path.display().to_string()))?;
        let id = device_id(&generated).ok_or_else(|| Error::answer("the device ID", generated.as_str()))?;
        Ok(Self { host, home, id: id.to_owned() })
    }

    fn start(&self, all: &[Self]) -> Result<Syncthing> {
        let path = self.home.join("config.xml");
        let text = configuration(&Syncthing::folder_on(self.host).display().to_string(), all);
        fs::write(&path, text).map_err(Error::io(path.display().to_string()))?;
        let mut command = self.host.command("syncthing");
        command.args(["serve", "--no-browser", "--no-upgrade", "--home"]).arg(&self.home);
        // The variable disables the second process, which only monitors the first.
        command.env("STMONITORED", "yes").env("HOME", self.host.folder());
        let process = self.host.spawn("syncthing", command)?;
        Ok(Syncthing { host: self.host.clone(), process })
    }
}

/// Returns the ID in a newly generated configuration, which has exactly one device.
fn device_id(configuration: &str) -> Option<&str> {
    configuration.split_once("<device id=\"")?.1.split_once('"').map(|(id, _)| id)
}

/// Returns a configuration with one folder shared by all. It contacts nothing outside the lab.
fn configuration(folder: &str, all: &[Draft]) -> String {
    let device = |draft: &Draft| {
        let (id, name, address) = (&draft.id, draft.host.name(), draft.host.address());
        format!("<device id=\"{id}\" name=\"{name}\"><address>tcp://{address}:{PORT}</address></device>\n")
    };
    let member = |draft: &Draft| format!("<device id=\"{}\"></device>\n", draft.id);
    let devices: String = all.iter().map(device).collect();
    let members: String = all.iter().map(member).collect();
    format!(
        "<configuration version=\"36\">\n\
         <folder id=\"logs\" label=\"logs\" path=\"{folder}\" type=\"sendreceive\">\n{members}</folder>\n{devices}\
         <gui enabled=\"false\"></gui>\n<options>\n\
         <listenAddress>tcp://:{PORT}</listenAddress>\n\
         <globalAnnounceEnabled>false</globalAnnounceEnabled>\n<relaysEnabled>false</relaysEnabled>\n\
         <natEnabled>false</natEnabled>\n<startBrowser>false</startBrowser>\n<urAccepted>-1</urAccepted>\n\
         <crashReportingEnabled>false</crashReportingEnabled>\n<autoUpgradeIntervalH>0</autoUpgradeIntervalH>\n\
         </options>\n</configuration>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_id_is_found_in_a_generated_configuration() {
        let generated = "<configuration version=\"36\">\n <device id=\"ABC-DEF\" name=\"vm\"></device>";
        assert_eq!(device_id(generated), Some("ABC-DEF"));
        assert_eq!(device_id("<configuration>"), None);
    }
}
