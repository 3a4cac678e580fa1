//! The attacks.

use std::fmt;
use std::time::Instant;

use super::attacker::Attacker;
use super::floods::{Beacons, Globs, Orphans, Renewals};
use super::traps::{Addresses, Links, Names, Victim};
use crate::{Lab, Result};

/// What the attacker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Means {
    /// Nothing: the figures of robots that nobody attacks.
    Quiet,
    /// One key proposes 4,000 files and names 4,000 addresses.
    Addresses,
    /// Requests of 16 hostile globs on 1,000 buckets, over links and by broadcast at 10 Mbit/s.
    Globs,
    /// Beacons on links as fast as they go, with 12,000 records.
    Beacons,
    /// One key renews the same items 1,000 times a second.
    Renewals,
    /// Records that can never count, as fast as they go.
    Orphans,
    /// Four hosts hold all links that they get, and connections for files.
    Links,
    /// One host under 40 names holds a newcomer that compares with it.
    Names,
    /// Lines and addresses that are to make robots speak to somebody else.
    Victim,
}

impl Means {
    /// All of them.
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

    /// Makes everything that can be made before the attack.
    pub(super) fn prepare(self, lab: &Lab, attacker: &Attacker) -> Result<Box<dyn Running>> {
        Ok(match self {
            Self::Quiet => Box::new(Quiet),
            Self::Addresses => Box::new(Addresses::new(attacker)?),
            Self::Globs => Box::new(Globs::new(attacker)?),
            Self::Beacons => Box::new(Beacons::new(attacker)?),
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

/// An attack that is prepared.
pub(super) trait Running: Send {
    /// Attacks until the attacker is told to stop. Returns what it did, in words; a robot that closes a link is no error.
    fn run(&mut self, attacker: &Attacker) -> Result<String>;

    /// Returns what was seen besides, in words, after the end.
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
