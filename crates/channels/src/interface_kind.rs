//! Tells network interfaces that lead out of this host, by wire or radio, from those of bridges, containers and tunnels.

use crate::interfaces::matches_any;
use std::fs;
use std::path::Path;

/// Where Linux describes the network interfaces.
const SYSTEM: &str = "/sys/class/net";
/// Names of bridges and cables to containers and virtual machines, where the system does not tell the kind.
pub(crate) const VIRTUAL: &[&str] = &[
    "docker*", "br-*", "veth*", "virbr*", "vnet*", "cni*", "flannel*", "podman*", "lxc*", "lxdbr*",
    "incusbr*", "cali*",
];
/// Names of tunnels, where the system does not tell the kind.
const TUNNELS: &[&str] =
    &["tun*", "tap*", "wg*", "tailscale*", "zt*", "ppp*", "utun*", "gre*", "sit*", "ip6tnl*"];
/// Types of interfaces without hardware addresses (`ARPHRD_*` of Linux): PPP, tunnels in IP, GRE, and those of TUN and
/// WireGuard.
const TUNNEL_TYPES: &[u32] = &[512, 768, 769, 776, 778, 823, 65534];
/// Maximum number of steps from an interface to the one below it: a VLAN on a bond on a card has two.
const MAX_STEPS: usize = 4;
/// Maximum number of interfaces below one that are looked at.
const MAX_LOWER: usize = 64;

/// The kind of an interface, the one that most likely leads to other robots first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum InterfaceKind {
    /// A wire or a radio of this host, or a bridge, bond or VLAN on top of one.
    Wire,
    /// Made by software, such as the end of a virtual cable, which is all that a container has.
    Virtual,
    /// A tunnel to somewhere else.
    Tunnel,
    /// A bridge between containers or virtual machines of this host, or a port of one.
    Bridge,
}

impl InterfaceKind {
    /// Returns the kind of the interface with this name and number.
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

/// Returns the kind of an interface as the folder `root` of the system shows it; `None` when the interface is not in it. A
/// process in a network namespace may see the folder of another one, with other interfaces of the same names.
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

/// Whether an interface is a device, or lies on top of one.
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

    /// Makes an interface with these entries, which is an Ethernet one.
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
    fn bridges_of_containers_are_told_from_those_with_a_wire() {
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
        assert_eq!(kind("eth9", 8), Some(InterfaceKind::Virtual), "a container's end of a cable");
        assert_eq!(kind("tap0", 9), Some(InterfaceKind::Tunnel));
        assert_eq!(kind("wg0", 10), Some(InterfaceKind::Tunnel));
        assert_eq!(kind("eth7", 11), None);
        assert_eq!(kind("wlan0", 3), None, "an interface of another namespace");
    }

    #[test]
    fn interfaces_on_top_of_each_other_in_a_ring_end() {
        let root = TempDir::new().unwrap();
        add(&root, "a", 1, &["lower_b"]);
        add(&root, "b", 2, &["lower_a"]);
        assert_eq!(read(root.path(), "a", 1), Some(InterfaceKind::Virtual));
    }

    #[test]
    fn where_the_system_does_not_tell_the_name_does() {
        let kinds = ["wlan0", "eth0", "br-9f", "docker0", "tun0", "wg0"].map(InterfaceKind::by_name);
        let (wire, bridge, tunnel) = (InterfaceKind::Wire, InterfaceKind::Bridge, InterfaceKind::Tunnel);
        assert_eq!(kinds, [wire, wire, bridge, bridge, tunnel, tunnel]);
        assert_eq!(InterfaceKind::of("no-such-0", 1, true), tunnel);
    }
}
