//! A client and a robot of Duckietown with python-zeroconf, controlled by `peers/duckietown.py`.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::driven::Driven;
use super::installed::installed;
use crate::{Error, Host, Result, Unavailable};

const DRIVER: &str = include_str!("../../peers/duckietown.py");
/// Time limit of a command. Publishing a fact takes about a second.
const LIMIT: Duration = Duration::from_secs(20);

/// A running client. Dropping it kills it.
#[derive(Debug)]
pub struct Duckietown(Driven);

/// Checks that python-zeroconf is installed.
///
/// # Errors
/// [`Unavailable`] when it is not.
pub fn duckietown_available() -> Result<(), Unavailable> {
    python().map(drop)
}

fn python() -> Result<PathBuf, Unavailable> {
    installed("the PyPI package zeroconf", "zeroconf/version-0.122.0")?;
    installed("the PyPI package zeroconf", "zeroconf/bin/python")
}

impl Duckietown {
    /// Starts the client on a host.
    ///
    /// # Errors
    /// When python-zeroconf is not installed or does not start.
    pub fn start(host: &Host) -> Result<Self> {
        let mut command = host.command(python()?);
        command.args(["-c", DRIVER, &host.address().to_string()]);
        Driven::start(host, "duckietown", command).map(Self)
    }

    /// Returns the facts that the client reads, by host and fact, and the errors that it shows to its user.
    ///
    /// # Errors
    /// When the client does not answer.
    pub fn list(&mut self) -> Result<(Value, Value)> {
        let mut answer = self.call("list")?;
        Ok((answer["robots"].take(), answer["errors"].take()))
    }

    /// Publishes a fact whose TXT record has this content.
    ///
    /// # Errors
    /// When the fact cannot be published.
    pub fn publish(&mut self, fact: &str, host: &str, text: &[u8]) -> Result {
        let hex: String = text.iter().map(|byte| format!("{byte:02x}")).collect();
        self.0.call(&format!("publish {fact} {host} {hex}"), LIMIT).map(drop)
    }

    /// Pings a robot on UDP port 11411. Returns its answer, or null when there is none.
    ///
    /// # Errors
    /// When the answer has missing or additional keys.
    pub fn ping(&mut self, robot: &Host) -> Result<Value> {
        self.call(&format!("ping {}", robot.address()))
    }

    /// Sends a text to UDP port 11411 of a robot, with `PORT` replaced by the port for the answer. Returns the size of
    /// the answer in bytes; 0 when there is none.
    ///
    /// # Errors
    /// When the client does not answer.
    pub fn send(&mut self, robot: &Host, text: &str) -> Result<Value> {
        self.call(&format!("raw {} {text}", robot.address()))
    }

    fn call(&mut self, command: &str) -> Result<Value> {
        let answer = self.0.call(command, LIMIT)?;
        serde_json::from_str(&answer).map_err(|problem| {
            Error::answer(format!("{command} of the client of Duckietown: {problem}"), answer)
        })
    }
}
