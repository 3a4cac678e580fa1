//! The section of the configuration.

use crate::foreign::ForeignSettings;
use crate::privacy::ShareProfile;
use serde::{Deserialize, Serialize};

/// The section `[discovery]` of the configuration: what this robot tells others about itself, and robots without
/// dt-swarm. `doctor` says in one sentence what strangers can learn of the robot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// The swarms in which this robot states its type, configuration, hardware, distribution, device ID and boot ID. The
    /// value `always` means every swarm, and `never` means no swarm. With `swarm` it states all of them in a swarm with
    /// roots, and only type, configuration and hardware in the open swarm. It always states its name, version and
    /// addresses.
    pub share_profile: ShareProfile,
    /// Whether to look for robots without dt-swarm on the own networks: by DNS-SD, and by pings to UDP port 11411 when
    /// a client wants the table.
    pub find_foreign: bool,
    /// Whether to answer pings to UDP port 11411 while no other program on this host does. The answer tells the name,
    /// type, configuration and hardware of this robot to hosts on its networks.
    pub answer_pings: bool,
    /// Whether to publish the facts `DT::*` of this robot by multicast DNS while no other program on this host uses
    /// multicast DNS. A host without a robot type publishes nothing.
    pub publish_facts: bool,
    /// Whether to publish this robot as an instance of `_dt-swarm._tcp` by multicast DNS, so that robots find it where
    /// broadcasts get lost. While Avahi runs, a file in `/etc/avahi/services` lets Avahi do it. The records have the
    /// name, peer ID, port and address, and the properties that `share_profile` allows in the open swarm. A swarm with
    /// a key publishes nothing.
    pub publish_service: bool,
    /// Address of a page that answers with the status 204 and no content, such as `http://10.0.0.1:6080/empty`. `doctor`
    /// asks for it, because a network with a captive portal shows another page in its place. By default no page is asked
    /// for.
    pub portal_probe: String,
}

impl Default for Settings {
    fn default() -> Self {
        let ForeignSettings { find_foreign, answer_pings, publish_facts, publish_service } =
            ForeignSettings::default();
        let share_profile = ShareProfile::default();
        let portal_probe = String::new();
        Self { share_profile, find_foreign, answer_pings, publish_facts, publish_service, portal_probe }
    }
}

impl Settings {
    /// Returns the settings for robots without dt-swarm.
    pub(crate) fn foreign(&self) -> ForeignSettings {
        let &Self { find_foreign, answer_pings, publish_facts, publish_service, .. } = self;
        ForeignSettings { find_foreign, answer_pings, publish_facts, publish_service }
    }
}
