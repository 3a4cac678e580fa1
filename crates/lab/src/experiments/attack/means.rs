//! The list of attacks.

use std::fmt;
use std::time::Instant;

use dcache::Record;

use super::attacker::Attacker;
use super::floods::{Beacons, Globs, Orphans, Renewals};
use super::traps::{Addresses, Links, Names, Victim};
use crate::{Lab, Result};

/// An attack on the robots of the lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Means {
    /// No attack: the figures of robots without an attacker.
    Quiet,
    /// One key proposes 4,000 files and publishes 4,000 addresses.
    Addresses,
    /// Requests with 16 hostile globs on 1,000 buckets, over links and as broadcasts at 10 Mbit/s.
    Globs,
    /// Beacons on links at full speed, after 12,000 records.
    Beacons,
    /// One key renews the same items 1,000 times per second.
    Renewals,
    /// Records that are never accepted, at full speed.
    Orphans,
    /// Four hosts keep as many links and connections for files open as the robots accept.
    Links,
    /// One host with 40 peer names answers a newcomer that compares its records, but answers slowly.
    Names,
    /// Lines and addresses with which the attacker tries to make robots send to another host.
    Victim,
}

impl Means {
    /// All attacks in the order in which they run by default.
    pub const ALL: [Self; 9] = [
        Self::Quiet,
        Self::Addresses,
        Self::Globs,
        Self::Beacons,
        Self::Renewals,
        Self::Orphans,
        Self::Links,
        Self::Names,
        Self::Victim,
    ];

    /// Returns the records that all robots hold before the attack.
    pub(super) fn records(self) -> Result<Vec<Record>> {
        match self {
            Self::Globs => Globs::records(),
            Self::Beacons => Beacons::records(),
            Self::Names => Names::records(),
            _ => Ok(Vec::new()),
        }
    }

    /// Does all preparations that are possible before the attack.
    pub(super) fn prepare(self, lab: &Lab, attacker: &Attacker) -> Result<Box<dyn Running>> {
        Ok(match self {
            Self::Quiet => Box::new(Quiet),
            Self::Addresses => Box::new(Addresses::new(attacker)?),
            Self::Globs => Box::new(Globs::new()),
            Self::Beacons => Box::new(Beacons),
            Self::Renewals => Box::new(Renewals::new()),
            Self::Orphans => Box::new(Orphans::new()?),
            Self::Links => Box::new(Links),
            Self::Names => Box::new(Names::new(lab, attacker)?),
            Self::Victim => Box::new(Victim::new(lab, attacker)?),
        })
    }
}

impl fmt::Display for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Quiet => "quiet",
            Self::Addresses => "1 addresses",
            Self::Globs => "2 globs",
            Self::Beacons => "3 beacons",
            Self::Renewals => "4 renewals",
            Self::Orphans => "5 orphans",
            Self::Links => "6 links",
            Self::Names => "7 names",
            Self::Victim => "8 victim",
        })
    }
}

/// A prepared attack.
pub(super) trait Running: Send {
    /// Attacks until the attacker is told to stop. Returns a description of its actions. A link closed by a robot is
    /// not an error.
    fn run(&mut self, attacker: &Attacker) -> Result<String>;

    /// Returns a description of further observations, after the end of the attack.
    fn seen(&mut self, _begun: Instant) -> Result<String> {
        Ok(String::new())
    }
}

struct Quiet;

impl Running for Quiet {
    fn run(&mut self, _attacker: &Attacker) -> Result<String> {
        Ok(String::new())
    }
}
