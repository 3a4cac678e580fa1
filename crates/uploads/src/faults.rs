//! The sentences of `doctor` about uploads. A code never changes after its release; texts may change.

telemetry::faults! {
    CONSENT_LOGS = "consent.logs":
        "a node of this swarm uploads logs to {destination}, and nobody has decided whether those of this robot may be uploaded; \
         until then they are not";
        "write 1 into {file} to permit uploads, or 0 to deny them";
}
