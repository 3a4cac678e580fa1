//! Injects faults, in order to test that the checks find them.

use crate::action::Sabotage;
use crate::living::statement;
use crate::node::Port;
use crate::world::World;
use dcache::{End, Key, Keypair, Record, buckets};
use routing::{Address, Envelope, Target};

/// Number of lines that exceeds the burst of any network.
const TOO_MANY: usize = 1000;

impl World {
    pub(crate) fn spoil(&mut self, sabotage: Sabotage) {
        match sabotage {
            Sabotage::Forget => self.forget(),
            Sabotage::Overdrive => self.overdrive(),
            Sabotage::Plant => self.plant(),
        }
    }

    /// Makes the last node lose a record, and leave its networks, so that it cannot get the record back.
    fn forget(&mut self) {
        let Some(last) = self.honest().map(|(node, _)| node).last() else { return };
        self.stop(last);
        self.nodes[last].networks.clear();
        if let Some(disk) = &mut self.nodes[last].disk {
            disk.records.pop_first();
        }
        self.start(last);
    }

    fn overdrive(&mut self) {
        let mut channels = self.nodes[0].channels.iter();
        let Some((&channel, _)) = channels.find(|(_, port)| matches!(port, Port::Network(_))) else { return };
        let line = Envelope::new(Address::brain(self.nodes[0].me), Address::every_brain(), String::new());
        for _ in 0..TOO_MANY {
            self.send(0, channel, Target::All, line.encode());
        }
    }

    /// Puts a forged record onto the disk of node 0. A node does not verify the records on its own disk again.
    fn plant(&mut self) {
        let (forger, victim) = (Keypair::from_seed([77; 32]), self.nodes[1].me);
        let time = self.nodes[0].now(self.now).moment.time;
        let Some(statement) = statement(&buckets::SHARE_FILES.path(), "forged", time, 24 * 3600) else {
            return;
        };
        let mut signature = *Record::sign(statement.clone(), &forger, 1, End::default()).signature();
        signature.signer = victim;
        let forged = Record::from_own_disk(statement, signature);
        self.stop(0);
        if let Some(disk) = &mut self.nodes[0].disk {
            disk.records.insert(Key::from(&forged), forged);
        }
        self.start(0);
    }
}
