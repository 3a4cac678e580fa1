//! IRC: a channel on an IRC server, which reaches all nodes in it at one line every two seconds.
//!
//! The messages are parsed and written by `irc-proto`, the lower layer of the crate `irc`. The client of that crate is
//! not used, for these reasons:
//!
//! - The size of its queue and the length of its lines are unbounded.
//! - Text that is not UTF-8 or cannot be parsed ends the connection. One person with an old program would silence every
//!   robot.
//! - It waits long for a server that is silent.
//! - It has no flood control.
//!
//! This task keeps to the rate that servers allow, however much the brain sends. Lines for a full queue are dropped,
//! and the repair protocol makes up for them.

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

/// Stays in the channel whenever that is possible, until it is dropped.
///
/// # Errors
/// When the name of the channel is invalid. All other faults are reported, and the attempt is repeated.
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
