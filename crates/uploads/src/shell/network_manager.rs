//! NetworkManager's word on whether the connection to the internet is charged by volume, over D-Bus.

use std::time::Duration;
use zbus::proxy::{CacheProperties, MethodFlags};
use zbus::{Connection, OwnedVariant, Proxy, conn, proxy};

/// Name of the service on the system bus.
const SERVICE: &str = "org.freedesktop.NetworkManager";
/// Path of the object whose properties describe the whole host.
const PATH: &str = "/org/freedesktop/NetworkManager";
/// Maximum time to wait for the bus and for the answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Values of the property `Metered` that mean "charged by volume": told by the configuration of the connection, or guessed
/// from the kind of the connection, such as the hotspot of a phone.
const CHARGED: [u32; 2] = [1, 3];
/// The value of the property `Metered` that means that NetworkManager does not know.
const UNKNOWN: u32 = 0;

/// Asks NetworkManager. Returns `None` if it does not run, cannot be asked, or does not know. It is not started.
pub(super) async fn is_metered() -> Option<bool> {
    let asked = tokio::time::timeout(PATIENCE, ask()).await;
    match asked.map_err(|_| zbus::Error::Failure("no answer in time".to_owned())).flatten() {
        Ok(UNKNOWN) => None,
        Ok(value) => Some(CHARGED.contains(&value)),
        Err(error) => {
            tracing::debug!(%error, "NetworkManager cannot be asked about the connection");
            None
        }
    }
}

/// Reads the property. The connection to the bus lasts for one question: there is one in a minute at most, and only while
/// a file waits for its upload.
async fn ask() -> zbus::Result<u32> {
    let connection: Connection = conn::Builder::system().method_timeout(PATIENCE).build().await?;
    let proxy: Proxy<'_> = proxy::Builder::new(&connection)
        .destination(SERVICE)
        .path(PATH)
        .interface("org.freedesktop.DBus.Properties")
        .cache_properties(CacheProperties::No)
        .build()
        .await?;
    let value: Option<OwnedVariant> =
        proxy.call_with_flags("Get", MethodFlags::NO_AUTO_START, &(SERVICE, "Metered")).await?;
    let value = value.ok_or_else(|| zbus::Error::Failure("no answer".to_owned()))?;
    value.try_into()
}
