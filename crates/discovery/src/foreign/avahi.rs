//! Lets Avahi publish the own service of this robot, by a file in its folder of services.
//!
//! Avahi watches the folder, and publishes within a second. Its socket, which containers of Duckietown mount, cannot be
//! used to publish anything. A daemon that may not write into the folder, such as one in a container, publishes nothing.

use super::own_service::{OwnService, SERVICE_TYPE};
use super::publish::Publication;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::sleep;

/// Sockets of Avahi. In containers, the socket of the host may be mounted.
const SOCKETS: [&str; 2] = ["/run/avahi-daemon/socket", "/var/run/avahi-daemon/socket"];
/// Folder of the files of Avahi's services.
const FOLDER: &str = "/etc/avahi/services";
/// Name of the file in that folder.
const FILE: &str = "dt-swarm.service";
/// Mode of the file. Avahi runs as a user of its own.
const READABLE: u32 = 0o644;

/// Returns whether Avahi runs on this host.
pub(super) fn is_running() -> bool {
    SOCKETS.iter().any(|socket| Path::new(socket).exists())
}

/// Lets Avahi publish the own service while it runs. Looks at this interval whether it still does. Dropping the future
/// withdraws the service.
pub(super) async fn publish(publication: &Publication, look: Duration) {
    let written = publication.own_service().map(|(label, own)| {
        let text = service_file(&String::from_utf8_lossy(label), own);
        ServiceFile::write(Path::new(FOLDER), &text)
    });
    if let Some(Err(error)) = &written {
        tracing::debug!(%error, folder = FOLDER, "Avahi cannot publish the service of dt-swarm");
    }
    while is_running() {
        sleep(look).await;
    }
}

/// A file of a service of Avahi. Dropping it removes the file.
#[derive(Debug)]
struct ServiceFile(PathBuf);

impl ServiceFile {
    fn write(folder: &Path, text: &str) -> io::Result<Self> {
        let (file, new) = (folder.join(FILE), folder.join(format!("{FILE}.new")));
        // A file that is renamed is complete when Avahi reads it.
        fs::write(&new, text)?;
        fs::set_permissions(&new, Permissions::from_mode(READABLE))?;
        fs::rename(&new, &file)?;
        Ok(Self(file))
    }
}

impl Drop for ServiceFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::debug!(file = %self.0.display(), %error, "a file of Avahi cannot be removed");
        }
    }
}

/// Returns the content of the file of a service.
fn service_file(name: &str, own: &OwnService) -> String {
    let name = escaped(name);
    let records =
        own.strings().into_iter().map(|text| format!("    <txt-record>{}</txt-record>\n", escaped(&text)));
    let records: String = records.collect();
    format!(
        "<?xml version=\"1.0\" standalone='no'?>\n\
         <!DOCTYPE service-group SYSTEM \"avahi-service.dtd\">\n\
         <!-- Written by dt-swarm, which removes this file when it stops. -->\n\
         <service-group>\n  <name>{name}</name>\n  <service>\n    <type>{SERVICE_TYPE}</type>\n    \
         <port>{}</port>\n{records}  </service>\n</service-group>\n",
        own.port
    )
}

/// Returns a text as XML shows it. Control characters, which XML forbids, are left out.
fn escaped(text: &str) -> String {
    let one = |char: char| match char {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        char if char.is_control() => String::new(),
        char => char.to_string(),
    };
    text.chars().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Profile;
    use dcache::Keypair;

    #[test]
    fn the_file_has_the_form_that_avahi_reads_and_is_removed_again() {
        let shared = Profile { robot_type: Some("<&>".to_owned()), ..Profile::default() };
        let own = OwnService { peer: Keypair::from_seed([1; 32]).peer_id(), port: 8000, shared };
        let text = service_file("a<b\u{7}&c", &own);
        assert!(text.contains("<name>a&lt;b&amp;c</name>"), "{text}");
        assert!(text.contains("<type>_dt-swarm._tcp</type>\n    <port>8000</port>\n"), "{text}");
        assert!(text.contains(&format!("<txt-record>peer={}</txt-record>", own.peer)), "{text}");
        assert!(text.contains("<txt-record>type=&lt;&amp;&gt;</txt-record>"), "{text}");
        let folder = tempfile::tempdir().unwrap();
        let written = ServiceFile::write(folder.path(), &text).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join(FILE)).unwrap(), text);
        drop(written);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(ServiceFile::write(&folder.path().join("missing"), &text).is_err());
    }
}
