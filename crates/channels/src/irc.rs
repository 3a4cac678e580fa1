//! IRC: a channel of a server as a network that reaches all nodes in it, at one line in two seconds.
//!
//! The messages are parsed and written by `irc-proto`, the lower layer of the crate `irc`. That crate's own client was
//! found unfit: its queue and the lines that it takes have no bound, what is not UTF-8 or not parsed ends the connection
//! (one person with an old program would silence every robot), it waits long for a server that says nothing, and it
//! has no flood control.
//!
//! This task keeps to the pace that servers allow, whatever the brain sends: a line that finds its queue full is lost, and
//! repair makes up for it.

mod connect;
mod inbox;
mod nick;
mod pace;
mod react;
mod reporter;
mod session;
mod session_error;
mod settings;
mod understand;

pub use settings::{IrcError, IrcSettings, IrcTls, IrcWaits};

use crate::backoff::Backoff;
use crate::switchboard::Switchboard;
use connect::connect;
use reporter::Reporter;
use session::Session;
use std::convert::Infallible;
use std::time::Duration;

/// Is in the channel as much of the time as it can be, until it is dropped.
///
/// # Errors
/// When there cannot be such a channel. Whatever else goes wrong is reported, and tried again.
pub async fn run_irc(settings: IrcSettings, switchboard: Switchboard) -> Result<Infallible, IrcError> {
    settings.check()?;
    let mut reporter = Reporter::new(settings.name(), switchboard.clone());
    let mut reconnect = Backoff::new(settings.waits.reconnect);
    let mut first_nick = 0_u32;
    loop {
        let (error, time_inside) = match connect(&settings).await {
            Ok(socket) => {
                Session::new(&settings, &switchboard, &mut reporter, socket, first_nick).run().await
            }
            Err(error) => (error, Duration::ZERO),
        };
        first_nick = if error.is_collision() { first_nick.wrapping_add(1) } else { 0 };
        if time_inside >= settings.waits.steady {
            reconnect.reset();
        }
        let wait = reconnect.next();
        reporter.failed(&error, wait).await;
        tokio::time::sleep(wait).await;
    }
}
