//! The sentences of `doctor` about usage statistics. A code never changes after its release; texts may change.

telemetry::faults! {
    CONSENT_STATISTICS = "consent.statistics":
        "this swarm collects usage statistics, and nobody has decided whether this robot sends them; until then it sends none";
        "run `dt-swarm-cli localhost usage show` to see what they contain, and then `usage allow` or `usage deny`";
}
