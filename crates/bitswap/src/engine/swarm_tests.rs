//! Several engines in one process: in any order of events, every engine gets every block.
use std::collections::BTreeSet;

use multihash_codetable::{Code, MultihashDigest};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use bytes::Bytes;

const BLOCK_BYTES: usize = 100;

struct Swarm {
    engines: Vec<Engine<usize>>,
    stores: Vec<BTreeSet<Cid>>,
    /// Messages under way, with sender and receiver.
    wires: VecDeque<(usize, usize, Message)>,
    blocks: BTreeMap<Cid, Bytes>,
    random: ChaCha8Rng,
    now: Duration,
    /// On average, one of `loss` messages is lost, and its sender is told. If it is 0, no message is lost.
    loss: u32,
}

impl Swarm {
    /// Engine 0 has all blocks, and the others want them. Every engine is connected to every other.
    fn new(nodes: usize, blocks: u32, loss: u32, seed: u64) -> Self {
        let data = |number: u32| Bytes::from(number.to_le_bytes().repeat(BLOCK_BYTES / 4));
        let named = |data: Bytes| (Cid::new_v1(0x55, Code::Sha2_256.digest(&data)), data);
        let blocks: BTreeMap<Cid, Bytes> = (0..blocks).map(data).map(named).collect();
        let engines = (0..nodes).map(|number| Engine::new(Config::default(), number as u64)).collect();
        let mut stores = vec![BTreeSet::new(); nodes];
        stores[0] = blocks.keys().copied().collect();
        let (random, now) = (ChaCha8Rng::seed_from_u64(seed), Duration::ZERO);
        let mut swarm = Self { engines, stores, wires: VecDeque::new(), blocks, random, now, loss };
        for (node, other) in (0..nodes).flat_map(|node| (0..nodes).map(move |other| (node, other))) {
            if node != other {
                swarm.engines[node].connected(swarm.now, other, other as u64);
            }
        }
        for cid in swarm.blocks.keys().copied().collect::<Vec<_>>() {
            (1..nodes).for_each(|node| swarm.engines[node].want(Duration::ZERO, cid, 0).unwrap());
        }
        swarm
    }

    /// Carries out the outputs of one engine.
    fn carry_out(&mut self, node: usize) {
        while let Some(output) = self.engines[node].poll_output() {
            match output {
                Output::Send { peer, message } => self.wires.push_back((node, peer, message)),
                Output::LookUp { peer, cids } => {
                    let size = |cid: &Cid| self.stores[node].contains(cid).then_some(BLOCK_BYTES);
                    let answers: Vec<_> = cids.iter().map(|cid| (*cid, size(cid))).collect();
                    self.engines[node].looked_up(peer, answers);
                }
                Output::Load { peer, cids } => {
                    let block = |cid: Cid| Block { cid, data: self.blocks[&cid].clone() };
                    let blocks = cids.into_iter().map(block).collect();
                    self.engines[node].loaded(peer, blocks, &[]);
                }
                Output::Store { cid, .. } => {
                    assert!(self.stores[node].insert(cid), "a block is stored twice");
                    self.engines[node].stored(self.now, &cid, BLOCK_BYTES);
                }
                Output::Reconnect { .. } => {}
                Output::LeaveAside { peer, reason } => panic!("{node} disconnects {peer}: {reason}"),
                Output::Satisfied { cid } => assert!(self.stores[node].contains(&cid)),
            }
        }
    }

    /// Delivers or loses one message, chosen at random of those under way. Each ordered pair has at most one.
    fn deliver_one(&mut self) {
        let place = self.random.random_range(0..self.wires.len());
        let Some((from, to, message)) = self.wires.swap_remove_back(place) else {
            return;
        };
        self.now += Duration::from_millis(10);
        if self.loss > 0 && self.random.random_range(0..self.loss) == 0 {
            self.engines[from].send_failed(self.now, to);
        } else {
            self.engines[to].received(self.now, from, message);
            self.engines[from].sent(to);
        }
    }

    /// Runs until no block is wanted any more. Returns false if that takes more than 20,000 steps.
    fn run(&mut self) -> bool {
        for _ in 0..20_000 {
            (0..self.engines.len()).for_each(|node| self.carry_out(node));
            if self.engines.iter().all(|engine| engine.wants() == 0) {
                return true;
            }
            if self.wires.is_empty() {
                let wake = self.engines.iter().filter_map(Engine::next_wake).min();
                self.now = self.now.max(wake.unwrap_or(self.now));
                let now = self.now;
                self.engines.iter_mut().for_each(|engine| engine.tick(now));
            } else {
                self.deliver_one();
            }
        }
        false
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn every_engine_gets_every_block(nodes in 2usize..6, blocks in 1u32..40, loss in 0u32..8, seed: u64) {
        // A network that loses every second message is not tested.
        let loss = if loss < 3 { 0 } else { loss };
        let mut swarm = Swarm::new(nodes, blocks, loss, seed / 2);
        prop_assert!(swarm.run(), "an engine never got all blocks");
        for store in &swarm.stores {
            prop_assert_eq!(store.len(), blocks as usize);
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_run(seed: u64) {
        let mut runs = [0; 2].map(|_| Swarm::new(4, 20, 5, seed / 2));
        prop_assert!(runs.iter_mut().all(Swarm::run));
        let [first, second] = runs.map(|run| (run.now, run.engines.iter().map(Engine::statistics).collect::<Vec<_>>()));
        prop_assert_eq!(first, second);
    }
}

#[test]
fn fetchers_exchange_the_blocks_of_one_source() {
    let mut swarm = Swarm::new(5, 200, 0, 1);
    assert!(swarm.run());
    let sent = swarm.engines[0].statistics().blocks_sent;
    assert!(sent < 2 * 200, "four fetchers took {sent} blocks from the only source of 200");
}
