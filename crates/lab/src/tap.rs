//! TAP interfaces: Ethernet interfaces whose cable ends in this process.

use std::io;
use std::net::Ipv4Addr;
use std::process::Command;

use tun_rs::{DeviceBuilder, Layer, SyncDevice};

use crate::Result;
use crate::tool::run;

/// Maximum number of frames that wait for the switch before the interface drops frames. A burst of a host fits.
const QUEUE_FRAMES: u32 = 2000;

/// Makes an interface in the namespace of the calling thread. Dropping the device removes the interface.
pub(crate) fn open(interface: &str) -> io::Result<SyncDevice> {
    let builder = DeviceBuilder::new().name(interface).layer(Layer::L2);
    // All further settings are made by `ip`, which enters the namespace itself.
    let device = builder.inherit_enable_state().build_sync()?;
    device.set_nonblocking(true)?;
    Ok(device)
}

/// Assigns the interface its addresses and brings it up.
pub(crate) fn configure(namespace: &str, interface: &str, address: Ipv4Addr) -> Result {
    let [.., network, host] = address.octets();
    let script = format!(
        "link set {interface} address 02:77:00:00:{network:02x}:{host:02x} txqueuelen {QUEUE_FRAMES}\n\
         address add {address}/24 broadcast + dev {interface}\n\
         link set {interface} up\n"
    );
    let mut command = Command::new("ip");
    command.args(["-n", namespace, "-batch", "-"]);
    run(command, &script).map(drop)
}
