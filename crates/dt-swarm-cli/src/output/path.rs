//! The paths from the daemon to a robot.

use super::fields::PeerRef;
use crate::output::robot::MAX_ADDRESS_SHOWN;
use crate::text::clean;
use discovery::protocol::RobotPath;
use serde::Serialize;

/// The open IPFS connections with a robot.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Paths {
    /// The connections, the direct ones first.
    pub(crate) open: Vec<PathEntry>,
    /// Why there is none; `null` if there is one.
    pub(crate) reason: Option<String>,
}

/// An open IPFS connection with a robot.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct PathEntry {
    /// The kind: `direct`, or `relayed` through another node.
    pub(crate) state: &'static str,
    /// The relay; `null` for a direct connection.
    pub(crate) relay: Option<PeerRef>,
    /// The transport, to the robot or to the relay: `tcp` or `quic`.
    transport: String,
    /// The address of the other end: of the robot, or of the relay.
    address: String,
}

impl PathEntry {
    pub(crate) fn new(path: RobotPath, name: impl Fn(dcache::PeerId) -> PeerRef) -> Self {
        let RobotPath { is_relayed, relay, transport, address } = path;
        let state = if is_relayed { "relayed" } else { "direct" };
        Self { state, relay: relay.map(name), transport, address }
    }

    fn show(&self) -> String {
        let address = clean(&self.address, MAX_ADDRESS_SHOWN);
        let transport = clean(&self.transport, 16);
        match (&self.relay, self.state) {
            (Some(relay), _) => format!("through the relay {}, {transport}, {address}", relay.show()),
            (None, "relayed") => format!("through a relay, {transport}, {address}"),
            (None, _) => format!("direct, {transport}, {address}"),
        }
    }
}

impl Paths {
    /// Returns one line for each path, or one that says why there is none.
    pub(crate) fn show(&self) -> Vec<String> {
        let open = self.open.iter().map(PathEntry::show);
        let none = self.reason.iter().map(|reason| format!("none: {}", clean(reason, 2 * MAX_ADDRESS_SHOWN)));
        open.chain(none).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::vocabulary;
    use crate::robots::fixture::peer;

    fn path(relay: Option<dcache::PeerId>, is_relayed: bool) -> RobotPath {
        let address = "/ip4/203.0.113.7/tcp/6002\u{1b}".to_owned();
        RobotPath { is_relayed, relay, transport: "tcp".to_owned(), address }
    }

    #[test]
    fn paths_name_the_relay() {
        let named = |peer| PeerRef { peer, hostname: Some("bridge".to_owned()) };
        let all = [path(None, false), path(Some(peer(3)), true), path(None, true)];
        let open = all.into_iter().map(|path| PathEntry::new(path, named)).collect();
        let paths = Paths { open, reason: None };
        let shown = paths.show();
        assert!(shown[0].starts_with("direct, tcp, /ip4/203.0.113.7/tcp/6002"), "{shown:?}");
        assert!(
            shown[1].starts_with("through the relay bridge (") && shown[2].starts_with("through a relay")
        );
        assert!(shown.iter().all(|line| !line.contains('\u{1b}')), "{shown:?}");
        let json = vocabulary::checked(&paths);
        assert_eq!(
            (&json["open"][0]["state"], &json["open"][1]["state"]),
            (&"direct".into(), &"relayed".into())
        );
        assert_eq!(json["open"][1]["relay"]["hostname"], "bridge");
    }

    #[test]
    fn a_missing_path_is_explained() {
        let paths = Paths { open: Vec::new(), reason: Some("it is off\u{1b}".to_owned()) };
        assert!(paths.show()[0].starts_with("none: it is off") && !paths.show()[0].contains('\u{1b}'));
        vocabulary::checked(&paths);
    }
}
