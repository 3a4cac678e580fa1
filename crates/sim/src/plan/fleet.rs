//! Plans how nodes come and go, and when their tables of robots are read.

use super::Planner;
use crate::action::Action;
use crate::node::NodeId;
use crate::reading::ScenarioError;
use crate::scenario::{Laptop, Seconds};
use diagnostics::health::Level;
use rand::seq::IndexedRandom as _;
use std::collections::BTreeSet;
use std::time::Duration;

/// Time in which a node moves to its next network.
const MOVE: Duration = Duration::from_secs(2);

impl Planner {
    /// Plans the moves of the nodes of a row of laptops. Each begins at another of their networks.
    pub(super) fn laptops(&mut self, laptop: &Laptop) -> Result<(), ScenarioError> {
        let lans = laptop.lans.iter().map(|lan| self.find(lan)).collect::<Result<Vec<_>, _>>()?;
        for number in 0..laptop.count {
            let Some(first) = lans.get(number % lans.len().max(1)).copied() else { return Ok(()) };
            let node = self.node(BTreeSet::from([first]), true);
            let stays = laptop.stays.0.max(Duration::from_secs(3));
            let (mut time, mut here) = (stays, first);
            for next in lans.iter().copied().cycle().skip(1 + number % lans.len()) {
                if time > laptop.until.0 {
                    break;
                }
                self.at(Seconds(time), Action::Leave { node, network: here });
                self.at(Seconds(time + MOVE), Action::Join { node, network: next });
                (time, here) = (time + stays, next);
            }
        }
        Ok(())
    }

    /// Plans the times at which nodes are shut down cleanly.
    pub(super) fn departures(&mut self) {
        let Some(departures) = self.scenario.departures.clone() else { return };
        let honest: Vec<NodeId> = self.world.honest().map(|(node, _)| node).collect();
        for _ in 0..departures.times {
            let Some(node) = honest.choose(&mut self.random).copied() else { break };
            let [least, most] = departures.off;
            let at = self.between(departures.from, departures.until);
            let off = self.between(least, most).0;
            self.at(at, Action::Depart { node, off });
        }
    }

    /// Plans the faults of nodes, and the checks of the health that others see.
    pub(super) fn faults(&mut self) {
        let Some(health) = self.scenario.health.clone() else { return };
        let honest: Vec<NodeId> = self.world.honest().map(|(node, _)| node).collect();
        for number in 0..health.faults {
            let Some(node) = honest.choose(&mut self.random).copied() else { break };
            let begin = self.between(health.from, health.until);
            let [least, most] = health.lasting;
            let end = Seconds(begin.0 + self.between(least, most).0);
            let level = if number % 2 == 0 { Level::Error } else { Level::Warn };
            self.at(begin, Action::SetLevel { node, level });
            self.at(end, Action::SetLevel { node, level: Level::Ok });
        }
        let mut at = health.from.0;
        while at < self.scenario.duration.0 {
            self.at(Seconds(at), Action::CheckHealth);
            at += health.every.0.max(Duration::from_secs(1));
        }
    }

    /// Plans the times at which tables of robots are read.
    pub(super) fn tables(&mut self) {
        let tables = self.scenario.presence.as_ref().and_then(|presence| presence.tables.clone());
        let Some(tables) = tables else { return };
        let mut at = tables.from.0;
        while at < self.scenario.duration.0 {
            self.at(Seconds(at), Action::CheckTables);
            at += tables.every.0.max(Duration::from_secs(1));
        }
    }
}
