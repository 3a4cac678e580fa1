//! The routing table, which finds the channel for an address. It consists of configured rules, and of routes learned
//! from the channels on which peers were heard.

mod explain;
mod learned;
mod resolution;
mod rule;
#[cfg(test)]
mod tests;

pub use explain::{By, Explanation, Step};
pub use learned::{LEARNED_LIFETIME, LearnedRoute, MAX_LEARNED, MAX_ROUTES_OF_PEER};
pub use resolution::{MAX_STEPS, Resolution, RouteError};
pub use rule::{Rule, RuleError};

use crate::{Address, Member, Part};
use dcache::PeerId;
use learned::{Learned, Route};
use std::time::Duration;

/// Maximum number of configured rules.
pub const MAX_RULES: usize = 256;
/// Number of segments of `/dswarm/PEER/brain`, the pattern of a learned route.
const LEARNED_SEGMENTS: usize = 3;

/// The routing table of one peer. It has no clock: times count from the start of the process.
///
/// If several rules match, the one with the most segments is used. Among rules with equally many segments, the one with
/// the fewest wildcards is used, and among these the first in the order of their texts.
///
/// A learned route counts as three segments, and configured rules with at least three segments take precedence over it.
/// So no peer can override such a rule merely by being heard on a channel. To give learned routes precedence over a
/// default, write the default with fewer segments:
/// `/dswarm => /ipfs-pubsub/duckiebots/dswarm-line/$0`.
#[derive(Clone, Debug)]
pub struct Table {
    me: PeerId,
    /// Rules, in the order in which they are tried.
    rules: Vec<Rule>,
    learned: Learned,
}

/// Reason why a rule was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// The table has the maximum number of rules.
    #[error("a table has at most {MAX_RULES} rules")]
    Full,
    /// There is already a rule for the same pattern; one of the two would never be used.
    #[error("there is already a rule for this pattern: {0}")]
    Exists(String),
}

impl Table {
    /// Returns the empty table of a peer.
    pub fn new(me: PeerId) -> Self {
        Self { me, rules: Vec::new(), learned: Learned::default() }
    }

    /// Adds a rule to the table.
    ///
    /// # Errors
    /// When the table is full, or already has a rule for the same pattern.
    pub fn add(&mut self, rule: Rule) -> Result<(), TableError> {
        match self.place(&rule) {
            Ok(place) => Err(TableError::Exists(self.rules[place].to_string())),
            Err(_) if self.rules.len() >= MAX_RULES => Err(TableError::Full),
            Err(place) => {
                self.rules.insert(place, rule);
                Ok(())
            }
        }
    }

    /// Removes a rule. Returns whether it was in the table.
    pub fn remove(&mut self, rule: &Rule) -> bool {
        match self.place(rule) {
            Ok(place) if self.rules[place] == *rule => {
                self.rules.remove(place);
                true
            }
            _ => false,
        }
    }

    /// Finds the position of the rule for this pattern, or the position at which to insert one.
    fn place(&self, rule: &Rule) -> Result<usize, usize> {
        self.rules.binary_search_by(|other| other.precedence().cmp(&rule.precedence()))
    }

    /// Returns the configured rules, in the order in which they are tried.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Records that a peer was heard on a channel, where a byte costs `cost`. Returns whether the route was learned. A
    /// route is not learned if `via` does not consist of channels alone, if it would be too long with the peer
    /// appended, or if the peer is this node itself.
    pub fn learn(&mut self, peer: PeerId, via: &Address, cost: u8, now: Duration) -> bool {
        let leads = via.parts().all(|part| matches!(part, Part::Hop(_)));
        let is_of_use = peer != self.me && leads && via.then(&Address::brain(peer)).is_ok();
        if is_of_use {
            self.learned.learn(peer, via, cost, now);
        }
        is_of_use
    }

    /// Returns the learned routes that have not expired, sorted by peer.
    pub fn learned(&self, now: Duration) -> impl Iterator<Item = LearnedRoute> {
        self.learned.routes(now)
    }

    /// Removes expired learned routes. Call it at intervals to free their memory.
    pub fn age_out(&mut self, now: Duration) {
        self.learned.age_out(now);
    }

    /// Resolves an address. The address is rewritten until it begins with a channel, is for this node, or nothing
    /// matches.
    ///
    /// # Errors
    /// When the rules form a loop, or rewrite the address to an invalid one.
    pub fn resolve(&self, to: &Address, now: Duration) -> Result<Resolution, RouteError> {
        self.walk(to, now, |_, _, _| {})
    }

    /// Resolves an address like [`Self::resolve`], and returns each step.
    pub fn explain(&self, to: &Address, now: Duration) -> Explanation {
        let mut steps = Vec::new();
        let end = self.walk(to, now, |rewrite, before, after| {
            steps.push(Step { by: rewrite.by(now), before: before.clone(), after: after.clone() });
        });
        Explanation { address: to.clone(), steps, end }
    }

    fn walk(
        &self,
        to: &Address,
        now: Duration,
        mut note: impl FnMut(&Rewrite<'_>, &Address, &Address),
    ) -> Result<Resolution, RouteError> {
        let mut address = to.clone();
        let mut used = Vec::new();
        for _ in 0..=MAX_STEPS {
            let (rewrite, after) = match self.next(&address, now, &used)? {
                Next::End(end) => return Ok(end.at(address)),
                Next::Rewrite(_, _) if used.len() == MAX_STEPS => return Err(RouteError::Steps(address)),
                Next::Rewrite(rewrite, after) => (rewrite, after),
            };
            note(&rewrite, &address, &after);
            used.push(rewrite);
            address = after;
        }
        Err(RouteError::Steps(address))
    }

    /// Returns the next step for an address. It is determined by the first part of the address.
    fn next<'a>(
        &'a self,
        address: &Address,
        now: Duration,
        used: &[Rewrite<'_>],
    ) -> Result<Next<'a>, RouteError> {
        let peer = match address.first() {
            (Part::Hop(_), _) => return Ok(Next::End(End::Channel)),
            (Part::Peer(Member { peer, name: "brain" }), rest) => match (peer.value(), rest) {
                // An address may begin with the brains of all peers and go on. No node forwards such a line, because
                // otherwise all of them would forward it.
                (None, "") => return Ok(Next::End(End::Here)),
                (None, _) => return Ok(Next::End(End::NoRoute)),
                (Some(peer), "") if peer == self.me => return Ok(Next::End(End::Here)),
                (Some(peer), _) if peer == self.me => {
                    let rest = address.split_first().1;
                    return Ok(rest.map_or(Next::End(End::Here), |rest| Next::Rewrite(Rewrite::Here, rest)));
                }
                (Some(peer), _) => Some(peer),
            },
            _ => None,
        };
        self.rewrite(address, peer, now, used)
    }

    /// Applies the first matching rule, or the learned route to this peer.
    fn rewrite<'a>(
        &'a self,
        address: &Address,
        peer: Option<PeerId>,
        now: Duration,
        used: &[Rewrite<'_>],
    ) -> Result<Next<'a>, RouteError> {
        let rule = self.first_match(address);
        if let Some(rule) = rule.filter(|rule| rule.segments() >= LEARNED_SEGMENTS) {
            return apply(rule, address, used);
        }
        if let Some((peer, route)) = peer.and_then(|peer| Some((peer, self.learned.best(peer, now)?))) {
            let rewritten = |error| RouteError::Rewritten { by: route.shown(peer, now).to_string(), error };
            let after = route.via().then(address).map_err(rewritten)?;
            return Ok(Next::Rewrite(Rewrite::Learned(peer, route), after));
        }
        rule.map_or(Ok(Next::End(End::NoRoute)), |rule| apply(rule, address, used))
    }

    /// Returns the first rule that matches. Among rules with equally many segments, those without wildcards come first,
    /// sorted by their texts.
    fn first_match(&self, address: &Address) -> Option<&Rule> {
        let mut rules = self.rules.as_slice();
        while let Some(segments) = rules.first().map(Rule::segments) {
            let (group, shorter) = rules.split_at(rules.partition_point(|rule| rule.segments() == segments));
            let (exact, wild) = group.split_at(group.partition_point(|rule| !rule.is_wild()));
            let found = address.prefix(segments);
            let place =
                found.map(|prefix| exact.binary_search_by(|rule| rule.pattern().as_str().cmp(prefix)));
            if let Some(Ok(place)) = place {
                return exact.get(place);
            }
            if let Some(rule) = wild.iter().find(|rule| rule.matches(address)) {
                return Some(rule);
            }
            rules = shorter;
        }
        None
    }
}

/// The rule or route that rewrites an address.
enum Rewrite<'a> {
    Rule(&'a Rule),
    Learned(PeerId, &'a Route),
    Here,
}

impl Rewrite<'_> {
    fn by(&self, now: Duration) -> By {
        match self {
            Self::Rule(rule) => By::Rule((*rule).clone()),
            Self::Learned(peer, route) => By::Learned(route.shown(*peer, now)),
            Self::Here => By::Here,
        }
    }
}

enum Next<'a> {
    End(End),
    Rewrite(Rewrite<'a>, Address),
}

enum End {
    Channel,
    Here,
    NoRoute,
}

impl End {
    fn at(self, address: Address) -> Resolution {
        match self {
            Self::Channel => Resolution::Channel { address },
            Self::Here => Resolution::Here,
            Self::NoRoute => Resolution::NoRoute { address },
        }
    }
}

fn apply<'a>(rule: &'a Rule, address: &Address, used: &[Rewrite<'_>]) -> Result<Next<'a>, RouteError> {
    if used.iter().any(|rewrite| matches!(rewrite, Rewrite::Rule(used) if *used == rule)) {
        return Err(RouteError::Loop { rule: rule.to_string(), address: address.clone() });
    }
    // A rule is only applied to addresses that it matches.
    let after = rule.apply(address).unwrap_or_else(|| Ok(address.clone()));
    let after = after.map_err(|error| RouteError::Rewritten { by: rule.to_string(), error })?;
    Ok(Next::Rewrite(Rewrite::Rule(rule), after))
}
