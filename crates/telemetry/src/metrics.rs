//! The table of metrics that a daemon counts or measures.
//!
//! Code refers to a metric by its row. A status contains only the names; a program that displays it finds the sentence
//! for people in the table, by [`find`]. A reader has to accept any name, because other versions and other services
//! have other rows.
//!
//! A service may define rows in its own crate:
//!
//! ```
//! use telemetry::Metric;
//!
//! /// Heartbeats that this node published.
//! static HEARTBEATS: Metric =
//!     Metric::counter("heartbeat.published", "{heartbeat}", "Heartbeats that this node published.");
//! # assert_eq!(HEARTBEATS.name, "heartbeat.published");
//! ```

/// A row of the table. Rows are ordered by their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Metric {
    /// Name, as OpenTelemetry writes it: words of `a-z`, `0-9` and `_`, joined by dots.
    pub name: &'static str,
    /// Unit, as UCUM writes it: `By`, `s`, `1`, or the counted thing in braces, such as `{line}`.
    pub unit: &'static str,
    /// Whether the value only grows.
    pub kind: MetricKind,
    /// One sentence for people.
    pub help: &'static str,
}

/// How the value of a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MetricKind {
    /// The value starts at zero and only grows while the daemon runs.
    Counter,
    /// The value grows and shrinks.
    Gauge,
}

impl Metric {
    /// Returns a row for a metric that is counted.
    pub const fn counter(name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self { name, unit, kind: MetricKind::Counter, help }
    }

    /// Returns a row for a metric that is measured from time to time.
    pub const fn gauge(name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self { name, unit, kind: MetricKind::Gauge, help }
    }
}

/// Counts since the daemon started, ordered by the names of their metrics.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    counts: Vec<(&'static Metric, u64)>,
}

impl Counters {
    /// Adds to the count of a metric.
    pub fn add(&mut self, metric: &'static Metric, by: u64) {
        // Nearly always the metric was counted before. Comparing addresses finds it faster than comparing names.
        let known = self.counts.iter().position(|(known, _)| std::ptr::eq(*known, metric));
        let place = known.unwrap_or_else(|| self.place_of(metric));
        if let Some((_, count)) = self.counts.get_mut(place) {
            *count = count.saturating_add(by);
        }
    }

    /// Returns the place of a metric, which is added if it was not counted before.
    fn place_of(&mut self, metric: &'static Metric) -> usize {
        self.counts.binary_search_by(|(known, _)| (*known).cmp(metric)).unwrap_or_else(|place| {
            self.counts.insert(place, (metric, 0));
            place
        })
    }

    /// Returns every metric that was counted at least once, with its count.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Metric, u64)> {
        self.counts.iter().copied()
    }
}

/// Returns the row of this name in [`ALL`].
pub fn find(name: &str) -> Option<&'static Metric> {
    let place = ALL.binary_search_by(|metric| metric.name.cmp(name)).ok()?;
    ALL.get(place).copied()
}

/// Defines a static for each row, and [`ALL`]. The rows must be in the order of their names.
macro_rules! metrics {
    ($($constant:ident = $kind:ident $name:literal, $unit:literal, $help:literal;)*) => {
        $(#[doc = $help] pub static $constant: Metric = Metric::$kind($name, $unit, $help);)*

        /// The table, ordered by name.
        pub static ALL: &[&Metric] = &[$(&$constant),*];
    };
}

metrics! {
    BRAIN_BEACONS_RECEIVED = counter "brain.beacons.received", "{beacon}",
        "Beacons received from peers.";
    BRAIN_BEACONS_REFUSED_ODD_BOUND = counter "brain.beacons.refused.odd_bound", "{beacon}",
        "Beacons ignored because the bound of their comparison is a time that dt-swarm never sends.";
    BRAIN_BEACONS_REFUSED_OVER_BUDGET = counter "brain.beacons.refused.over_budget", "{beacon}",
        "Beacons ignored because their host, or their link, had used up its budget of beacons.";
    BRAIN_BEACONS_SENT = counter "brain.beacons.sent", "{beacon}",
        "Beacons that this node sent.";
    BRAIN_COMPARISONS_CHECKUPS = counter "brain.comparisons.checkups", "{comparison}",
        "Comparisons that this node began at intervals with a random neighbour, whatever its beacon showed.";
    BRAIN_COMPARISONS_COMPLETED = counter "brain.comparisons.completed", "{comparison}",
        "Comparisons begun by this node that ended with nothing left to receive.";
    BRAIN_COMPARISONS_FAILED = counter "brain.comparisons.failed", "{comparison}",
        "Comparisons begun by this node that ended before everything was received.";
    BRAIN_COMPARISONS_NO_LINK = counter "brain.comparisons.no_link", "{comparison}",
        "Comparisons given up because no link to the peer came up.";
    BRAIN_COMPARISONS_SERVED = counter "brain.comparisons.served", "{comparison}",
        "Comparisons that peers began and for which this node found the difference.";
    BRAIN_COMPARISONS_STARTED = counter "brain.comparisons.started", "{comparison}",
        "Comparisons that this node began.";
    BRAIN_COMPARISONS_UNEXPECTED_STEPS = counter "brain.comparisons.unexpected_steps", "{step}",
        "Steps ignored because they belonged to no comparison of this node.";
    BRAIN_COMPARISONS_WANTED_TWICE = counter "brain.comparisons.wanted_twice", "{request}",
        "Requests refused because a peer asked for more records in a comparison than this node holds.";
    BRAIN_GREETINGS_SENT = counter "brain.greetings.sent", "{greeting}",
        "Times that this node sent its presence and addresses again because an unknown peer appeared.";
    BRAIN_LINES_DROPPED_OVER_BUDGET = counter "brain.lines.dropped.over_budget", "{line}",
        "Lines not sent because the channel's budget was used up.";
    BRAIN_LINES_DROPPED_TOO_LONG = counter "brain.lines.dropped.too_long", "{line}",
        "Lines not sent because they are longer than the channel allows.";
    BRAIN_LINES_FOREIGN = counter "brain.lines.foreign", "{line}",
        "Lines for other nodes that this node was not asked to forward.";
    BRAIN_LINES_FORWARDED = counter "brain.lines.forwarded", "{line}",
        "Lines that this node forwarded for other nodes.";
    BRAIN_LINES_NOT_FORWARDED_DUPLICATE = counter "brain.lines.not_forwarded.duplicate", "{line}",
        "Lines not forwarded because the same line had just been forwarded.";
    BRAIN_LINES_NOT_FORWARDED_NO_RETURN = counter "brain.lines.not_forwarded.no_return", "{line}",
        "Lines not forwarded because no answer could be sent back.";
    BRAIN_LINES_NOT_FORWARDED_NO_ROUTE = counter "brain.lines.not_forwarded.no_route", "{line}",
        "Lines not forwarded because no channel of this node leads to their destination.";
    BRAIN_LINES_NOT_FORWARDED_OVER_BUDGET = counter "brain.lines.not_forwarded.over_budget", "{line}",
        "Lines not forwarded because the budget of their sender, or of all senders, was used up.";
    BRAIN_LINES_NOT_FORWARDED_TOO_MANY_HOPS = counter "brain.lines.not_forwarded.too_many_hops", "{line}",
        "Lines not forwarded because they had been forwarded too often already.";
    BRAIN_LINES_RECEIVED = counter "brain.lines.received", "{line}",
        "Lines received from other nodes.";
    BRAIN_LINES_REFUSED_MALFORMED = counter "brain.lines.refused.malformed", "{line}",
        "Lines refused because they are not an envelope.";
    BRAIN_LINES_REFUSED_OVER_BUDGET = counter "brain.lines.refused.over_budget", "{line}",
        "Lines ignored because their host had used up its budget of lines.";
    BRAIN_LINKS_CLOSED_MISBEHAVIOUR = counter "brain.links.closed.misbehaviour", "{link}",
        "Links closed because too many bad lines arrived on them.";
    BRAIN_LINKS_NOT_DIALLED = counter "brain.links.not_dialled", "{link}",
        "Links not opened because of the rate limit for addresses that other nodes named.";
    BRAIN_MESSAGES_IGNORED_COMMANDS = counter "brain.messages.ignored.commands", "{message}",
        "Messages ignored because they are commands.";
    BRAIN_MESSAGES_IGNORED_SIGNATURES = counter "brain.messages.ignored.signatures", "{message}",
        "Messages ignored because they contain a signature separate from its record.";
    BRAIN_MESSAGES_REFUSED_MALFORMED = counter "brain.messages.refused.malformed", "{message}",
        "Payloads refused because they are not a message.";
    BRAIN_OWN_RECORDS_REFUSED_AHEAD = counter "brain.own_records.refused.ahead", "{record}",
        "This node's own records refused because their validity ends too far in the future.";
    BRAIN_OWN_RECORDS_REFUSED_CROWDED = counter "brain.own_records.refused.crowded", "{record}",
        "This node's own records refused because signers without a role have used up their common quota.";
    BRAIN_OWN_RECORDS_REFUSED_DENIED = counter "brain.own_records.refused.denied", "{record}",
        "This node's own records refused because a peer with a stronger role denies this node.";
    BRAIN_OWN_RECORDS_REFUSED_EXPIRED = counter "brain.own_records.refused.expired", "{record}",
        "This node's own records refused because their validity has ended.";
    BRAIN_OWN_RECORDS_REFUSED_FORGED = counter "brain.own_records.refused.forged", "{record}",
        "This node's own records refused because the signature is invalid.";
    BRAIN_OWN_RECORDS_REFUSED_LIFETIME = counter "brain.own_records.refused.lifetime", "{record}",
        "This node's own records refused because their validity is open or too long for a signer without a role.";
    BRAIN_OWN_RECORDS_REFUSED_NOT_OWNER = counter "brain.own_records.refused.not_owner", "{record}",
        "This node's own records refused because their bucket belongs to another peer.";
    BRAIN_OWN_RECORDS_REFUSED_POWERLESS = counter "brain.own_records.refused.powerless", "{record}",
        "This node's own records refused because no role of this swarm can ever make them count.";
    BRAIN_OWN_RECORDS_REFUSED_QUOTA = counter "brain.own_records.refused.quota", "{record}",
        "This node's own records refused because it has used up its quota.";
    BRAIN_OWN_RECORDS_TAKEN = counter "brain.own_records.taken", "{record}",
        "Records of this node's services that were added to the set.";
    BRAIN_PATHS_DROPPED_NO_ROUTE = counter "brain.paths.dropped.no_route", "{line}",
        "Lines for a path not sent because no channel of this node leads to its first hop.";
    BRAIN_PATHS_DROPPED_TOO_LONG = counter "brain.paths.dropped.too_long", "{line}",
        "Lines for a path not sent because they are too long with the addresses of the path.";
    BRAIN_PATHS_DROPPED_UNPROVEN = counter "brain.paths.dropped.unproven", "{line}",
        "Lines not sent along a path that another node opened, because the peer at its end has not proved that it receives lines.";
    BRAIN_PATHS_NOT_OPENED = counter "brain.paths.not_opened", "{path}",
        "Paths not opened because there are too many.";
    BRAIN_PINGS_ANSWERED = counter "brain.pings.answered", "{ping}",
        "Pings that this node answered.";
    BRAIN_RECORDS_DEFERRED = counter "brain.records.deferred", "{record}",
        "Records delayed or left out because their signer exceeded its rate limit.";
    BRAIN_RECORDS_DROPPED_QUEUE_FULL = counter "brain.records.dropped.queue_full", "{record}",
        "Records not queued for a channel because its queue is full.";
    BRAIN_RECORDS_DROPPED_TOO_LONG = counter "brain.records.dropped.too_long", "{record}",
        "Records not sent because they are longer than the channel allows.";
    BRAIN_RECORDS_KNOWN = counter "brain.records.known", "{record}",
        "Records received that this node already held.";
    BRAIN_RECORDS_REFUSED_AHEAD = counter "brain.records.refused.ahead", "{record}",
        "Records refused because their validity ends too far in the future.";
    BRAIN_RECORDS_REFUSED_CROWDED = counter "brain.records.refused.crowded", "{record}",
        "Records refused because signers without a role have used up their common quota.";
    BRAIN_RECORDS_REFUSED_DENIED = counter "brain.records.refused.denied", "{record}",
        "Records refused because a peer with a stronger role denies their signer.";
    BRAIN_RECORDS_REFUSED_EXPIRED = counter "brain.records.refused.expired", "{record}",
        "Records refused because their validity has ended.";
    BRAIN_RECORDS_REFUSED_FORGED = counter "brain.records.refused.forged", "{record}",
        "Records refused because the signature is invalid.";
    BRAIN_RECORDS_REFUSED_LIFETIME = counter "brain.records.refused.lifetime", "{record}",
        "Records refused because their validity is open or too long for a signer without a role.";
    BRAIN_RECORDS_REFUSED_MALFORMED = counter "brain.records.refused.malformed", "{record}",
        "Payloads refused in lines of several records because they are not a record.";
    BRAIN_RECORDS_REFUSED_NOT_OWNER = counter "brain.records.refused.not_owner", "{record}",
        "Records refused because their bucket belongs to another peer.";
    BRAIN_RECORDS_REFUSED_POWERLESS = counter "brain.records.refused.powerless", "{record}",
        "Records refused because no role of this swarm can ever make them count.";
    BRAIN_RECORDS_REFUSED_QUOTA = counter "brain.records.refused.quota", "{record}",
        "Records refused because their signer has used up its quota.";
    BRAIN_RECORDS_REFUSED_UNSIGNED = counter "brain.records.refused.unsigned", "{record}",
        "Records refused because they have no signature.";
    BRAIN_RECORDS_SENT_ANSWERS = counter "brain.records.sent.answers", "{record}",
        "Records sent in answer to a request.";
    BRAIN_RECORDS_SENT_PUSHED = counter "brain.records.sent.pushed", "{record}",
        "Records sent without a request: as news, again because of losses, or because a peer lacks them.";
    BRAIN_RECORDS_TAKEN = counter "brain.records.taken", "{record}",
        "Records of other nodes that were added to the set.";
    BRAIN_REQUESTS_ANSWERED = counter "brain.requests.answered", "{request}",
        "Requests that this node answered.";
    BRAIN_SKETCHES_IGNORED = counter "brain.sketches.ignored", "{sketch}",
        "Sketches ignored because the bound of their comparison has passed, or because their sender had used up its budget.";
    BRAIN_SKETCHES_REFUSED_MALFORMED = counter "brain.sketches.refused.malformed", "{sketch}",
        "Sketches refused because their symbols describe no set of records, or because there are too many of them.";
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_name(name: &str) -> bool {
        let is_word = |word: &str| {
            let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            word.starts_with(|first: char| first.is_ascii_lowercase()) && word.bytes().all(is_plain)
        };
        name.contains('.') && name.split('.').all(is_word)
    }

    fn is_unit(unit: &str) -> bool {
        let annotation = unit.strip_prefix('{').and_then(|unit| unit.strip_suffix('}'));
        ["1", "By", "s"].contains(&unit)
            || annotation.is_some_and(|what| what.bytes().all(|byte| byte.is_ascii_lowercase()))
    }

    #[test]
    fn names_are_sorted_and_unique() {
        let pairs = ALL.iter().zip(ALL.iter().skip(1));
        for (one, next) in pairs {
            assert!(one.name < next.name, "{} stands before {}", one.name, next.name);
        }
    }

    #[test]
    fn rows_are_well_formed() {
        assert!(!is_name("brain") && !is_name("brain..lines") && !is_name("brain.Lines"));
        for Metric { name, unit, help, .. } in ALL {
            assert!(is_name(name), "{name}");
            assert!(is_unit(unit), "{name}: {unit}");
            let is_sentence =
                help.starts_with(|first: char| first.is_ascii_uppercase()) && help.ends_with('.');
            assert!(is_sentence && !help.trim_end_matches('.').contains(". "), "{name}: {help}");
        }
    }

    #[test]
    fn a_row_is_found_by_its_name() {
        assert!(ALL.iter().all(|metric| find(metric.name) == Some(*metric)));
        assert_eq!(find("records refused: the signature does not fit"), None);
    }

    #[test]
    fn a_service_counts_with_rows_of_its_own() {
        static OWN: Metric = Metric::counter("a.service.does", "1", "Actions of a service.");
        let mut counters = Counters::default();
        counters.add(&BRAIN_LINES_RECEIVED, 1);
        counters.add(&OWN, 2);
        counters.add(&OWN, u64::MAX);
        let counts: Vec<_> = counters.iter().collect();
        assert_eq!(counts, [(&OWN, u64::MAX), (&BRAIN_LINES_RECEIVED, 1)]);
    }
}
