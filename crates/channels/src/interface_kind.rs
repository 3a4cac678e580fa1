//! Distinguishes network interfaces that lead out of this host, by wire or radio, from those of bridges, containers and
//! tunnels.

use crate::interfaces::matches_any;
use std::fs;
use std::path::Path;

/// Folder in which Linux describes the network interfaces.
const SYSTEM: &str = "/sys/class/net";
/// Name patterns of bridges and of virtual cables to containers and virtual machines. Used where the system does not
/// describe the interface, and by the default interface filter.
pub(crate) const VIRTUAL: &[&str] = &[
    "docker*", "br-*", "veth*", "virbr*", "vnet*", "cni*", "flannel*", "podman*", "lxc*", "lxdbr*",
    "incusbr*", "cali*",
];
/// Name patterns of tunnels. Used where the system does not describe the interface.
const TUNNELS: &[&str] =
    &["tun*", "tap*", "wg*", "tailscale*", "zt*", "ppp*", "utun*", "gre*", "sit*", "ip6tnl*"];
/// Types (`ARPHRD_*` of Linux) of interfaces without hardware addresses: PPP, IP tunnels, GRE, TUN and WireGuard.
const TUNNEL_TYPES: &[u32] = &[512, 768, 769, 776, 778, 823, 65534];
/// Maximum number of steps from an interface down to a device. A VLAN on a bond on a card has two.
const MAX_STEPS: usize = 4;
/// Maximum number of lower interfaces that are examined for one interface.
const MAX_LOWER: usize = 64;

/// Kind of a network interface. The kind that most likely leads to other robots comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum InterfaceKind {
    /// A wired or radio interface of this host, or a bridge, bond or VLAN on top of one.
    Wire,
    /// A software interface, such as the end of a virtual cable. Containers have only such interfaces.
    Virtual,
    /// A tunnel to another network.
    Tunnel,
    /// A bridge between containers or virtual machines of this host, or a port of one.
    Bridge,
}

impl InterfaceKind {
    /// Returns the kind of the interface with this name and index.
    pub(crate) fn of(name: &str, index: u32, is_point_to_point: bool) -> Self {
        let kind = read(Path::new(SYSTEM), name, index).unwrap_or_else(|| Self::by_name(name));
        if is_point_to_point { kind.max(Self::Tunnel) } else { kind }
    }

    fn by_name(name: &str) -> Self {
        match name {
            _ if matches_any(VIRTUAL, name) => Self::Bridge,
            _ if matches_any(TUNNELS, name) => Self::Tunnel,
            _ => Self::Wire,
        }
    }
}

/// Returns the kind of an interface as the folder `root` describes it, or `None` if the folder does not contain that
/// interface. A process in a network namespace may see the folder of another namespace, whose interfaces may have the
/// same names.
fn read(root: &Path, name: &str, index: u32) -> Option<InterfaceKind> {
    let folder = root.join(name);
    if number(&folder, "ifindex")? != index {
        return None;
    }
    let has = |entry: &str| folder.join(entry).exists();
    let is_tunnel =
        has("tun_flags") || number(&folder, "type").is_some_and(|kind| TUNNEL_TYPES.contains(&kind));
    Some(match () {
        () if is_real(root, &folder, MAX_STEPS) => InterfaceKind::Wire,
        () if has("bridge") || has("brport") => InterfaceKind::Bridge,
        () if is_tunnel => InterfaceKind::Tunnel,
        () => InterfaceKind::Virtual,
    })
}

/// Returns whether an interface is a device or lies on top of one.
fn is_real(root: &Path, folder: &Path, steps: usize) -> bool {
    if folder.join("device").exists() {
        return true;
    }
    let (Some(steps), Ok(entries)) = (steps.checked_sub(1), fs::read_dir(folder)) else { return false };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let lower = names.filter_map(|name| Some(root.join(name.strip_prefix("lower_")?)));
    lower.take(MAX_LOWER).any(|lower| is_real(root, &lower, steps))
}

fn number(folder: &Path, entry: &str) -> Option<u32> {
    fs::read_to_string(folder.join(entry)).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    /// Creates an Ethernet interface with these entries.
    fn add(root: &TempDir, name: &str, index: u32, entries: &[&str]) {
        let folder = root.path().join(name);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("ifindex"), format!("{index}\n")).unwrap();
        fs::write(folder.join("type"), "1\n").unwrap();
        for entry in entries {
            fs::create_dir(folder.join(entry)).unwrap();
        }
    }

    #[test]
    fn container_bridges_are_distinguished_from_bridges_with_a_wire() {
        let root = TempDir::new().unwrap();
        add(&root, "wlan0", 2, &["device", "phy80211"]);
        add(&root, "eth0", 3, &["device", "brport"]);
        add(&root, "docker0", 4, &["bridge", "lower_veth1"]);
        add(&root, "veth1", 5, &["brport"]);
        add(&root, "br-lan", 6, &["bridge", "lower_veth1", "lower_eth0.5"]);
        add(&root, "eth0.5", 7, &["lower_eth0"]);
        add(&root, "eth9", 8, &[]);
        add(&root, "tap0", 9, &["tun_flags"]);
        add(&root, "wg0", 10, &[]);
        fs::write(root.path().join("wg0/type"), "65534").unwrap();
        let kind = |name, index| read(root.path(), name, index);
        assert_eq!(kind("wlan0", 2), Some(InterfaceKind::Wire));
        assert_eq!(kind("eth0.5", 7), Some(InterfaceKind::Wire));
        assert_eq!(kind("br-lan", 6), Some(InterfaceKind::Wire));
        assert_eq!(kind("docker0", 4), Some(InterfaceKind::Bridge));
        assert_eq!(kind("veth1", 5), Some(InterfaceKind::Bridge));
        assert_eq!(kind("eth9", 8), Some(InterfaceKind::Virtual), "a container's end of a virtual cable");
        assert_eq!(kind("tap0", 9), Some(InterfaceKind::Tunnel));
        assert_eq!(kind("wg0", 10), Some(InterfaceKind::Tunnel));
        assert_eq!(kind("eth7", 11), None);
        assert_eq!(kind("wlan0", 3), None, "an interface of another namespace");
    }

    #[test]
    fn a_ring_of_stacked_interfaces_is_not_followed_for_ever() {
        let root = TempDir::new().unwrap();
        add(&root, "a", 1, &["lower_b"]);
        add(&root, "b", 2, &["lower_a"]);
        assert_eq!(read(root.path(), "a", 1), Some(InterfaceKind::Virtual));
    }

    #[test]
    fn the_name_decides_where_the_system_does_not_tell_the_kind() {
        let kinds = ["wlan0", "eth0", "br-9f", "docker0", "tun0", "wg0"].map(InterfaceKind::by_name);
        let (wire, bridge, tunnel) = (InterfaceKind::Wire, InterfaceKind::Bridge, InterfaceKind::Tunnel);
        assert_eq!(kinds, [wire, wire, bridge, bridge, tunnel, tunnel]);
        assert_eq!(InterfaceKind::of("no-such-0", 1, true), tunnel);
    }
}
