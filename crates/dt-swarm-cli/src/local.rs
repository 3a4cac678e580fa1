//! The daemon of this computer.

use crate::arguments::Arguments;
use crate::error::CliError;
use control::{Client, ClientError, Places, Status};

/// The daemon's control socket, for what works on the robot itself only.
pub(crate) fn open(arguments: &Arguments) -> Result<Client, CliError> {
    check(arguments)?;
    find(arguments)
}

/// That HOST is this computer.
pub(crate) fn check(arguments: &Arguments) -> Result<(), CliError> {
    match arguments.host.is_here() {
        true => Ok(()),
        false => Err(CliError::NotHere { host: arguments.host.to_string() }),
    }
}

/// How the daemon here stands. Without one that is no error, unless its socket was named.
pub(crate) fn status(arguments: &Arguments) -> Result<Option<Status>, CliError> {
    match find(arguments).and_then(|mut client| Ok(client.status()?)) {
        Ok(status) => Ok(Some(status)),
        Err(error) if arguments.socket.is_some() => Err(error),
        Err(_) => Ok(None),
    }
}

fn find(arguments: &Arguments) -> Result<Client, CliError> {
    if let Some(socket) = &arguments.socket {
        return Ok(Client::connect(socket, arguments.timeout)?);
    }
    let mut told = CliError::NoPlace;
    for socket in Places::current().sockets() {
        match Client::connect(&socket, arguments.timeout) {
            Ok(client) => return Ok(client),
            // One that is there says more than one that is not; of those that are not, the first is the usual place.
            Err(ClientError::Absent(..)) if !matches!(told, CliError::NoPlace) => {}
            Err(error) => told = error.into(),
        }
    }
    Err(told)
}
